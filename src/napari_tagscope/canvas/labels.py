"""The tissue as a pyramid of cell-label images, drawn where and when it is looked at.

Label 0 is background, cell i has label i + 1. Pixels of level 0 are a small part of a cell wide;
every level halves the one before. Nothing is drawn until a window of a level is asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import RLock
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from napari_tagscope.canvas import raster
from tagscope.core.section import CellOutlines

Window = tuple[int, int, int, int]

PIXELS_PER_CELL = 96  # across a typical cell at level 0
COARSEST = 512  # longest side of the last level, pixels
LARGEST = 1 << 18  # longest side of level 0, pixels
TILE = 512
CACHE_BYTES = 256 << 20
SMALLEST_POLYGON = 4.0  # cells less wide than this, in pixels, are drawn as discs
NEIGHBOR = 3  # whose distance tells how wide a cell without a polygon is drawn
SAMPLE = 20_000  # cells that tell the typical size
SMALLEST_KEPT = 2.0  # cells less wide than this may be covered by others
SMALLEST_BORDERED = 10.0  # cells less wide than this touch without a border


class TilePyramid:
    """Multiscale label images, drawn tile by tile where and when they are looked at.

    ``origin`` (y, x) of the first pixel's corner and ``size`` (y, x) of what is covered, both in
    µm; ``pixel`` µm at level 0. Drawn tiles are kept up to ``cache_bytes``.
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
        self._tiles: OrderedDict[tuple[int, int, int], raster.Labels] = OrderedDict()
        self._windows: OrderedDict[tuple[int, Window], raster.Labels] = OrderedDict()
        self._tile_limit = max(1, cache_bytes // (TILE * TILE * 4))
        self._lock = RLock()  # napari may slice in a thread of its own

    def __len__(self) -> int:
        return len(self.levels)

    def window(self, level: int, window: Window) -> raster.Labels:
        """Labels of rows ``r0:r1`` and columns ``c0:c1`` of a level, read-only int32."""
        with self._lock:
            key = (level, window)
            if key in self._windows:
                self._windows.move_to_end(key)
                return self._windows[key]
            labels = self._assemble(level, window)
            labels.flags.writeable = False
            self._windows[key] = labels
            if len(self._windows) > 3:
                self._windows.popitem(last=False)
            return labels

    def forget(self) -> None:
        """Draw all anew when it is next looked at."""
        with self._lock:
            self._tiles.clear()
            self._windows.clear()

    def _assemble(self, level: int, window: Window) -> raster.Labels:
        r0, r1, c0, c1 = window
        out = np.zeros((max(r1 - r0, 0), max(c1 - c0, 0)), np.int32)
        if out.size == 0:
            return out
        for i in range(r0 // TILE, -(-r1 // TILE)):
            for j in range(c0 // TILE, -(-c1 // TILE)):
                top, left = i * TILE, j * TILE
                a, b = max(r0, top), min(r1, top + TILE)
                c, d = max(c0, left), min(c1, left + TILE)
                tile = self._tile(level, i, j)
                out[a - r0 : b - r0, c - c0 : d - c0] = tile[a - top : b - top, c - left : d - left]
        return out

    def _tile(self, level: int, i: int, j: int) -> raster.Labels:
        key = (level, i, j)
        if key not in self._tiles:
            self._tiles[key] = self._draw(level, i * TILE, j * TILE)
            while len(self._tiles) > self._tile_limit:
                self._tiles.popitem(last=False)
        self._tiles.move_to_end(key)
        return self._tiles[key]

    def _draw(self, level: int, top: int, left: int) -> raster.Labels:
        """The tile whose first pixel is at row ``top`` and column ``left`` of a level."""
        raise NotImplementedError


class LabelPyramid(TilePyramid):
    """Multiscale cell labels of a section.

    ``xy`` (N, 2) centroids in µm; ``outlines`` the cells' polygons. Cells without a polygon are
    discs, whose width comes from the median distance to a near cell; cells without a finite
    position are not drawn.
    """

    def __init__(
        self,
        xy: npt.NDArray[np.float64],
        outlines: CellOutlines | None = None,
        *,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.xy = xy
        self._cells = _DrawnCells(xy, outlines)
        low, high = self._cells.extent
        width, height = (float(side) for side in high - low)
        pixel = max(self._cells.diameter / PIXELS_PER_CELL, max(width, height) / LARGEST)
        super().__init__((float(low[1]), float(low[0])), (height, width), pixel, cache_bytes)

    @property
    def diameter(self) -> float:
        """Width of a typical cell, µm."""
        return self._cells.diameter

    def at(self, y: float, x: float) -> int:
        """Row of the cell at a position in µm, −1 where there is none."""
        row = int(np.floor((y - self.origin[0]) / self.pixel))
        column = int(np.floor((x - self.origin[1]) / self.pixel))
        rows, columns = self.shapes[0]
        if not (0 <= row < rows and 0 <= column < columns):
            return -1
        with self._lock:
            tile = self._tile(0, row // TILE, column // TILE)
        return int(tile[row % TILE, column % TILE]) - 1

    def nearest(self, y: float, x: float, reach: float) -> int:
        """Row of the cell whose centroid is nearest to a position in µm, −1 beyond ``reach``."""
        return self._cells.nearest(y, x, reach)

    def _draw(self, level: int, top: int, left: int) -> raster.Labels:
        pixel = self.pixel * (1 << level)
        corner = np.array([self.origin[1] + left * pixel, self.origin[0] + top * pixel])
        return self._cells.draw(corner, pixel)


class _DrawnCells:
    """What is drawn: polygons and discs in µm, found by their y extent."""

    def __init__(self, xy: npt.NDArray[np.float64], outlines: CellOutlines | None) -> None:
        self._outlines = outlines
        self.xy = xy
        placed = np.isfinite(xy).all(axis=1)
        self.finite = np.flatnonzero(placed)
        self.tree = cKDTree(xy[placed], balanced_tree=False, compact_nodes=False)
        self._low, self._high, self._has_ring = _ring_boxes(len(xy), outlines)
        self.diameter = self._ring_diameter() or self._spacing()
        discs = placed & ~self._has_ring
        self._low[discs] = xy[discs] - self.diameter / 2
        self._high[discs] = xy[discs] + self.diameter / 2
        drawn = np.flatnonzero(placed | self._has_ring)
        middle = (self._low[drawn, 1] + self._high[drawn, 1]) / 2
        order = np.argsort(middle, kind="stable")
        self._order, self._middle = drawn[order], middle[order]
        heights = self._high[drawn, 1] - self._low[drawn, 1]
        self._half_height = float(heights.max(initial=0.0)) / 2

    @property
    def extent(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Lowest and highest x, y of all that is drawn, µm."""
        if len(self._order) == 0:
            return np.zeros(2), np.ones(2)
        return self._low[self._order].min(axis=0), self._high[self._order].max(axis=0)

    def draw(self, corner: npt.NDArray[np.float64], pixel: float) -> raster.Labels:
        """The tile whose first pixel's upper left corner is at ``corner`` (x, y), µm."""
        width = self.diameter / pixel
        border = 0 if width < SMALLEST_BORDERED else 1 if width < 2 * SMALLEST_BORDERED else 2
        # a border needs the pixels after it
        image = np.zeros((TILE + border, TILE + border), np.int32)
        rows = self._touching(corner, corner + len(image) * pixel)
        centers = (self._centers(rows) - corner) / pixel
        as_ring = self._has_ring[rows] & (width >= SMALLEST_POLYGON)
        discs = ~as_ring
        raster.stamp_discs(image, centers[discs], max(width / 2, 0.5), _labels(rows[discs]))
        self._fill(image, rows[as_ring], corner, pixel)
        tile = raster.cut_borders(image, border)
        if width >= SMALLEST_KEPT:
            raster.restore_lost(tile, centers, _labels(rows))
        return tile

    def nearest(self, y: float, x: float, reach: float) -> int:
        """Row of the cell whose centroid is nearest, −1 beyond ``reach``."""
        distance, position = self.tree.query((x, y), distance_upper_bound=reach)
        return int(self.finite[position]) if np.isfinite(distance) else -1

    def _touching(
        self, low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.int64]:
        """Rows whose boxes touch a rectangle, from top to bottom."""
        start = np.searchsorted(self._middle, low[1] - self._half_height)
        stop = np.searchsorted(self._middle, high[1] + self._half_height, side="right")
        rows = self._order[start:stop]
        touches = (self._high[rows] >= low) & (self._low[rows] <= high)
        found: npt.NDArray[np.int64] = rows[touches.all(axis=1)]
        return found

    def _fill(
        self,
        image: raster.Labels,
        rows: npt.NDArray[np.int64],
        corner: npt.NDArray[np.float64],
        pixel: float,
    ) -> None:
        if self._outlines is None or len(rows) == 0:
            return
        starts = self._outlines.offsets[rows]
        sizes = self._outlines.offsets[rows + 1] - starts
        vertices = self._outlines.vertices[raster.ranges(starts, sizes)]
        raster.fill_polygons(image, (vertices - corner) / pixel, sizes, _labels(rows))

    def _centers(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Middle of the cells' boxes: the centroid of a disc, always inside what is drawn."""
        return (self._low[rows] + self._high[rows]) / 2

    def _ring_diameter(self) -> float:
        """Width of the circle with the rings' median area, 0 without rings."""
        rows = np.flatnonzero(self._has_ring)
        if self._outlines is None or len(rows) == 0:
            return 0.0
        rows = rows[:: max(1, len(rows) // SAMPLE)]
        return float(2 * np.sqrt(np.median(_ring_areas(self._outlines, rows)) / np.pi))

    def _spacing(self) -> float:
        """Median distance from a cell to its third neighbour; 10 where that means nothing.

        On a lattice it is the pitch; where cells lie at random, the nearest alone is often a
        neighbour that nearly overlaps.
        """
        count = min(NEIGHBOR + 1, self.tree.n)
        if count < 2:
            return 10.0
        step = max(1, self.tree.n // SAMPLE)
        distances, _ = self.tree.query(self.tree.data[::step], k=[count])
        apart = distances[distances > 0]
        return float(np.median(apart)) if len(apart) else 10.0


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


def _labels(rows: npt.NDArray[np.int64]) -> raster.Labels:
    return (rows + 1).astype(np.int32)


def _ring_boxes(
    count: int, outlines: CellOutlines | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Lowest and highest x, y of every cell's ring (N, 2), NaN without one, and who has one."""
    low, high = np.full((count, 2), np.nan), np.full((count, 2), np.nan)
    if outlines is None or len(outlines.vertices) == 0:
        return low, high, np.zeros(count, np.bool_)
    filled = np.flatnonzero(np.diff(outlines.offsets) >= 3)
    starts = outlines.offsets[filled]
    stops = outlines.offsets[filled + 1]
    pairs = np.stack([starts, stops], axis=1).reshape(-1)
    # reduceat runs to the next index: of the alternating ranges every second is a ring
    padded = np.concatenate([outlines.vertices, outlines.vertices[-1:]])
    low[filled] = np.minimum.reduceat(padded, pairs)[::2]
    high[filled] = np.maximum.reduceat(padded, pairs)[::2]
    finite = np.isfinite(low).all(axis=1) & np.isfinite(high).all(axis=1)
    return low, high, finite


def _ring_areas(outlines: CellOutlines, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Area inside the rings of some cells that have one, (n,), µm²."""
    starts = outlines.offsets[rows]
    sizes = outlines.offsets[rows + 1] - starts
    vertices = outlines.vertices[raster.ranges(starts, sizes)].astype(np.float64)
    first = np.cumsum(sizes) - sizes
    # seen from its first vertex, a ring's closing edge adds nothing, nor do large coordinates
    x, y = (vertices - np.repeat(vertices[first], sizes, axis=0)).T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    cross[first + sizes - 1] = 0.0
    return np.asarray(np.abs(np.add.reduceat(cross, first)) / 2)
