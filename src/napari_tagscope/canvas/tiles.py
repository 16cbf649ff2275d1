"""Multiscale images, drawn tile by tile where and when they are looked at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from threading import RLock
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tagscope.canvas import raster
from napari_tagscope.canvas.background import Background, TileKey
from napari_tagscope.canvas.raster import Window
from napari_tagscope.canvas.recent import Recent

Pixels = npt.NDArray[Any]

TILE = 512
CHUNK = 128
COARSEST = 512  # longest side of the last level, pixels
WINDOWS = 6  # kept: those of a few layers side by side
CACHE_BYTES = 256 << 20
OVERVIEW = 1024  # longest side of the level that is always there, pixels
FRAME = 0.015  # seconds of drawing that a frame has time for


class TilePyramid(ABC):
    """Images whose levels halve each other: labels, where 0 is background, or pictures.

    ``origin`` (y, x) of the first pixel's corner and ``size`` (y, x) of what is covered, both in
    the section's unit; ``pixel`` is that of level 0. ``dtype`` and ``channels`` are those of a
    pixel. Drawn tiles are kept up to ``cache_bytes``; they must be more than a screen shows.
    Where there is a ``background``, what takes longer to draw than a frame has is left to it, and
    the same place of a coarser level stands in until then.
    """

    def __init__(
        self,
        origin: tuple[float, float],
        size: tuple[float, float],
        pixel: float,
        cache_bytes: int = CACHE_BYTES,
        dtype: npt.DTypeLike = np.int32,
        channels: tuple[int, ...] = (),
    ) -> None:
        self.dtype, self.channels = np.dtype(dtype), channels
        self.origin = origin
        self.pixel = pixel
        self.background: Background | None = None
        rows, columns = (int(np.ceil(side / pixel)) or 1 for side in size)
        self.shapes = self._shapes(rows, columns)
        self.levels = [TileLevel(self, level) for level in range(len(self.shapes))]
        tile_bytes = TILE * TILE * self.dtype.itemsize * int(np.prod(channels))
        self._tiles: Recent[TileKey, Pixels] = Recent(max(1, cache_bytes // tile_bytes))
        self._windows: Recent[tuple[int, Window], Pixels] = Recent(WINDOWS)
        self._overview: tuple[int, Pixels] | None = None
        self._seconds: dict[int, float] = {}  # that the last tile of a level took
        self._drawing = RLock()  # one tile at a time, and none while what is drawn changes

    def __len__(self) -> int:
        return len(self.levels)

    def window(self, level: int, window: Window) -> Pixels:
        """Rows ``r0:r1`` and columns ``c0:c1`` of a level, read-only."""
        kept = self._windows.find((level, window))
        if kept is not None:
            return kept
        missing = self._missing(level, window)
        if self.background is None or self._draws_now(level, len(missing)):
            pixels = self._assemble(level, window, self._tile)
            self._windows.keep((level, window), pixels)
            return pixels
        self.background.ask(missing)
        return self._assemble(level, window, self._stand_in)

    def value_at(self, y: float, x: float, level: int = 0) -> Any:
        """The pixel of a level at a position in the section's unit, 0 outside of the image."""
        pixel = self.pixel * (1 << level)
        row = int(np.floor((y - self.origin[0]) / pixel))
        column = int(np.floor((x - self.origin[1]) / pixel))
        rows, columns = self.shapes[level]
        if not (0 <= row < rows and 0 <= column < columns):
            return 0
        return self._tile(level, row // TILE, column // TILE)[row % TILE, column % TILE]

    def is_drawn(self, level: int, window: Window) -> bool:
        """Whether a window is there without anything that stands in."""
        return self.background is None or not self._missing(level, window)

    def draw(self, key: TileKey) -> None:
        """Draw a tile and keep it; for the background."""
        self._tile(*key)

    def forget(self) -> None:
        """Draw all anew when it is next looked at."""
        with self._drawing:
            self._tiles.clear()
            self._windows.clear()
            self._overview = None

    def prepare(self, largest: int) -> None:
        """Do ahead what takes long: levels of no longer a side than ``largest`` pixels."""
        for number, shape in enumerate(self.shapes):
            if max(shape) <= largest:
                self.window(number, (0, shape[0], 0, shape[1]))
        self._seen_from_afar()

    def _assemble(
        self, level: int, window: Window, tile: Callable[[int, int, int], Pixels]
    ) -> Pixels:
        pixels = raster.assembled(
            window, (TILE, TILE), self.dtype, lambda i, j: tile(level, i, j), self.channels
        )
        pixels.flags.writeable = False
        return pixels

    def _missing(self, level: int, window: Window) -> list[TileKey]:
        """The tiles of a window that are not kept, those in its middle first."""
        r0, r1, c0, c1 = window
        rows, columns = range(r0 // TILE, -(-r1 // TILE)), range(c0 // TILE, -(-c1 // TILE))
        middle = ((r0 + r1) / TILE / 2 - 0.5, (c0 + c1) / TILE / 2 - 0.5)
        keys = [(level, i, j) for i in rows for j in columns if (level, i, j) not in self._tiles]
        return sorted(keys, key=lambda key: abs(key[1] - middle[0]) + abs(key[2] - middle[1]))

    def _draws_now(self, level: int, tiles: int) -> bool:
        """Whether as many tiles of a level are drawn soon enough for a frame."""
        if tiles == 0:
            return True
        busy = self.background is not None and self.background.busy
        return not busy and tiles * self._seconds.get(level, np.inf) < FRAME

    def _tile(self, level: int, i: int, j: int) -> Pixels:
        """A tile, drawn where it is not kept."""
        kept = self._tiles.find((level, i, j))
        if kept is not None:
            return kept
        with self._drawing:  # another thread may have drawn it meanwhile
            return self._tiles.get((level, i, j), lambda: self._timed(level, i, j))

    def _stand_in(self, level: int, i: int, j: int) -> Pixels:
        """A tile as it is kept, or the same place of the finest coarser level that is."""
        far, overview = self._seen_from_afar()
        for coarser in range(level, far):
            step = coarser - level
            tile = self._tiles.find((coarser, i >> step, j >> step))
            if tile is not None:
                if step == 0:
                    return tile
                top, left = ((number * TILE >> step) % TILE for number in (i, j))
                return _resized(tile, top, left, step)
        step = far - level
        return _resized(overview, i * TILE * 2.0**-step, j * TILE * 2.0**-step, step)

    def _seen_from_afar(self) -> tuple[int, Pixels]:
        """A level that is always there, and all of its pixels."""
        if self._overview is None:
            level = next(n for n, shape in enumerate(self.shapes) if max(shape) <= OVERVIEW)
            whole = (0, self.shapes[level][0], 0, self.shapes[level][1])
            self._overview = level, self._assemble(level, whole, self._tile)
        return self._overview

    def _timed(self, level: int, i: int, j: int) -> Pixels:
        start = perf_counter()
        tile = self._made(level, i, j)
        self._seconds[level] = perf_counter() - start
        return tile

    def _made(self, level: int, i: int, j: int) -> Pixels:
        """A tile that is not kept."""
        return self._draw(level, i * TILE, j * TILE)

    def _shapes(self, rows: int, columns: int) -> list[tuple[int, int]]:
        """Shape of every level: whole blocks, so that levels differ by exactly two."""
        count = _level_count(rows, columns)
        step = 1 << (count - 1)
        top = (-(-rows // step) * step, -(-columns // step) * step)
        return [(top[0] >> level, top[1] >> level) for level in range(count)]

    @abstractmethod
    def _draw(self, level: int, top: int, left: int) -> Pixels:
        """The tile whose first pixel is at row ``top`` and column ``left`` of a level."""


class TileLevel:
    """One level of a pyramid as an array: what napari asks of a multiscale source."""

    def __init__(self, pyramid: TilePyramid, level: int) -> None:
        self._pyramid = pyramid
        self._level = level
        self.shape = (*pyramid.shapes[level], *pyramid.channels)
        self.dtype = pyramid.dtype
        self.ndim = len(self.shape)
        # napari widens what it asks for to whole chunks, so that a small pan asks for nothing
        self.chunks = (CHUNK, CHUNK, *pyramid.channels)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    def __getitem__(self, key: Any) -> Pixels:
        window, rest = split_key(key, self.shape)
        return np.asarray(self._pyramid.window(self._level, window)[rest])

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        pixels = self._pyramid.window(self._level, (0, self.shape[0], 0, self.shape[1]))
        return np.array(pixels, dtype=dtype) if copy else np.asarray(pixels, dtype=dtype)


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


def _level_count(rows: int, columns: int) -> int:
    return max(0, int(np.ceil(np.log2(max(rows, columns) / COARSEST)))) + 1


def _resized(pixels: Pixels, top: float, left: float, step: int) -> Pixels:
    """The tile from a row and column of an image whose pixels are ``2 ** step`` as large."""
    places = (np.arange(TILE) + 0.5) * 2.0**-step
    rows, columns = ((first + places).astype(np.int64) for first in (top, left))
    tile = pixels.take(rows, axis=0, mode="clip").take(columns, axis=1, mode="clip")
    tile[rows >= pixels.shape[0]] = 0
    tile[:, columns >= pixels.shape[1]] = 0
    return tile
