"""ln(1 + counts per 10,000), without making values dense."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

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
