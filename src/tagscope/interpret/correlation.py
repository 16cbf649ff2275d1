"""Spearman correlations within groups of cells, over sparse columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# with two cells every correlation is 1 or −1
_FEWEST_CELLS = 3


@dataclass(frozen=True)
class _Column:
    """Values other than 0 of one column, sorted by group and value.

    ``rows``, ``codes`` (group) and ``values`` of the same length.
    """

    rows: Ints
    codes: npt.NDArray[Any]
    values: npt.NDArray[Any]

    def where(self, kept: npt.NDArray[np.bool_]) -> _Column:
        """Some of the values, still sorted."""
        return _Column(self.rows[kept], self.codes[kept], self.values[kept])

    def offsets(self, sizes: Ints) -> Floats:
        """Mid-rank of each value in its group less the mid-rank that 0 has there.

        ``sizes`` (groups,) cells ranked; those without a value have 0.
        """
        counts = np.bincount(self.codes, minlength=len(sizes))
        negatives = np.bincount(self.codes[self.values < 0], minlength=len(sizes))
        zeros = sizes - counts
        before = np.cumsum(counts) - counts + negatives + (zeros + 1) / 2
        above = zeros[self.codes] * (self.values > 0)
        return np.asarray(self._mid_places() - before[self.codes] + above)

    def _mid_places(self) -> Floats:
        """Place of each value, from 1, the middle one for equal values of one group."""
        starts = np.ones(len(self.values), dtype=bool)
        starts[1:] = self.values[1:] != self.values[:-1]
        starts[1:] |= self.codes[1:] != self.codes[:-1]
        first = np.flatnonzero(starts)
        lengths = np.diff(first, append=len(self.values))
        return np.repeat(first + (lengths + 1) / 2, lengths)


class GroupedSpearman:
    """Spearman's rho (1904) of two quantities over the cells of each group, ties given mid-ranks.

    Cells without a stored value have 0. Ranks are kept as offsets from the rank of 0, which leaves
    a correlation as it is and makes every sum one over stored values.

    ``codes`` (N,) from −1, a cell in no group; ``groups`` how many there are.
    """

    def __init__(self, codes: Ints, groups: int) -> None:
        small = np.min_scalar_type(groups)  # the stable sort of small integers takes linear time
        self._codes = np.where(codes < 0, groups, codes).astype(small)
        self._sizes = np.bincount(self._codes, minlength=groups + 1)[:groups]
        self._scratch = np.zeros(len(codes))

    def of_columns(
        self, x: sp.csc_matrix, y: sp.csc_matrix, i: int, j: int
    ) -> tuple[Floats, Floats]:
        """Column ``i`` of ``x`` with column ``j`` of ``y``, (groups,) each.

        The first is taken over all cells of a group, the second over those whose value in ``y`` is
        above 0. NaN where either quantity is the same in all of them or they are fewer than three.
        """
        first, second = self._column(x, i), self._column(y, j)
        everywhere = self._rho(first, second, self._sizes)
        second = second.where(second.values > 0)
        self._scratch[second.rows] = 1
        first = first.where(self._scratch[first.rows] > 0)
        self._scratch[second.rows] = 0
        positives = np.bincount(second.codes, minlength=len(self._sizes))
        return everywhere, self._rho(first, second, positives)

    def _column(self, matrix: sp.csc_matrix, column: int) -> _Column:
        stored = slice(matrix.indptr[column], matrix.indptr[column + 1])
        rows, values = matrix.indices[stored], matrix.data[stored]
        codes = self._codes[rows]
        kept = np.flatnonzero((codes < len(self._sizes)) & (values != 0))
        order = kept[np.argsort(values[kept])]
        order = order[np.argsort(codes[order], kind="stable")]
        return _Column(rows[order], codes[order], values[order])

    def _rho(self, x: _Column, y: _Column, sizes: Ints) -> Floats:
        """Pearson's correlation of the ranks of ``sizes`` (groups,) cells."""
        a, b = x.offsets(sizes), y.offsets(sizes)
        self._scratch[x.rows] = a
        products = b * self._scratch[y.rows]
        self._scratch[x.rows] = 0
        n = np.maximum(sizes, 1)
        sum_a, sum_b = self._sum(x.codes, a), self._sum(y.codes, b)
        var_a = self._sum(x.codes, a * a) - sum_a**2 / n
        var_b = self._sum(y.codes, b * b) - sum_b**2 / n
        shared = self._sum(y.codes, products) - sum_a * sum_b / n
        # one cell that differs gives a variance of n²/4 · (1 − 1/n); rounding gives far less
        defined = (np.minimum(var_a, var_b) > n**2 / 8) & (sizes >= _FEWEST_CELLS)
        rho = shared / np.sqrt(np.where(defined, var_a * var_b, 1.0))
        return np.where(defined, np.clip(rho, -1.0, 1.0), np.nan)

    def _sum(self, codes: npt.NDArray[Any], values: Floats) -> Floats:
        sums = np.bincount(codes, values, minlength=len(self._sizes))
        return np.asarray(sums, dtype=np.float64)
