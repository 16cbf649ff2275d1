"""Proportions by non-negative least squares on expression, which an embedding has to better."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.optimize import nnls

from tagscope.jobs import JobContext

Floats = npt.NDArray[np.float32]

_EVERY = 256  # spots between two reports


def least_squares(
    spots: sp.csr_matrix, cells: sp.csr_matrix, codes: npt.NDArray[np.int64], types: int,
    context: JobContext,
) -> Floats:  # fmt: skip
    """Proportions (S, C) of spots, from the mean expression of every type.

    ``spots`` (S, G) and ``cells`` (N, G) counts over the same genes, ``codes`` (N,) the cells'
    types. Both are scaled to fractions of a cell's total, so that a proportion is one of
    molecules. A spot without counts gets equal shares.
    """
    signatures = _fractions(np.stack([_mean(cells[codes == code]) for code in range(types)]))
    found = np.zeros((spots.shape[0], types), np.float64)
    for spot in range(spots.shape[0]):
        if spot % _EVERY == 0:
            context.step("least squares", spot, spots.shape[0])
        values = _fractions(spots[spot].toarray())[0]
        found[spot] = nnls(signatures.T, values)[0]
    sums = found.sum(axis=1, keepdims=True)
    even = np.full_like(found, 1 / types)
    return np.where(sums > 0, found / np.where(sums > 0, sums, 1), even).astype(np.float32)


def _mean(cells: sp.csr_matrix) -> npt.NDArray[np.float64]:
    return np.asarray(cells.mean(axis=0), dtype=np.float64).ravel()


def _fractions(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    sums = values.sum(axis=1, keepdims=True)
    return np.asarray(values / np.where(sums > 0, sums, 1), dtype=np.float64)
