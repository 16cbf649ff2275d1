"""Log-normalised values, without making them dense."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tagscope.core.section import Cells


def log_cp10k(cells: Cells) -> sp.csr_matrix:
    """ln(1 + counts per 10,000), (N, G) CSR float32; normalised values stay as they are."""
    return _logged(cells, 1e4)


def log_median(cells: Cells) -> sp.csr_matrix:
    """ln(1 + counts scaled to the median total of cells), (N, G) CSR float32.

    Of a small panel a count per 10,000 is worth so much that all values look alike: where cells are
    compared by their values, this is the scale. Normalised values stay as they are.
    """
    counted = cells.totals[cells.totals > 0]
    return _logged(cells, float(np.median(counted)) if len(counted) else 1.0)


def log_cp10k_of(cells: Cells, column: int) -> npt.NDArray[np.float64]:
    """One gene of :func:`log_cp10k`, (N,)."""
    values = cells.values[:, [column]].toarray().ravel().astype(np.float64)
    return values if cells.normalised else np.asarray(np.log1p(values * _per_count(cells, 1e4)))


def _logged(cells: Cells, total: float) -> sp.csr_matrix:
    if cells.normalised:
        return cells.values
    per_value = np.repeat(_per_count(cells, total), np.diff(cells.values.indptr))
    logged = np.log1p(cells.values.data * per_value).astype(np.float32)
    return sp.csr_matrix((logged, cells.values.indices, cells.values.indptr), cells.values.shape)


def _per_count(cells: Cells, total: float) -> npt.NDArray[np.float64]:
    """What one count of each cell is worth when its total is ``total``; an empty cell has none."""
    return np.asarray(total / np.where(cells.totals > 0, cells.totals, 1.0))
