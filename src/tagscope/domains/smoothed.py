"""What the cells around a cell are like: components averaged over its neighbours in the tissue."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tagscope.core.neighbours import nearest_others
from tagscope.core.normalise import log_median
from tagscope.core.section import Cells, Section
from tagscope.errors import InputError

Floats = npt.NDArray[np.float32]


def components_of(cells: Cells, count: int, seed: int = 0) -> Floats:
    """The first principal components of the cells' log-normalised, z-scored values, (N, D).

    All sections of a picture are scaled together. D is ``count``, or less where there are too few
    cells or genes.

    Raises
    ------
    InputError
        If there are fewer than two cells or genes that vary.
    """
    from sklearn.preprocessing import StandardScaler

    # z-scores but for their mean, which the components leave out: zeros stay zeros
    scaled = StandardScaler(with_mean=False).fit_transform(log_median(cells))
    return _components(scaled, count, seed)


def narrowed(values: Floats, count: int, seed: int = 0) -> Floats:
    """Values (N, D) of cells by at most ``count`` principal components, those of less as they are.

    Raises
    ------
    InputError
        If there are fewer than two cells.
    """
    return values if values.shape[1] <= count else _components(values, count, seed)


def _components(values: Floats | sp.csr_matrix, count: int, seed: int) -> Floats:
    from sklearn.decomposition import PCA

    most = min(values.shape) - 1
    if most < 1:
        raise InputError(
            f"There are {values.shape[0]} cells with {values.shape[1]} values each.",
            "At least two of each are needed to say how cells differ.",
            "Choose another table, or keep more cells.",
        )
    model = PCA(min(count, most), svd_solver="arpack", random_state=seed)
    return np.asarray(model.fit_transform(values), dtype=np.float32)


def neighbours_in(section: Section, count: int) -> npt.NDArray[np.int64]:
    """Rows of the ``count`` cells of its own section nearest to every cell, (N, count), or −1."""
    pieces = None if section.pieces is None else section.pieces.codes
    return nearest_others(section.xy, count, pieces)


def averaging(near: npt.NDArray[np.int64]) -> sp.csr_matrix:
    """What a cell's mean over itself and its neighbours ``near`` (N, K) takes of each, (N, N)."""
    own = np.arange(len(near), dtype=np.int64)
    members = np.column_stack([own, near])
    there = members >= 0
    sizes = there.sum(axis=1)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    weights = np.repeat(1.0 / sizes, sizes).astype(np.float32)
    return sp.csr_matrix((weights, members[there], ends), (len(near), len(near)))


def smoothed(values: Floats, section: Section, neighbors: int) -> Floats:
    """Mean of values (N, D) over every cell and its nearest neighbours of the same section.

    A cell without a finite position, or alone in its section, keeps its own.
    """
    if neighbors < 1:
        return values
    return np.asarray(averaging(neighbours_in(section, neighbors)) @ values, dtype=np.float32)
