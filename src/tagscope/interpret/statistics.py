"""Means, rank sums and log values over sparse columns, without making them dense."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.stats import rankdata

from tagscope.core.section import Cells


def log_cp10k(cells: Cells) -> sp.csr_matrix:
    """ln(1 + counts per 10,000), (N, G) CSR float32; normalised values stay as they are."""
    if cells.normalised:
        return cells.values
    per_value = np.repeat(_per_count(cells), np.diff(cells.values.indptr))
    logged = np.log1p(cells.values.data * per_value).astype(np.float32)
    return sp.csr_matrix((logged, cells.values.indices, cells.values.indptr), cells.values.shape)


def log_cp10k_of(cells: Cells, column: int) -> npt.NDArray[np.float64]:
    """One gene of :func:`log_cp10k`, (N,)."""
    values = cells.values[:, [column]].toarray().ravel().astype(np.float64)
    return values if cells.normalised else np.asarray(np.log1p(values * _per_count(cells)))


def _per_count(cells: Cells) -> npt.NDArray[np.float64]:
    """What one count of each cell is worth when its total is 10,000; an empty cell has none."""
    return np.asarray(1e4 / np.where(cells.totals > 0, cells.totals, 1.0))


def column_means(
    matrix: sp.csc_matrix,
    columns: npt.NDArray[np.int64],
    codes: npt.NDArray[np.int64],
    groups: int,
) -> npt.NDArray[np.float64]:
    """Mean of the given columns over all cells of each group, (groups, len(columns)).

    ``codes`` (N,) from −1; a group without cells has mean 0.
    """
    shifted = codes + 1
    sums = np.empty((groups, len(columns)))
    for position, column in enumerate(columns):
        stored = slice(matrix.indptr[column], matrix.indptr[column + 1])
        of_cell = shifted[matrix.indices[stored]]
        sums[:, position] = np.bincount(of_cell, matrix.data[stored], minlength=groups + 1)[1:]
    sizes = np.bincount(shifted, minlength=groups + 1)[1:]
    return sums / np.maximum(sizes, 1)[:, None]


def group_auc(
    matrix: sp.csc_matrix,
    column: int,
    codes: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """AUC of one column for each group against all other cells, (groups,), ties counted half.

    The rank-sum form of Mann and Whitney: only positive values are sorted, all zeros share one
    rank. Values must not be negative. A group of none or of all cells has no AUC (NaN).
    """
    cells = len(codes)
    stored = slice(matrix.indptr[column], matrix.indptr[column + 1])
    positive = matrix.data[stored] > 0
    values = matrix.data[stored][positive]
    of_value = codes[matrix.indices[stored][positive]] + 1
    zeros = cells - len(values)
    ranks = rankdata(values) + zeros
    positives = np.bincount(of_value, minlength=len(sizes) + 1)[1:]
    of_positives = np.bincount(of_value, ranks, minlength=len(sizes) + 1)[1:]
    rank_sums = of_positives + (sizes - positives) * ((zeros + 1) / 2)
    pairs = sizes * (cells - sizes)
    wins = rank_sums - sizes * (sizes + 1) / 2
    return np.where(pairs > 0, wins / np.maximum(pairs, 1), np.nan)
