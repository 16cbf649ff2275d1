"""What the panel shows of memory slots: their genes, and the gene sets in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_tagscope.controllers.numbers import percent

if TYPE_CHECKING:
    from tagscope.api import Enrichment, SlotSummary

LEADING = 4
MOST_SETS = 50
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class SlotRow:
    """One slot: the share of the genes of a type's cells that it takes, and its first genes.

    ``number`` from 0; ``share`` of the chosen type, else of the type that it takes most of;
    ``label`` is that type. An even share is 1 / number of slots.
    """

    number: int
    label: str
    share: float
    genes: tuple[str, ...]


@dataclass(frozen=True)
class ProgramRow:
    """One gene of a slot; the quantities are those of :class:`tagscope.api.SlotSummary`."""

    rank: int
    gene: str
    score: float
    share: float
    specificity: float


@dataclass(frozen=True)
class SetRow:
    """One gene set in a slot; the quantities are those of :class:`tagscope.api.Enrichment`."""

    name: str
    overlap: int
    size: int
    fold: float
    fdr: float
    genes: str


def slot_rows(summary: SlotSummary, label: str | None) -> tuple[SlotRow, ...]:
    """All slots, as a type has them, None for the one that each takes most of."""
    shares = summary.matrix()
    rows = []
    for number, program in summary.programs.groupby("slot", sort=True):
        of_slot = shares[number]
        shown = str(of_slot.idxmax())
        if label is not None and label in of_slot.index:
            shown = label
        genes = tuple(map(str, program["gene"].head(LEADING)))
        rows.append(SlotRow(int(number), shown, float(of_slot[shown]), genes))
    return tuple(rows)


def program_rows(summary: SlotSummary, slot: int) -> tuple[ProgramRow, ...]:
    """The genes of one slot, best first."""
    rows = summary.programs[summary.programs["slot"] == slot]
    columns = ["rank", "gene", "score", "share", "specificity"]
    return tuple(
        ProgramRow(int(rank), str(gene), float(score), float(share), float(specificity))
        for rank, gene, score, share, specificity in rows[columns].itertuples(index=False)
    )


def set_rows(enriched: Enrichment, slot: int) -> tuple[SetRow, ...]:
    """The gene sets in one slot, best first, 50 of them at most."""
    rows = enriched.frame[enriched.frame["slot"] == slot].head(MOST_SETS)
    columns = ["set", "overlap", "set_size", "fold", "fdr", "genes"]
    return tuple(
        SetRow(str(name), int(overlap), int(size), float(fold), float(fdr), str(genes))
        for name, overlap, size, fold, fdr, genes in rows[columns].itertuples(index=False)
    )


def note_on(enriched: Enrichment) -> str:
    """How many sets were tested, whether any is significant, and how genes were matched."""
    best = enriched.frame["fdr"].min() if len(enriched.frame) else np.nan
    tested = (
        f"{enriched.sets_tested:,} of {enriched.sets_given:,} sets tested against "
        f"{len(enriched.background):,} genes."
    )
    none = (
        ""
        if best < SIGNIFICANT
        else f" None is below an FDR of {percent(SIGNIFICANT)} in any slot."
    )
    return " ".join([tested + none, *enriched.notes])
