"""Means and rank sums over sparse columns, without making them dense, and comparisons."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.stats import rankdata


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


def over_others(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Every value divided by the highest in its column but itself; NaN where it is alone."""
    if len(values) < 2:
        return np.full(values.shape, np.nan)
    ordered = np.sort(values, axis=0)
    best, second = ordered[-1], ordered[-2]
    others = np.where(values == best, second, best)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(values / others)
