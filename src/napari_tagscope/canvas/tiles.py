"""Multiscale label images, drawn tile by tile where and when they are looked at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from threading import RLock
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tagscope.canvas import raster
from napari_tagscope.canvas.raster import Window
from napari_tagscope.canvas.recent import Recent

TILE = 512
COARSEST = 512  # longest side of the last level, pixels
WINDOWS = 6  # kept: those of a few layers side by side
CACHE_BYTES = 256 << 20


class TilePyramid(ABC):
    """Label images whose levels halve each other; 0 is background.

    ``origin`` (y, x) of the first pixel's corner and ``size`` (y, x) of what is covered, both in
    the section's unit; ``pixel`` is that of level 0. Drawn tiles are kept up to ``cache_bytes``.
    """

    def __init__(
        self,
        origin: tuple[float, float],
        size: tuple[float, float],
        pixel: float,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.origin = origin
        self.pixel = pixel
        rows, columns = (int(np.ceil(side / pixel)) or 1 for side in size)
        count = max(0, int(np.ceil(np.log2(max(rows, columns) / COARSEST)))) + 1
        step = 1 << (count - 1)  # whole blocks, so that levels differ by exactly two
        top = (-(-rows // step) * step, -(-columns // step) * step)
        self.shapes = [(top[0] >> level, top[1] >> level) for level in range(count)]
        self.levels = [LabelLevel(self, level) for level in range(count)]
        self._tiles: Recent[tuple[int, int, int], raster.Labels]
        self._tiles = Recent(max(1, cache_bytes // (TILE * TILE * 4)))
        self._windows: Recent[tuple[int, Window], raster.Labels] = Recent(WINDOWS)
        self._lock = RLock()  # napari may slice in a thread of its own

    def __len__(self) -> int:
        return len(self.levels)

    def window(self, level: int, window: Window) -> raster.Labels:
        """Labels of rows ``r0:r1`` and columns ``c0:c1`` of a level, read-only int32."""
        with self._lock:
            return self._windows.get((level, window), lambda: self._assemble(level, window))

    def forget(self) -> None:
        """Draw all anew when it is next looked at."""
        with self._lock:
            self._tiles.clear()
            self._windows.clear()

    def _assemble(self, level: int, window: Window) -> raster.Labels:
        labels: raster.Labels = raster.assembled(
            window, (TILE, TILE), np.dtype(np.int32), lambda i, j: self._tile(level, i, j)
        )
        labels.flags.writeable = False
        return labels

    def _tile(self, level: int, i: int, j: int) -> raster.Labels:
        return self._tiles.get((level, i, j), lambda: self._made(level, i, j))

    def _made(self, level: int, i: int, j: int) -> raster.Labels:
        """A tile that is not kept."""
        return self._draw(level, i * TILE, j * TILE)

    @abstractmethod
    def _draw(self, level: int, top: int, left: int) -> raster.Labels:
        """The tile whose first pixel is at row ``top`` and column ``left`` of a level."""


class LabelLevel:
    """One level of a pyramid as an array: what napari asks of a multiscale source."""

    def __init__(self, pyramid: TilePyramid, level: int) -> None:
        self._pyramid = pyramid
        self._level = level
        self.shape = pyramid.shapes[level]
        self.dtype = np.dtype(np.int32)
        self.ndim = 2

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.shape[0] * self.shape[1]

    def __getitem__(self, key: Any) -> npt.NDArray[np.int32]:
        window, rest = split_key(key, self.shape)
        labels: npt.NDArray[np.int32] = self._pyramid.window(self._level, window)[rest]
        return labels

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        labels = self._pyramid.window(self._level, (0, self.shape[0], 0, self.shape[1]))
        return np.array(labels, dtype=dtype) if copy else np.asarray(labels, dtype=dtype)


def split_key(key: Any, shape: tuple[int, ...]) -> tuple[Window, tuple[Any, ...]]:
    """An index of the first two axes as a window, and the index to apply to that window.

    Integers, slices with any step and ``...`` are understood, as of a numpy array.
    """
    keys = list(key) if isinstance(key, tuple) else [key]
    if any(k is Ellipsis for k in keys):
        gap = next(i for i, k in enumerate(keys) if k is Ellipsis)
        keys[gap : gap + 1] = [slice(None)] * (len(shape) - len(keys) + 1)
    keys += [slice(None)] * (2 - len(keys))
    bounds: list[int] = []
    rest: list[Any] = []
    for k, length in zip(keys[:2], shape, strict=False):
        low, high, within = _split_axis(k, length)
        bounds += [low, high]
        rest.append(within)
    return (bounds[0], bounds[1], bounds[2], bounds[3]), (*rest, *keys[2:])


def _split_axis(key: Any, length: int) -> tuple[int, int, int | slice]:
    if isinstance(key, slice):
        chosen = range(*key.indices(length))
        if len(chosen) == 0:
            return 0, 0, slice(0, 0)
        low, high = min(chosen[0], chosen[-1]), max(chosen[0], chosen[-1]) + 1
        return low, high, slice(None, None, chosen.step)
    position = int(key)
    if not -length <= position < length:
        raise IndexError(f"index {position} is outside an axis of {length}")
    return position % length, position % length + 1, 0
