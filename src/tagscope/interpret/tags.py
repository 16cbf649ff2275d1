"""TAGs: the genes a group of cells gets the most attention for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from tagscope.core.keys import Slots
from tagscope.core.labels import UNASSIGNED, LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.results import GeneScores, SlotScores, read_provenance
from tagscope.core.section import Cells
from tagscope.errors import ArgumentError, InputError
from tagscope.interpret.statistics import column_means, group_auc, log_cp10k
from tagscope.io.atomic import written_whole
from tagscope.io.counts import as_csr, judge
from tagscope.io.genes import read_genes

if TYPE_CHECKING:
    from anndata import AnnData

COLUMNS = ("group", "rank", "gene", "attention", "expression", "specificity", "auc")


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

    Only genes measured in the section and with attention above 0 in the group are listed.
    """

    by: str
    frame: pd.DataFrame

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

    def to_text(self, top: int = 8) -> str:
        """The first ``top`` genes of every group (and slot), a line each, for a terminal."""
        keys = ["slot", "group"] if "slot" in self.frame else ["group"]
        lines = []
        for names, rows in self.frame.groupby(keys, sort=False, observed=True):
            title = str(names[-1]) if len(keys) == 1 else f"slot {names[0]}, {names[1]}"
            lines.append(f"{title}: {', '.join(rows['gene'].head(top))}")
        return "\n".join(lines)

    def write_csv(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Write the table as CSV; the file appears whole or not at all."""
        path = Path(path)
        with written_whole(path, overwrite=overwrite) as beside:
            self.frame.to_csv(beside, index=False, float_format="%.6g")
        return path


def tag_table(
    scores: GeneScores,
    cells: Cells,
    groups: LabelSet,
    codes: npt.NDArray[np.int64],
    *,
    by: str = "cellmemory",
    top: int = 50,
) -> TagTable:
    """The ``top`` genes of every group by mean attention (level 1).

    Parameters
    ----------
    cells
        The cells that were annotated, in the same order.
    codes
        (N,) code of each cell's group, −1 for a cell in none.

    Raises
    ------
    InputError
        If scores and cells are of different cells.
    """
    grouping = _Grouping(scores.ids, scores.panel, cells, groups, codes)
    return TagTable(by, grouping.rank(scores.scores, top))


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
    grouping = _Grouping(scores.ids, scores.panel, cells, groups, codes)
    frames = [grouping.rank(scores.scores[s], top) for s in chosen]
    for index, frame in zip(chosen, frames, strict=True):
        frame.insert(0, "slot", index)
    return TagTable(by, pd.concat(frames, ignore_index=True))


def tags_of_table(
    table: AnnData,
    *,
    key: str = "cellmemory",
    by: str | None = None,
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
    slot, slots
        Memory scores of one slot (from 0), or of all, in place of attention.
    cells
        The table's cells as a reader gave them; if None, the layer that was annotated, else ``X``.

    Raises
    ------
    ArgumentError
        If the table has no such column, attention or slot.
    """
    by = by or Slots(key).label
    cells = cells or _cells_of(table, key)
    groups, codes = _groups_of(table, by)
    if slots or slot is not None:
        layers = _slot_layers(table, key)
        found = SlotScores(cells.ids, cells.panel, tuple(_by_column(table, n) for n in layers))
        return slot_tag_table(found, cells, groups, codes, slot=slot, by=by, top=top)
    layer = Slots(key).attention
    if layer not in table.layers:
        raise ArgumentError(
            f"The table has no attention scores of {key!r}.",
            f"layers[{layer!r}] is needed; the layers are: {', '.join(table.layers) or 'none'}.",
            "Annotate with --attention, or choose another --key.",
        )
    attention = GeneScores(cells.ids, cells.panel, _by_column(table, layer))
    return tag_table(attention, cells, groups, codes, by=by, top=top)


class _Grouping:
    """What all score matrices of one set of cells share: groups, gene names, mean expression."""

    def __init__(
        self,
        ids: npt.NDArray[np.str_],
        panel: GenePanel,
        cells: Cells,
        groups: LabelSet,
        codes: npt.NDArray[np.int64],
    ) -> None:
        if not np.array_equal(ids, cells.ids) or codes.shape != ids.shape:
            raise InputError(
                f"The scores are of {len(ids)} cells, the values of {len(cells)}, "
                f"the groups of {len(codes)}, or they are in another order.",
                "Scores, values and groups of the same cells are needed.",
                "Take all of them from one table.",
            )
        self._groups = groups
        self._codes = codes
        self._sizes = np.bincount(codes + 1, minlength=len(groups) + 1)[1:]
        # columns of the scores, in the section's gene order and under its names
        columns = cells.panel.columns_in(panel)
        measured = np.flatnonzero(columns >= 0)
        _, once = np.unique(columns[measured], return_index=True)
        measured = measured[np.sort(once)]
        self._columns = columns[measured]
        self._genes = np.array(cells.panel.symbols)[measured]
        expression = log_cp10k(cells).tocsc()
        self._expression = column_means(expression, measured, codes, len(groups))

    def rank(self, scores: sp.csc_matrix, top: int) -> pd.DataFrame:
        """The table of one score matrix, (N, G) CSC."""
        means = column_means(scores, self._columns, self._codes, len(self._groups))
        order = np.argsort(-means, axis=1, kind="stable")[:, :top]
        listed = [row[means[group, row] > 0] for group, row in enumerate(order)]
        auc = self._auc(scores, listed)
        frames = [
            self._frame(group, genes, means, auc)
            for group, genes in enumerate(listed)
            if self._sizes[group]
        ]
        if not frames:
            return pd.DataFrame(columns=list(COLUMNS))
        return pd.concat(frames, ignore_index=True)

    def _auc(
        self, scores: sp.csc_matrix, listed: list[npt.NDArray[np.int64]]
    ) -> dict[int, npt.NDArray[np.float64]]:
        """AUC of every group for each gene that any group lists."""
        genes = sorted({int(gene) for row in listed for gene in row})
        return {
            g: group_auc(scores, int(self._columns[g]), self._codes, self._sizes) for g in genes
        }

    def _frame(
        self,
        group: int,
        genes: npt.NDArray[np.int64],
        means: npt.NDArray[np.float64],
        auc: dict[int, npt.NDArray[np.float64]],
    ) -> pd.DataFrame:
        own = means[group, genes]
        others = np.delete(means[:, genes], group, axis=0)[np.delete(self._sizes, group) > 0]
        highest = others.max(axis=0) if len(others) else np.full(len(genes), np.nan)
        with np.errstate(divide="ignore"):
            specificity = own / highest
        return pd.DataFrame(
            {
                "group": self._groups.names[group],
                "rank": np.arange(1, len(genes) + 1),
                "gene": self._genes[genes],
                "attention": own,
                "expression": self._expression[group, genes],
                "specificity": specificity,
                "auc": [auc[int(gene)][group] for gene in genes],
            }
        )


def _groups_of(table: AnnData, by: str) -> tuple[LabelSet, npt.NDArray[np.int64]]:
    """Groups and codes of a column of ``obs``; Unassigned and missing values are in no group."""
    if by not in table.obs:
        raise ArgumentError(
            f"The table has no column {by!r}.",
            f"Its columns are: {', '.join(map(str, table.obs.columns)) or 'none'}.",
            "Choose one of these with --by, or another --key.",
        )
    column = table.obs[by]
    if pd.api.types.is_float_dtype(column.dtype):
        raise ArgumentError(
            f"The column {by!r} holds measurements, not groups.",
            "A column of labels is needed.",
            "Choose another with --by.",
        )
    values = column.astype(object).where(column.notna(), UNASSIGNED).astype(str)
    groups = LabelSet.from_values(v for v in values.unique() if v != UNASSIGNED)
    codes = pd.Index(groups.names).get_indexer(pd.Index(values))
    return groups, codes.astype(np.int64)


def _cells_of(table: AnnData, key: str) -> Cells:
    """Values of the table: of the layer that was annotated, else of ``X``.

    Values with fractions or below zero are no counts, and are taken as they are.
    """
    provenance = read_provenance(table, key)
    layer = provenance.inputs.get("layer", "X") if provenance else "X"
    values = table.layers.get(layer, table.X)
    ids = table.obs_names.to_numpy(dtype=np.str_)
    panel = read_genes(table.var).panel
    return Cells(as_csr(values), panel, ids, normalised=not judge(values).are_counts)


def _slot_layers(table: AnnData, key: str) -> list[str]:
    names: list[str] = []
    while Slots(key).slot(len(names)) in table.layers:
        names.append(Slots(key).slot(len(names)))
    if not names:
        raise ArgumentError(
            f"The table has no memory scores of {key!r}.",
            f"layers[{Slots(key).slot(0)!r}] and so on are needed.",
            "Annotate with --attention, or choose another --key.",
        )
    return names


def _by_column(table: AnnData, layer: str) -> sp.csc_matrix:
    return sp.csc_matrix(table.layers[layer])


def _no_such_slot(slot: int, count: int) -> ArgumentError:
    return ArgumentError(
        f"There is no slot {slot}.",
        f"The model has {count} slots, 0 to {count - 1}.",
        "Choose one of these.",
    )
