"""TAGs: the genes a group of cells gets the most attention for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from tagscope.core.keys import Slots
from tagscope.core.labels import LabelSet
from tagscope.core.results import GeneScores, SlotScores
from tagscope.core.section import Cells
from tagscope.errors import ArgumentError
from tagscope.interpret.grouping import Grouping
from tagscope.interpret.stored import (
    SELECTED,
    Selection,
    attention_of,
    cells_of,
    groups_of,
    selection_groups,
    slots_of,
)
from tagscope.io.atomic import written_whole
from tagscope.io.names import BACKGROUND_SUFFIX, write_names

if TYPE_CHECKING:
    from anndata import AnnData

GROUPS_SUFFIX = ".groups.csv"


@dataclass(frozen=True)
class TagTable:
    """Top attention genes per group (and slot).

    ``by`` names the grouping column. ``frame`` has one row per group and gene:

    - ``group``, ``rank`` (from 1), ``gene``; ``slot`` too where the scores are memory scores;
    - ``attention``: mean score over **all** cells of the group, 0 for a cell that was read without
      the gene (CellMemory 2025, cell-type TAGs);
    - ``expression``: mean over the group of ln(1 + counts per 10,000), a cell's total being that of
      the section's genes; of the values as they are where these are normalised already;
    - ``specificity``: ``attention`` divided by the highest mean attention the gene has in any other
      group; infinite where it has none there, missing where there is no other group;
    - ``auc``: probability that a cell of the group has a higher score for the gene than a cell
      outside it (unassigned cells included), ties counted half; missing where nobody is outside.

    Attention tables tell of each gene how far its attention merely follows expression, as
    Spearman's rho over the cells of the group, missing where either is the same in all of them:

    - ``follows_expression``: over all cells of the group. Where a model reads expressed genes
      alone, cells without the gene have neither, so this is high by construction;
    - ``follows_level``: over those cells that express the gene. 1: the more, the more attention;
      0: whether the gene is expressed matters, how strongly does not.

    Only genes measured in the section and with attention above 0 in the group are listed.

    ``summary`` has one row per group (and slot): ``cells``; ``genes``, those that any cell was
    read with; ``follows_expression``, Spearman's rho over these genes of the group's mean attention
    with its mean expression; ``top``, how many genes are listed at most, ``top_shared``, the share
    of them among as many most expressed genes, and ``top_by_chance``, the share to expect of two
    unrelated orders.

    ``means`` has the mean attention of every gene that any cell was read with (rows) in every group
    (columns; slot and group where several slots were ranked).
    """

    by: str
    frame: pd.DataFrame
    summary: pd.DataFrame
    means: pd.DataFrame

    @property
    def background(self) -> tuple[str, ...]:
        """The genes that could have been listed: those that any cell was read with."""
        return tuple(map(str, self.means.index))

    def of(self, group: str) -> pd.DataFrame:
        """The rows of one group.

        Raises
        ------
        ArgumentError
            If there is no such group.
        """
        rows = self.frame[self.frame["group"] == group]
        if rows.empty:
            groups = ", ".join(dict.fromkeys(self.frame["group"]))
            raise ArgumentError(
                f"There are no TAGs of a group {group!r}.",
                f"The groups of {self.by!r} are: {groups or 'none'}.",
                "Choose one of these.",
            )
        return rows.reset_index(drop=True)

    def leading(self, top: int = 5) -> pd.DataFrame:
        """Mean attention of the ``top`` genes of every group, (genes, groups).

        Each gene stands at the group that has the most of it, so that a group's own genes lie on
        the diagonal.
        """
        from tagscope.interpret.heatmap import diagonal_order  # slow to import

        return self.means.loc[diagonal_order(self.means, top)]

    def to_text(self, top: int = 8) -> str:
        """The first ``top`` genes of every group (and slot), a line each, for a terminal."""
        keys = ["slot", "group"] if "slot" in self.frame else ["group"]
        lines = []
        for names, rows in self.frame.groupby(keys, sort=False, observed=True):
            title = str(names[-1]) if len(keys) == 1 else f"slot {names[0]}, {names[1]}"
            lines.append(f"{title}: {', '.join(rows['gene'].head(top))}")
        followed = self.summary["follows_expression"].dropna()
        if len(followed):
            lines.append(
                f"Mean attention follows mean expression with Spearman's rho {followed.min():.2f} "
                f"to {followed.max():.2f} (median {followed.median():.2f})"
            )
        return "\n".join(lines)

    def write_csv(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Write ``frame`` as CSV, and beside it what :func:`tagscope.enrich` and people need to
        judge it: ``summary`` as ``NAME.groups.csv`` and ``background`` as ``NAME.background.txt``.

        Each file appears whole or not at all, the CSV last.
        """
        path = Path(path)
        with (
            written_whole(path, overwrite=overwrite) as of_frame,
            written_whole(path.with_suffix(GROUPS_SUFFIX), overwrite=overwrite) as of_summary,
        ):
            names = path.with_suffix(BACKGROUND_SUFFIX)
            write_names(names, self.background, overwrite=overwrite)
            self.summary.to_csv(of_summary, index=False, float_format="%.6g")
            self.frame.to_csv(of_frame, index=False, float_format="%.6g")
        return path

    def write_heatmap(
        self, path: Path | str, *, top: int = 5, scaled: bool = False, overwrite: bool = False
    ) -> Path:
        """Draw mean attention: rows the ``top`` genes of every group, columns the groups.

        ``scaled`` divides each gene by its highest mean. PNG, SVG or PDF, by the suffix.

        Raises
        ------
        ArgumentError
            If the table is of several slots, or the suffix is another.
        """
        from tagscope.interpret.heatmap import tag_heatmap, write_figure  # slow to import

        if self.means.columns.nlevels > 1:
            raise ArgumentError(
                "The TAGs are of several memory slots.",
                "A heatmap shows one slot, or the attention.",
                "Choose one slot.",
                {"slot": None},
            )
        label = "mean memory score" if "slot" in self.frame else "mean attention"
        figure = tag_heatmap(self.means, self.by, top=top, scaled=scaled, label=label)
        return write_figure(figure, Path(path), overwrite=overwrite)


def tag_table(
    scores: GeneScores,
    cells: Cells,
    groups: LabelSet,
    codes: npt.NDArray[np.int64],
    *,
    by: str = "cellmemory",
    top: int = 50,
    following: bool = True,
) -> TagTable:
    """The ``top`` genes of every group by mean attention (level 1).

    Parameters
    ----------
    cells
        The cells that were annotated, in the same order.
    codes
        (N,) code of each cell's group, −1 for a cell in none.
    following
        Whether to tell how far each gene's attention follows its expression; it takes longer than
        all else.

    Raises
    ------
    InputError
        If scores and cells are of different cells.
    """
    grouping = Grouping(scores.ids, scores.panel, cells, groups, codes)
    frame = grouping.rank(scores.scores, top, following=following)
    return TagTable(by, frame, grouping.summary(scores.scores, top), grouping.means(scores.scores))


def slot_tag_table(
    scores: SlotScores,
    cells: Cells,
    groups: LabelSet,
    codes: npt.NDArray[np.int64],
    *,
    slot: int | None = None,
    by: str = "cellmemory",
    top: int = 50,
) -> TagTable:
    """The ``top`` genes of every group and memory slot by mean memory score (level 2).

    ``slot`` counts from 0; None takes all slots.
    """
    chosen = range(len(scores.scores)) if slot is None else [slot]
    if slot is not None and not 0 <= slot < len(scores.scores):
        raise _no_such_slot(slot, len(scores.scores))
    grouping = Grouping(scores.ids, scores.panel, cells, groups, codes)
    frames = [grouping.rank(scores.scores[s], top, following=False) for s in chosen]
    summaries = [grouping.summary(scores.scores[s], top) for s in chosen]
    for tables in (frames, summaries):
        for index, frame in zip(chosen, tables, strict=True):
            frame.insert(0, "slot", index)
    means = {s: grouping.means(scores.scores[s]) for s in chosen}
    return TagTable(
        by,
        pd.concat(frames, ignore_index=True),
        pd.concat(summaries, ignore_index=True),
        pd.concat(means, axis=1, names=["slot"]) if slot is None else means[slot],
    )


def tags_of_table(
    table: AnnData,
    *,
    key: str = "cellmemory",
    by: str | None = None,
    selection: Selection | None = None,
    slot: int | None = None,
    slots: bool = False,
    top: int = 50,
    cells: Cells | None = None,
) -> TagTable:
    """The same tables from what ``annotate`` wrote into a table.

    Parameters
    ----------
    by
        Column of ``obs`` that groups the cells; the label of ``key`` if None.
    selection
        In place of ``by``: cells to set against the rest, as ids, row numbers or boolean mask.
    slot, slots
        Memory scores of one slot (from 0), or of all, in place of attention.
    cells
        The table's cells as a reader gave them; if None, the layer that was annotated, else ``X``.

    Raises
    ------
    ArgumentError
        If the table has no such column, cells, attention or slot.
    """
    cells = cells or cells_of(table, key)
    if selection is None:
        by = by or Slots(key).label
        groups, codes = groups_of(table, by)
    elif by is None:
        by = SELECTED
        groups, codes = selection_groups(cells.ids, selection)
    else:
        raise ArgumentError(
            f"A column ({by!r}) and a selection of cells were given.",
            "Cells are grouped by one of them.",
            "Leave one out.",
        )
    if slots or slot is not None:
        memory = slots_of(table, key)
        return slot_tag_table(memory, cells, groups, codes, slot=slot, by=by, top=top)
    return tag_table(attention_of(table, key), cells, groups, codes, by=by, top=top)


def _no_such_slot(slot: int, count: int) -> ArgumentError:
    return ArgumentError(
        f"There is no slot {slot}.",
        f"The model has {count} slots, 0 to {count - 1}.",
        "Choose one of these.",
    )
