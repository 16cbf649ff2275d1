"""Images of cells that napari shows level by level: a table seen through the labels.

A painting is an image pyramid whose windows are ``table[labels]``. Painting something else changes
the table alone, so its cost is per pixel on the screen and not per cell.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from napari_tagscope.canvas.labels import LabelPyramid
from napari_tagscope.canvas.raster import Window
from napari_tagscope.canvas.tiles import CHUNK, COARSEST, TilePyramid, split_key
from napari_tagscope.canvas.values import CategoryTable, ValueTable

Look = Literal["filled", "translucent", "outlines", "both"]

OUTLINED = 28.0  # pixels a cell is wide from which outlines are drawn: 14 to 28 on the screen


class Seen(Protocol):
    """Something that has a picture at every level of a pyramid."""

    dtype: np.dtype[Any]
    channels: tuple[int, ...]

    @property
    def pyramid(self) -> TilePyramid:
        """Whose levels are seen."""
        ...

    def window(self, level: int, window: Window) -> npt.NDArray[Any]:
        """The picture of a window of a level, its shape + channels."""
        ...


class Picture:
    """``levels`` is the data of a multiscale Image layer; :meth:`repaint` after a change."""

    def __init__(self, seen: Seen) -> None:
        self.levels = [PaintedLevel(seen, level) for level in range(len(seen.pyramid))]

    def repaint(self) -> None:
        """Take changes into what napari keeps."""
        self.levels[-1].repaint()


class Painting(Picture):
    """A table seen through a pyramid, cells filled or only their outlines where they are large.

    ``table`` may be replaced by another of its kind and ``look`` changed: call :meth:`repaint`,
    then refresh the layer.
    """

    def __init__(
        self, pyramid: LabelPyramid, table: ValueTable | CategoryTable, look: Look = "filled"
    ) -> None:
        self.pyramid = pyramid
        self.table = table
        self.look: Look = look
        self.dtype, self.channels = table.dtype, table.channels
        super().__init__(self)

    def window(self, level: int, window: Window) -> npt.NDArray[Any]:
        """Values or colours of a window."""
        labels = self.pyramid.window(level, window)
        if self.look == "outlines" and self.pyramid.cell_width(level) >= OUTLINED:
            labels = labels * self.pyramid.edges(level, window)
        return self.table.look_up(labels)


class PaintedLevel:
    """One level of a picture as an array: what napari asks of a multiscale source."""

    def __init__(self, seen: Seen, level: int) -> None:
        self._seen = seen
        self._level = level
        self._kept: npt.NDArray[Any] | None = None
        rows, columns = seen.pyramid.shapes[level]
        self.shape = (rows, columns, *seen.channels)
        self.dtype = seen.dtype
        self.ndim = len(self.shape)
        self.chunks = (CHUNK, CHUNK, *seen.channels)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        window, rest = split_key(key, self.shape)
        values: npt.NDArray[Any] = self._seen.window(self._level, window)[rest]
        return values

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        if copy or max(self.shape) > COARSEST:
            return np.asarray(self._whole(), dtype=dtype)
        # napari keeps the array it makes of the coarsest level: it gets one that is kept up to date
        if self._kept is None:
            self._kept = self._whole()
        return np.asarray(self._kept, dtype=dtype)

    def repaint(self) -> None:
        """Bring the array handed out before up to date, in place."""
        if self._kept is not None:
            self._kept[:] = self._whole()

    def _whole(self) -> npt.NDArray[Any]:
        return self._seen.window(self._level, (0, self.shape[0], 0, self.shape[1]))
