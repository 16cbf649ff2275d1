"""Shallower copies of cells, so that a network meets depths its reference does not have.

A spatial panel often counts a tenth of what a single-cell reference does. Keeping each molecule
with some probability is how a shallower experiment would have seen the same cell.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tagscope.core.section import Cells

_UNTOUCHED = 0.5  # of the cells, so that full depth stays the commonest
_SPREAD = 0.4  # of the natural log, where the depth is known: segmentation and tissue vary it
_LEAST_TOTAL = 20.0  # expected counts below which a cell says little of its type


def thin(cells: Cells, least_share: float, rng: np.random.Generator) -> Cells:
    """Keep every count of a cell with one probability, log-uniform from ``least_share`` to 1.

    Half of the cells stay whole, and none is expected to fall below 20 counts that has more.
    Log-normalised cells hold no counts and are returned as they are.
    """
    if least_share >= 1 or cells.normalised:
        return cells
    shares = least_share ** rng.random(len(cells))
    shares[rng.random(len(cells)) < _UNTOUCHED] = 1.0
    shares = np.maximum(shares, np.minimum(1.0, _LEAST_TOTAL / np.maximum(cells.totals, 1.0)))
    return keep_counts(cells, shares, rng)


def thin_to(cells: Cells, share: float, rng: np.random.Generator) -> Cells:
    """Keep about ``share`` of every cell's counts, more of one cell and less of another.

    For a section of known depth: ``share`` is its median total over that of the cells' reference.
    """
    if share >= 1 or cells.normalised:
        return cells
    return keep_counts(cells, np.minimum(share * spread(len(cells), rng), 1.0), rng)


def spread(cells: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """How much deeper than the median each of so many cells is, (N,)."""
    return np.asarray(np.exp(_SPREAD * rng.standard_normal(cells)))


def keep_counts(cells: Cells, shares: npt.NDArray[np.float64], rng: np.random.Generator) -> Cells:
    """Cells with each count kept with its cell's probability ``shares`` (N,)."""
    values = sp.csr_matrix(cells.values, copy=True)
    of_cell = np.repeat(shares, np.diff(values.indptr))
    touched = of_cell < 1.0
    counts = np.rint(values.data[touched]).astype(np.int64)
    values.data[touched] = rng.binomial(counts, of_cell[touched])
    values.eliminate_zeros()
    return replace(cells, values=values)
