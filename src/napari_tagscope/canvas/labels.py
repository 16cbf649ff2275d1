"""The tissue as a pyramid of cell-label images, drawn where and when it is looked at.

Label 0 is background, cell i has label i + 1. Pixels of level 0 are a small part of a cell wide;
every level halves the one before. Nothing is drawn until a window of a level is asked for.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tagscope.canvas import raster
from napari_tagscope.canvas.drawn import SMALLEST_POLYGON, DrawnCells, Shape
from napari_tagscope.canvas.raster import Window
from napari_tagscope.canvas.recent import Recent
from napari_tagscope.canvas.stored import StoredLabels
from napari_tagscope.canvas.tile_cache import TileCache, digest_of
from napari_tagscope.canvas.tiles import CACHE_BYTES, TILE, WINDOWS, TilePyramid
from tagscope.core.section import CellOutlines, LabelImage

VERSION = 1  # of what is drawn: a change lets tiles on disk be drawn anew
PIXELS_PER_CELL = 96  # across a typical cell at level 0
SHARP = 24  # pixels of a label image across a cell; with fewer, polygons are drawn
LARGEST = 1 << 18  # longest side of level 0, pixels
LARGEST_WHOLE = 1 << 24  # pixels of a level whose cells are dots, drawn at once
OUTLINE = 3  # width of an outline, pixels: two to three on the screen, as napari chooses levels
WORTH_KEEPING = 0.02  # seconds of drawing from which a tile is kept on disk


class LabelPyramid(TilePyramid):
    """Multiscale cell labels of a section.

    ``xy`` (N, 2) centroids in µm; ``outlines`` the cells' polygons; ``labels`` a label image of
    theirs, which is sampled instead of drawing wherever cells are wide enough, unless polygons are
    sharper: pixel and origin of level 0 are then the image's own. Cells that neither holds are
    discs, or the areas nearest to their centroids as ``shape`` says; their width is
    ``spot_diameter``, or comes from the median distance to a near cell. Cells without a finite
    position are not drawn, nor is a cell whose label is in no pixel of the image. Drawn tiles are
    kept up to ``cache_bytes``, and on ``disk``.
    """

    def __init__(
        self,
        xy: npt.NDArray[np.float64],
        outlines: CellOutlines | None = None,
        *,
        labels: LabelImage | None = None,
        spot_diameter: float | None = None,
        cache_bytes: int = CACHE_BYTES,
        disk: TileCache | None = None,
    ) -> None:
        self._cells = DrawnCells(xy, outlines, spot_diameter)
        stored = None if labels is None else StoredLabels(labels)
        self._stored = None if stored is None or self._is_rough(stored) else stored
        self._drawn = (xy, outlines, labels)
        pixel, low, high = self._grid()
        size = high - low
        super().__init__(
            (float(low[1]), float(low[0])), (float(size[1]), float(size[0])), pixel, cache_bytes
        )
        self._edges: Recent[tuple[int, Window], raster.Mask] = Recent(WINDOWS)
        self._whole: Recent[int, raster.Labels] = Recent(WINDOWS)
        self._disk = disk
        self._digest: str | None = None

    @property
    def digest(self) -> str | None:
        """A name for all that is drawn, None where nothing tells when the label image changes."""
        if self._digest is None and (self._stored is None or self._stored.identity):
            self._digest = self._named()
        return self._digest

    @property
    def diameter(self) -> float:
        """Width of a typical cell, µm."""
        return self._cells.diameter

    @property
    def extent(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Lowest and highest x, y of the cells as they are drawn, µm."""
        return self._cells.extent

    @property
    def shape(self) -> Shape:
        """What cells without a polygon are drawn as."""
        return self._cells.shape

    @shape.setter
    def shape(self, shape: Shape) -> None:
        if shape == self._cells.shape:
            return
        with self._drawing:
            self._cells.shape = shape
            self._digest = None
            self._edges.clear()
            self._whole.clear()
            self.forget()

    def prepare(self, largest: int) -> None:
        """Do ahead what takes long: levels of no longer a side, and the name of what is drawn."""
        super().prepare(largest)
        if self._disk is not None:
            self._digest = self.digest

    def cell_width(self, level: int) -> float:
        """Width of a typical cell in pixels of a level."""
        return self._cells.diameter / (self.pixel * (1 << level))

    def pixel_of(self, xy: npt.NDArray[np.float64], level: int) -> npt.NDArray[np.float64]:
        """Row and column of the pixel of a level at a position x, y in µm, NaN of none."""
        place: npt.NDArray[np.float64] = np.floor(
            (xy[::-1] - self.origin) / (self.pixel * (1 << level))
        )
        return place

    def edges(self, level: int, window: Window) -> raster.Mask:
        """Whether each pixel of a window belongs to a cell's outline, read-only."""
        kept = self._edges.find((level, window))
        return self._outlined(level, window) if kept is None else kept

    def at(self, y: float, x: float) -> int:
        """Row of the cell at a position in µm, −1 where there is none."""
        return int(self.value_at(y, x)) - 1

    def nearest(self, y: float, x: float, reach: float) -> int:
        """Row of the cell whose centroid is nearest to a position in µm, −1 beyond ``reach``."""
        return self._cells.nearest(y, x, reach)

    def _outlined(self, level: int, window: Window) -> raster.Mask:
        r0, r1, c0, c1 = window
        rows, columns = self.shapes[level]
        around = (
            max(r0 - OUTLINE, 0), min(r1 + OUTLINE, rows),
            max(c0 - OUTLINE, 0), min(c1 + OUTLINE, columns),
        )  # fmt: skip
        inner = (slice(r0 - around[0], r1 - around[0]), slice(c0 - around[2], c1 - around[2]))
        drawn = self.is_drawn(level, around)
        edges = raster.inner_edges(self.window(level, around), OUTLINE)[inner]
        edges.flags.writeable = False
        if drawn:
            self._edges.keep((level, window), edges)
        return edges

    def _made(self, level: int, i: int, j: int) -> raster.Labels:
        """A tile cut out of an image of dots, from the disk, or drawn anew."""
        pixel = self.pixel * (1 << level)
        if self._cells.are_dots(pixel) and np.prod(self.shapes[level]) <= LARGEST_WHOLE:
            whole = self._whole.get(level, lambda: self._dots(level))
            tile = np.zeros((TILE, TILE), np.int32)
            part = whole[i * TILE : (i + 1) * TILE, j * TILE : (j + 1) * TILE]
            tile[: part.shape[0], : part.shape[1]] = part
            return tile
        if self._disk is None or self.digest is None:
            return self._draw(level, i * TILE, j * TILE)
        name = f"{self.digest}-{level}-{i}-{j}"
        found = self._disk.read(name, (TILE, TILE))
        if found is not None:
            return found
        start = perf_counter()
        tile = self._draw(level, i * TILE, j * TILE)
        if perf_counter() - start > WORTH_KEEPING:
            self._disk.write(name, tile)
        return tile

    def _dots(self, level: int) -> raster.Labels:
        corner = np.array([self.origin[1], self.origin[0]])
        return self._cells.dots(corner, self.pixel * (1 << level), self.shapes[level])

    def _draw(self, level: int, top: int, left: int) -> raster.Labels:
        pixel = self.pixel * (1 << level)
        corner = np.array([self.origin[1] + left * pixel, self.origin[0] + top * pixel])
        if self._stored is not None and self.cell_width(level) >= SMALLEST_POLYGON:
            border = self._cells.border(pixel)
            image = self._stored.read(corner, pixel, TILE + border)
            if image is not None:
                tile = raster.cut_borders(image, border)
                if self._stored.lacking.any():
                    others = self._cells.draw(corner, pixel, only=self._stored.lacking)
                    np.copyto(tile, others, where=tile == 0)
                return tile
        return self._cells.draw(corner, pixel)

    def _named(self) -> str:
        xy, outlines, labels = self._drawn
        parts: list[Any] = [
            (VERSION, TILE, self.pixel, self.origin, self._cells.diameter, self._cells.radius),
            xy,
        ]
        if outlines is not None:
            parts += [outlines.vertices, outlines.offsets]
        if labels is not None:
            parts += [labels.identity, labels.ids]
        return digest_of(parts)

    def _is_rough(self, stored: StoredLabels) -> bool:
        """Whether every cell has a polygon, and a label image shows them less sharply."""
        return self._cells.all_outlined and stored.pixel * SHARP > self._cells.diameter

    def _grid(self) -> tuple[float, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Pixel of level 0, lowest and highest x, y: the label image's own where there is one."""
        low, high = self._cells.extent
        if self._stored is None:
            widest = float((high - low).max())
            return max(self._cells.diameter / PIXELS_PER_CELL, widest / LARGEST), low, high
        pixel = self._stored.pixel
        first, last = self._stored.extent
        before = np.ceil(np.maximum(first - low, 0.0) / pixel)
        return pixel, first - before * pixel, np.maximum(high, last)
