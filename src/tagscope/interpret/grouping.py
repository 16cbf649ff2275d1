"""What all score matrices of one set of cells share: groups, genes, expression."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from scipy.stats import rankdata

from tagscope.core.labels import LabelSet
from tagscope.core.normalise import log_cp10k
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.errors import InputError
from tagscope.interpret.correlation import GroupedSpearman
from tagscope.interpret.statistics import column_means, group_auc

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

COLUMNS = ("group", "rank", "gene", "attention", "expression", "specificity", "auc")
FOLLOWING = ("follows_expression", "follows_level")
SUMMARY = ("group", "cells", "genes", "follows_expression", "top", "top_shared", "top_by_chance")


class Grouping:
    """Cells in groups, and the genes that scores and section share, in the section's order.

    ``codes`` (N,) code of each cell's group, −1 for a cell in none.

    Raises
    ------
    InputError
        If scores, values and groups are of different cells.
    """

    def __init__(
        self,
        ids: npt.NDArray[np.str_],
        panel: GenePanel,
        cells: Cells,
        groups: LabelSet,
        codes: Ints,
    ) -> None:
        if not np.array_equal(ids, cells.ids) or codes.shape != ids.shape:
            raise InputError(
                f"The scores are of {len(ids)} cells, the values of {len(cells)}, "
                f"the groups of {len(codes)}, or they are in another order.",
                "Scores, values and groups of the same cells are needed.",
                "Take all of them from one table.",
            )
        self.groups = groups
        self.codes = codes
        self.sizes = np.bincount(codes + 1, minlength=len(groups) + 1)[1:]
        columns = cells.panel.columns_in(panel)
        measured = np.flatnonzero(columns >= 0)
        _, once = np.unique(columns[measured], return_index=True)
        self._measured = measured[np.sort(once)]
        self._columns = columns[self._measured]
        self._names = np.array(cells.panel.symbols)[self._measured]
        self._values = log_cp10k(cells).tocsc()
        self._expression = column_means(self._values, self._measured, codes, len(groups))

    def means(self, scores: sp.csc_matrix) -> pd.DataFrame:
        """Mean score per gene (rows) and group with cells (columns).

        Genes without a score above 0 in any cell are left out: nobody was read with them.
        """
        means = column_means(scores, self._columns, self.codes, len(self.groups))
        sums = np.asarray(scores.sum(axis=0)).ravel()[self._columns]
        groups = np.flatnonzero(self.sizes)
        genes = np.flatnonzero(sums > 0)
        return pd.DataFrame(
            means[np.ix_(groups, genes)].T,
            index=pd.Index(self._names[genes], name="gene"),
            columns=pd.Index(np.array(self.groups.names)[groups], name="group"),
        )

    def rank(self, scores: sp.csc_matrix, top: int, *, following: bool = True) -> pd.DataFrame:
        """The ``top`` genes of every group by mean score, (N, G) CSC.

        ``following`` adds the columns that tell how far scores follow expression.
        """
        means = column_means(scores, self._columns, self.codes, len(self.groups))
        listed = [row[means[g, row] > 0] for g, row in enumerate(_descending(means)[:, :top])]
        genes = sorted({int(gene) for row in listed for gene in row})
        auc = self._auc(scores, genes)
        measures = self._following(scores, genes) if following else {}
        frames = [
            self._frame(group, row, means, {"auc": auc, **measures})
            for group, row in enumerate(listed)
            if self.sizes[group]
        ]
        if not frames:
            return pd.DataFrame(columns=[*COLUMNS, *measures])
        return pd.concat(frames, ignore_index=True)

    def summary(self, scores: sp.csc_matrix, top: int) -> pd.DataFrame:
        """One row per group: how far its mean scores follow its mean expression, over genes."""
        means = column_means(scores, self._columns, self.codes, len(self.groups))
        read = np.asarray(scores.sum(axis=0)).ravel()[self._columns] > 0
        rows = [
            (
                self.groups.names[g],
                int(self.sizes[g]),
                *_agreement(means[g, read], self._expression[g, read], top),
            )
            for g in np.flatnonzero(self.sizes)
        ]
        return pd.DataFrame(rows, columns=list(SUMMARY))

    def _auc(self, scores: sp.csc_matrix, genes: Sequence[int]) -> dict[int, Floats]:
        """AUC of every group for each of the genes."""
        return {g: group_auc(scores, int(self._columns[g]), self.codes, self.sizes) for g in genes}

    def _following(
        self, scores: sp.csc_matrix, genes: Iterable[int]
    ) -> dict[str, dict[int, Floats]]:
        """Correlation of score and expression over the cells of every group, gene by gene."""
        spearman = GroupedSpearman(self.codes, len(self.groups))
        found: dict[str, dict[int, Floats]] = {name: {} for name in FOLLOWING}
        for gene in genes:
            columns = int(self._columns[gene]), int(self._measured[gene])
            both = spearman.of_columns(scores, self._values, *columns)
            for name, of_groups in zip(FOLLOWING, both, strict=True):
                found[name][gene] = of_groups
        return found

    def _frame(
        self, group: int, genes: Ints, means: Floats, measures: dict[str, dict[int, Floats]]
    ) -> pd.DataFrame:
        own = means[group, genes]
        others = np.delete(means[:, genes], group, axis=0)[np.delete(self.sizes, group) > 0]
        highest = others.max(axis=0) if len(others) else np.full(len(genes), np.nan)
        with np.errstate(divide="ignore"):
            specificity = own / highest
        return pd.DataFrame(
            {
                "group": self.groups.names[group],
                "rank": np.arange(1, len(genes) + 1),
                "gene": self._names[genes],
                "attention": own,
                "expression": self._expression[group, genes],
                "specificity": specificity,
                **{
                    name: [of_gene[int(gene)][group] for gene in genes]
                    for name, of_gene in measures.items()
                },
            }
        )


def _descending(values: Floats) -> Ints:
    return np.argsort(-values, axis=-1, kind="stable")


def _agreement(
    attention: Floats, expression: Floats, top: int
) -> tuple[int, float, int, float, float]:
    """Genes, Spearman's rho over them, and what the top genes of both orders share."""
    genes = len(attention)
    top = min(top, int((attention > 0).sum()))
    if not top:
        return genes, np.nan, 0, np.nan, np.nan
    both = set(_descending(attention)[:top]) & set(_descending(expression)[:top])
    return genes, _rho(attention, expression), top, len(both) / top, top / genes


def _rho(x: Floats, y: Floats) -> float:
    if len(x) < 3 or not np.ptp(x) or not np.ptp(y):
        return np.nan
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])
