"""A store's image as a pyramid of tiles: read where it is looked at, and never by the window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tagscope.canvas.tiles import TILE, Pixels, TilePyramid

Places = npt.NDArray[np.int64]

TILES = 256  # kept of every channel: twice what the largest screens show
AS_FINE = 1.1  # a level whose pixel is this much larger than asked for still serves


class ImagePyramid(TilePyramid):
    """A channel, or a picture in colours, from the levels that there are.

    ``levels`` finest first, (rows, columns) or (rows, columns, C) each: array-likes that read what
    they are indexed with. Of a level that is missing every pixel is the middle one of a finer
    level's. Positions are pixels of the finest.
    """

    def __init__(self, levels: Sequence[Any]) -> None:
        finest = levels[0]
        rows, columns = finest.shape[:2]
        super().__init__(
            (0.0, 0.0),
            (float(rows), float(columns)),
            1.0,
            TILES * TILE * TILE * finest.dtype.itemsize * int(np.prod(finest.shape[2:])),
            dtype=finest.dtype,
            channels=tuple(finest.shape[2:]),
        )
        self._stored = tuple(levels)
        # how many of the finest pixels one of a level is wide, along rows and columns
        self._widths = [(rows / own.shape[0], columns / own.shape[1]) for own in levels]

    def _shapes(self, rows: int, columns: int) -> list[tuple[int, int]]:
        """Shape of every level: no more than there is of the image."""
        levels = range(len(super()._shapes(rows, columns)))
        return [(-(-rows >> level), -(-columns >> level)) for level in levels]

    def _draw(self, level: int, top: int, left: int) -> Pixels:
        pixel = float(1 << level)
        fine = [n for n, own in enumerate(self._widths) if max(own) <= AS_FINE * pixel]
        number = max(fine, default=0)
        stored = self._stored[number]
        places = []
        for axis, first in enumerate((top, left)):
            shown = np.arange(first, min(first + TILE, self.shapes[level][axis]))
            at = ((shown + 0.5) * pixel / self._widths[number][axis]).astype(np.int64)
            # half of the last pixel may lie beyond the image
            places.append(np.minimum(at, stored.shape[axis] - 1))
        tile = np.zeros((TILE, TILE, *self.channels), self.dtype)
        tile[: len(places[0]), : len(places[1])] = _sampled(stored, *places)
        return tile


def _sampled(stored: Any, rows: Places, columns: Places) -> Pixels:
    """Some rows and columns of an image, both ascending, read by one slice."""
    steps = [int(np.gcd.reduce(at - at[0])) or 1 for at in (rows, columns)]
    window = tuple(
        slice(int(at[0]), int(at[-1]) + 1, step)
        for at, step in zip((rows, columns), steps, strict=True)
    )
    read: Pixels = np.asarray(stored[window])
    down, across = ((at - at[0]) // step for at, step in zip((rows, columns), steps, strict=True))
    return np.asarray(read[down][:, across])
