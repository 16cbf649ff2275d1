"""A store's own label image, sampled where it is looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tagscope.canvas import raster
from napari_tagscope.canvas.recent import Recent
from tagscope.core.section import LabelImage

MOST_READ = 1 << 23  # pixels of the image that one tile may read
BLOCK = (1024, 1024)  # pixels read at once of an image that does not tell its chunks
KEPT_BYTES = 256 << 20  # of chunks as they were read: neighbouring tiles need the same
AS_FINE = 1.1  # a level whose pixel is this much larger than asked for still serves
ROUNDING = 1e-6  # pixels: a centre between two of the image's takes the same one everywhere


class StoredLabels:
    """Windows of a label image as label i + 1 for cell i; ids of no cell are background.

    ``lacking`` (N,) tells which cells have no label in it.
    """

    def __init__(self, image: LabelImage) -> None:
        self.identity = image.identity
        self.lacking = image.ids <= 0
        order = np.argsort(image.ids, kind="stable")
        order = order[np.count_nonzero(self.lacking) :]
        self._ids, self._labels = image.ids[order], (order + 1).astype(np.int32)
        self._levels, self._affines = image.levels, image.affines
        self._chunks = [getattr(level, "chunksize", BLOCK) for level in image.levels]
        tall, wide = self._chunks[0]
        self._blocks: Recent[tuple[int, int, int], npt.NDArray[Any]]
        self._blocks = Recent(max(1, KEPT_BYTES // (tall * wide * image.levels[0].dtype.itemsize)))
        self._pixels = [float(np.sqrt(abs(np.linalg.det(a[:2, :2])))) for a in image.affines]

    @property
    def pixel(self) -> float:
        """Size of the largest level's pixel, µm."""
        return self._pixels[0]

    @property
    def extent(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Lowest and highest x, y of the image, µm."""
        rows, columns = self._levels[0].shape
        corners = np.array([[0, 0, 1], [columns, 0, 1], [0, rows, 1], [columns, rows, 1]])
        moved = (corners @ self._affines[0].T)[:, :2]
        return moved.min(axis=0), moved.max(axis=0)

    def read(
        self, corner: npt.NDArray[np.float64], pixel: float, size: int
    ) -> raster.Labels | None:
        """The square of ``size`` pixels whose upper left corner is at ``corner`` (x, y), µm.

        Every pixel takes the label under its centre, from the smallest level that is fine enough.
        None where more would have to be read than a tile is worth.
        """
        fine = [number for number, own in enumerate(self._pixels) if own <= AS_FINE * pixel]
        number = max(fine, default=0)
        level = self._levels[number]
        columns, rows = self._places(number, corner, pixel, size)
        inside = (rows >= 0) & (rows < level.shape[0]) & (columns >= 0) & (columns < level.shape[1])
        if not inside.any():
            return np.zeros((size, size), np.int32)
        r0, r1 = int(rows[inside].min()), int(rows[inside].max()) + 1
        c0, c1 = int(columns[inside].min()), int(columns[inside].max()) + 1
        if (r1 - r0) * (c1 - c0) > MOST_READ:
            return None
        ids = raster.assembled(
            (r0, r1, c0, c1),
            self._chunks[number],
            level.dtype,
            lambda i, j: self._blocks.get((number, i, j), lambda: self._chunk(number, i, j)),
        )
        found = ids[np.clip(rows, r0, r1 - 1) - r0, np.clip(columns, c0, c1 - 1) - c0]
        return np.where(inside, self._label_of(found.astype(np.int64)), np.int32(0))

    def _chunk(self, number: int, i: int, j: int) -> npt.NDArray[Any]:
        tall, wide = self._chunks[number]
        return np.asarray(
            self._levels[number][i * tall : (i + 1) * tall, j * wide : (j + 1) * wide]
        )

    def _places(
        self, number: int, corner: npt.NDArray[np.float64], pixel: float, size: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Column and row in a level under every pixel's centre, (size, size) each."""
        to_level = np.linalg.inv(self._affines[number])
        x, y = corner[:, None] + (np.arange(size) + 0.5) * pixel
        columns, rows = (
            np.floor(along * x + across * y[:, None] + shift + ROUNDING).astype(np.int64)
            for along, across, shift in to_level[:2]
        )
        return columns, rows

    def _label_of(self, ids: npt.NDArray[np.int64]) -> raster.Labels:
        if len(self._ids) == 0:
            return np.zeros(ids.shape, np.int32)
        place = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
        return np.where(self._ids[place] == ids, self._labels[place], np.int32(0))
