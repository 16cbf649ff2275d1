"""What a section's cells are drawn as: polygons, discs, or the area nearest to each."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from napari_tagscope.canvas import raster
from napari_tagscope.canvas.tiles import TILE
from tagscope.core.section import CellOutlines

Shape = Literal["discs", "areas"]

SMALLEST_POLYGON = 4.0  # cells less wide than this, in pixels, are drawn as discs
NEIGHBOR = 3  # whose distance tells how wide a cell without a polygon is drawn
REACH = 0.75  # of that distance: how far a cell's area reaches; on a lattice it leaves no gap
SAMPLE = 20_000  # cells that tell the typical size
SMALLEST_KEPT = 2.0  # cells less wide than this may be covered by others
SMALLEST_BORDERED = 10.0  # cells less wide than this touch without a border


class DrawnCells:
    """What is drawn: polygons, discs and areas in µm, found by their y extent.

    ``spot`` is the width of cells without a polygon where it is known. ``shape`` may be changed:
    ``"discs"``, or ``"areas"``: all that is nearest to a centroid, up to ``reach``.
    """

    def __init__(
        self,
        xy: npt.NDArray[np.float64],
        outlines: CellOutlines | None,
        spot: float | None = None,
    ) -> None:
        self._outlines = outlines
        self.shape: Shape = "discs"
        placed = np.isfinite(xy).all(axis=1)
        self.finite = np.flatnonzero(placed)
        self.tree = cKDTree(xy[placed], balanced_tree=False, compact_nodes=False)
        self._low, self._high, self._has_ring = _ring_boxes(len(xy), outlines)
        width = self._ring_diameter()
        apart = width or self._spacing()
        self.diameter = width or spot or apart
        self.reach = max(REACH * apart, self.diameter / 2)
        discs = placed & ~self._has_ring
        self._low[discs] = xy[discs] - self.reach
        self._high[discs] = xy[discs] + self.reach
        drawn = np.flatnonzero(placed | self._has_ring)
        middle = (self._low[drawn, 1] + self._high[drawn, 1]) / 2
        order = np.argsort(middle, kind="stable")
        self._order, self._middle = drawn[order], middle[order]
        heights = self._high[drawn, 1] - self._low[drawn, 1]
        self._half_height = float(heights.max(initial=0.0)) / 2
        self.extent = np.zeros(2), np.ones(2)  # lowest and highest x, y of all that is drawn, µm
        if len(drawn):
            self.extent = self._low[drawn].min(axis=0), self._high[drawn].max(axis=0)

    @property
    def all_outlined(self) -> bool:
        """Whether every cell has a polygon."""
        return bool(self._has_ring.all())

    @property
    def radius(self) -> float:
        """How far from its centroid a cell without a polygon is drawn, µm."""
        return self.reach if self.shape == "areas" else self.diameter / 2

    def border(self, pixel: float) -> int:
        """Pixels of background between cells that touch, where a pixel is this large."""
        width = self.diameter / pixel
        return 0 if width < SMALLEST_BORDERED else 1 if width < 2 * SMALLEST_BORDERED else 2

    def draw(
        self,
        corner: npt.NDArray[np.float64],
        pixel: float,
        only: npt.NDArray[np.bool_] | None = None,
    ) -> raster.Labels:
        """The tile whose first pixel's upper left corner is at ``corner`` (x, y), µm.

        ``only`` (N,) tells which cells to draw, all by default.
        """
        border = self.border(pixel)
        # a border needs the pixels after it
        image = np.zeros((TILE + border, TILE + border), np.int32)
        rows = self._touching(corner, corner + len(image) * pixel)
        if only is not None:
            rows = rows[only[rows]]
        centers = (self._centers(rows) - corner) / pixel
        as_ring = self._has_ring[rows] & (self.diameter / pixel >= SMALLEST_POLYGON)
        discs = ~as_ring
        radius = max(self.radius / pixel, 0.5)
        raster.stamp_discs(image, centers[discs], radius, _labels(rows[discs]))
        self._fill(image, rows[as_ring], corner, pixel)
        tile = raster.cut_borders(image, border)
        if self.diameter / pixel >= SMALLEST_KEPT:
            raster.restore_lost(tile, centers, _labels(rows))
        return tile

    def are_dots(self, pixel: float) -> bool:
        """Whether every cell is drawn as a single pixel, where a pixel is this large."""
        return self.diameter / pixel < SMALLEST_KEPT and self.radius < pixel

    def dots(
        self, corner: npt.NDArray[np.float64], pixel: float, shape: tuple[int, int]
    ) -> raster.Labels:
        """A whole image where cells are dots, as :meth:`draw` makes it tile by tile."""
        columns, rows = ((self._centers(self._order) - corner) / pixel).astype(np.int64).T
        image = np.zeros(shape, np.int32)
        inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
        image[rows[inside], columns[inside]] = _labels(self._order[inside])
        return image

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
