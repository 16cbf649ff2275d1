"""What the memory slots hold: how much of a group's genes, and which genes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from tagscope.core.keys import Slots
from tagscope.core.labels import LabelSet
from tagscope.core.results import SlotScores
from tagscope.errors import InputError
from tagscope.interpret.statistics import over_others
from tagscope.interpret.stored import groups_of, slots_of
from tagscope.io.atomic import written_whole
from tagscope.io.names import BACKGROUND_SUFFIX, write_names

if TYPE_CHECKING:
    from anndata import AnnData

SHARES, PROGRAMS = "slot_by_group", "slot_programs"


@dataclass(frozen=True)
class SlotSummary:
    """Memory slots by group of cells, and the genes of each slot (level 2).

    The memory scores of one gene in one cell sum to 1 over the slots.

    ``shares`` has one row per group and slot:

    - ``share``: mean memory score in the slot, over the genes each cell was read with, then over
      the group's cells; the shares of a group sum to 1;
    - ``specificity``: ``share`` divided by the slot's highest share in any other group; missing
      where there is no other;
    - ``cells``: cells of the group that were read with any gene.

    ``programs`` has the top genes of every slot, one row each:

    - ``slot`` (from 0), ``rank`` (from 1), ``gene``;
    - ``score``: mean memory score over **all** cells, 0 for a cell read without the gene; the
      ranking of CellMemory 2025. Genes that many cells express lead every slot by it;
    - ``share``: the mean over the cells read with the gene: the part of it that goes into this
      slot. 1 / number of slots is even;
    - ``specificity``: ``share`` divided by the gene's highest share in any other slot.

    ``scores`` (genes, slots) has the mean score of every gene that any cell was read with.
    """

    by: str
    shares: pd.DataFrame
    programs: pd.DataFrame
    scores: pd.DataFrame

    @property
    def background(self) -> tuple[str, ...]:
        """The genes that could have been listed."""
        return tuple(map(str, self.scores.index))

    def matrix(self) -> pd.DataFrame:
        """``share`` as groups (rows) by slots (columns)."""
        return self.shares.pivot_table(index="group", columns="slot", values="share", sort=False)

    def to_text(self, top: int = 8) -> str:
        """The first ``top`` genes of every slot and the group it has the largest share in."""
        matrix = self.matrix()
        lines = []
        for slot, rows in self.programs.groupby("slot", sort=True):
            group = matrix[slot].idxmax()
            most = f"{matrix[slot].max():.0%} of {group}, {matrix[slot].min():.0%} at least"
            lines.append(f"slot {slot} ({most}): {', '.join(rows['gene'].head(top))}")
        return "\n".join(lines)

    def write(self, folder: Path | str, *, top: int = 8, overwrite: bool = False) -> Path:
        """Write both tables as CSV and PNG, and the background of the programs, into ``folder``.

        The picture of the programs has the ``top`` genes of every slot. The folder appears whole or
        not at all.
        """
        from tagscope.interpret.heatmap import heatmap, tag_heatmap, write_figure

        folder = Path(folder)
        pictures = {
            SHARES: heatmap(
                self.matrix(), rows=self.by, columns="memory slot",
                label="mean share of a cell's genes", numbered=True,
            ),
            PROGRAMS: tag_heatmap(
                self.scores, "memory slot", top=top, label="mean memory score"
            ),
        }  # fmt: skip
        with written_whole(folder, overwrite=overwrite) as beside:
            beside.mkdir(exist_ok=True)
            for name, frame in {SHARES: self.shares, PROGRAMS: self.programs}.items():
                frame.to_csv(beside / f"{name}.csv", index=False, float_format="%.6g")
                write_figure(pictures[name], beside / f"{name}.png")
            write_names(beside / f"{PROGRAMS}{BACKGROUND_SUFFIX}", self.background)
        return folder


def slot_summary(
    scores: SlotScores,
    groups: LabelSet,
    codes: npt.NDArray[np.int64],
    *,
    by: str = "cellmemory",
    top: int = 50,
) -> SlotSummary:
    """Summarise memory scores by group.

    ``codes`` (N,) code of each cell's group, −1 for a cell in none; ``top`` genes per slot.

    Raises
    ------
    InputError
        If codes and scores are of different numbers of cells.
    """
    if codes.shape != scores.ids.shape:
        raise InputError(
            f"The scores are of {len(scores.ids)} cells, the groups of {len(codes)}.",
            "Scores and groups of the same cells are needed.",
            "Take both from one table.",
        )
    means, spread = _gene_means(scores)
    return SlotSummary(by, _shares(scores, groups, codes), _programs(means, spread, top), means)


def slots_of_table(
    table: AnnData, *, key: str = "cellmemory", by: str | None = None, top: int = 50
) -> SlotSummary:
    """The same from what ``annotate`` wrote into a table.

    Raises
    ------
    ArgumentError
        If the table has no memory scores under ``key``, or no column ``by``.
    """
    scores = slots_of(table, key)
    by = by or Slots(key).label
    return slot_summary(scores, *groups_of(table, by), by=by, top=top)


def slot_shares(scores: SlotScores) -> npt.NDArray[np.float64]:
    """The share of each cell's genes that every slot takes, (N, S); rows sum to 1.

    NaN for a cell that was read without any gene.
    """
    sums = np.stack([np.asarray(s.sum(axis=1), np.float64).ravel() for s in scores.scores], axis=1)
    genes = sums.sum(axis=1)  # every gene read counts 1 over all slots
    return np.asarray(sums / np.where(genes > 0, genes, np.nan)[:, None])


def _shares(scores: SlotScores, groups: LabelSet, codes: npt.NDArray[np.int64]) -> pd.DataFrame:
    of_cell = slot_shares(scores)
    counted = (codes >= 0) & np.isfinite(of_cell[:, 0])
    of_cell = of_cell[counted]
    sizes = np.bincount(codes[counted], minlength=len(groups))
    present = np.flatnonzero(sizes)
    shares = (
        np.stack(
            [np.bincount(codes[counted], share, minlength=len(groups)) for share in of_cell.T],
            axis=1,
        )[present]
        / np.maximum(sizes[present], 1)[:, None]
    )
    count = shares.shape[1]
    return pd.DataFrame(
        {
            "group": np.repeat(np.array(groups.names, dtype=object)[present], count),
            "slot": np.tile(np.arange(count), len(present)),
            "share": shares.ravel(),
            "specificity": over_others(shares).ravel(),
            "cells": np.repeat(sizes[present], count),
        }
    )


def _gene_means(scores: SlotScores) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean score over all cells, and over the cells read with the gene, (genes, slots) each."""
    sums = np.stack([np.asarray(s.sum(axis=0), np.float64).ravel() for s in scores.scores], axis=1)
    cells = sums.sum(axis=1)  # a gene counts 1 over all slots in every cell read with it
    read = np.flatnonzero(cells > 0)
    genes = pd.Index(np.array(scores.panel.symbols, dtype=object)[read], name="gene")
    slots = pd.RangeIndex(sums.shape[1], name="slot")
    means = sums[read] / max(len(scores.ids), 1)
    spread = sums[read] / cells[read, None]
    return pd.DataFrame(means, genes, slots), pd.DataFrame(spread, genes, slots)


def _programs(means: pd.DataFrame, spread: pd.DataFrame, top: int) -> pd.DataFrame:
    specificity = pd.DataFrame(
        over_others(spread.to_numpy().T).T, index=spread.index, columns=spread.columns
    )
    frames = []
    for slot in means:
        genes = means[slot].sort_values(ascending=False, kind="stable").index[:top]
        frames.append(
            pd.DataFrame(
                {
                    "slot": slot,
                    "rank": np.arange(1, len(genes) + 1),
                    "gene": genes,
                    "score": means.loc[genes, slot].to_numpy(),
                    "share": spread.loc[genes, slot].to_numpy(),
                    "specificity": specificity.loc[genes, slot].to_numpy(),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
