"""What the panel shows of memory slots, and of their genes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tagscope.api import SlotSummary

LEADING = 4


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
