"""What the panel shows of patches, and of their genes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tagscope.api import PatchPrograms

LEADING = 4


@dataclass(frozen=True)
class PatchRow:
    """One patch: how much its activity tells types apart, and its first genes.

    ``number`` from 0; ``explained`` as :class:`tagscope.api.PatchPrograms` has it; ``label`` is the
    chosen type, else the one in which the activity is highest, by ``difference`` standard
    deviations; ``genes`` lead the patch in the chosen type, else in all cells.
    """

    number: int
    explained: float
    label: str
    difference: float
    genes: tuple[str, ...]


@dataclass(frozen=True)
class PatchGene:
    """One gene of a patch; quantities are those of :class:`tagscope.api.PatchPrograms`."""

    gene: str
    z_score: float
    attention: float
    specificity: float


def patch_rows(found: PatchPrograms, label: str | None) -> tuple[PatchRow, ...]:
    """All patches, those that tell types apart best first, as a type has them, None for all."""
    differences = found.types.set_index(["patch", "group"])["difference"]
    leading = found.programs[found.programs["rank"] <= LEADING]
    genes = leading.groupby("patch")["gene"].agg(tuple)
    patches = found.patches.sort_values("explained", ascending=False, kind="stable")
    rows = []
    for patch, explained, highest in patches.itertuples(index=False):
        group = str(highest) if label is None else label
        difference = float(differences[patch, group])
        rows.append(PatchRow(int(patch), float(explained), group, difference, genes[patch]))
    return tuple(rows)


def patch_genes(found: PatchPrograms, patch: int) -> tuple[PatchGene, ...]:
    """The genes of one patch, best first."""
    rows = found.programs[found.programs["patch"] == patch]
    columns = ["gene", "z_score", "attention", "specificity"]
    return tuple(
        PatchGene(str(gene), float(z_score), float(attention), float(specificity))
        for gene, z_score, attention, specificity in rows[columns].itertuples(index=False)
    )
