"""Which cells lie next to a cell in the tissue."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from tagscope.core.section import Section


class TissueNeighbours:
    """Finds the cells nearest to a cell; of sections side by side, within its own alone."""

    def __init__(self, section: Section) -> None:
        self._xy = section.xy
        self._finite = np.asarray(np.isfinite(section.xy).all(axis=1))
        pieces = section.pieces
        self._pieces = np.zeros(len(section), np.int64) if pieces is None else pieces.codes
        self._rows: dict[int, npt.NDArray[np.int64]] = {}
        self._trees: dict[int, KDTree] = {}
        for piece in np.unique(self._pieces[self._finite]):
            rows = np.flatnonzero(self._finite & (self._pieces == piece))
            self._rows[int(piece)] = rows
            self._trees[int(piece)] = KDTree(section.xy[rows], balanced_tree=False)

    def nearest(self, row: int, count: int) -> npt.NDArray[np.int64]:
        """Rows of the ``count`` other cells nearest to a cell, the nearest first.

        Fewer where there are not so many; none for a cell without a finite position.
        """
        if not self._finite[row]:
            return np.zeros(0, np.int64)
        piece = int(self._pieces[row])
        rows = self._rows[piece]
        _, places = self._trees[piece].query(self._xy[row], k=min(count + 1, len(rows)))
        near = rows[np.atleast_1d(places)]
        return np.asarray(near[near != row][:count])


def nearest_others(
    xy: npt.NDArray[np.float64], count: int, pieces: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.int64]:
    """Rows of the ``count`` other cells nearest to every cell, the nearest first, (N, count).

    ``xy`` (N, 2); of sections side by side, ``pieces`` (N,) says which a cell is of, and its
    neighbours are of it too. −1 where there are not so many, and for cells without a finite place.
    A cell is left out by its row, so that one at the very same place is a neighbour.
    """
    found = np.full((len(xy), count), -1, np.int64)
    finite = np.isfinite(xy).all(axis=1)
    parts = np.zeros(len(xy), np.int64) if pieces is None else pieces
    for piece in np.unique(parts[finite]):
        rows = np.flatnonzero(finite & (parts == piece))
        near = min(count, len(rows) - 1)
        if near < 1:
            continue
        tree = KDTree(xy[rows], balanced_tree=False)
        _, places = tree.query(xy[rows], k=near + 1)
        own = places == np.arange(len(rows))[:, None]
        own[~own.any(axis=1), -1] = True  # more cells at one place than were asked for
        found[rows, :near] = rows[places[~own].reshape(len(rows), near)]
    return found
