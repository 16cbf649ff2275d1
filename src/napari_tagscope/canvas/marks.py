"""What is marked over the paintings: cells not selected dimmed, outlines, and the cell clicked.

Marks are an overlay of a layer, drawn with it and on top of it, and no layer of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from napari.components import ViewerModel
from napari.components.overlays import SceneOverlay
from napari.layers import Layer

from napari_tagscope.canvas import raster
from napari_tagscope.canvas.labels import LabelPyramid
from napari_tagscope.canvas.painting import OUTLINED
from napari_tagscope.canvas.raster import Window

try:
    from napari_tagscope.canvas import marks_visual

    DRAWN = True
except ImportError:  # napari's drawing side is private; without it nothing is marked
    DRAWN = False

Color = npt.NDArray[np.float64]

MAGENTA: Color = np.array([1.0, 0.0, 1.0])  # in no palette here, and seen on black and on white
RINGED = 12.0  # pixels a cell is wide from which the cell clicked is ringed, and not a dot
DOT = 4  # pixels from the centre of that dot to its rim
VEIL = 0.7  # opacity of the canvas's colour over cells that are not selected
RIM = 2  # pixels of the line around a selected cell


class Marks:
    """A picture of the marks at every level of a pyramid, RGBA.

    :meth:`select` says which cells are selected, and which was clicked; ``outlined`` draws the
    outlines of all cells. Lines are in the ink that is seen on the canvas, around a selected cell
    and not over its colour.
    """

    def __init__(self, pyramid: LabelPyramid, xy: npt.NDArray[np.float64]) -> None:
        self.pyramid = pyramid
        self.outlined = False
        self._xy = xy
        self._selected: raster.Mask = np.zeros(len(xy) + 1, np.bool_)
        self._veils: npt.NDArray[np.uint32] | None = None  # by label, where any are selected
        self._cell: int | None = None
        self.set_canvas(np.zeros(3))

    @property
    def empty(self) -> bool:
        """Whether nothing is drawn at any level."""
        return not self.outlined and self._veils is None and self._cell is None

    def set_canvas(self, color: Color) -> None:
        """Take the colours that are seen on a canvas of this one, (3,) from 0 to 1."""
        ink = np.full(3, 1.0 if color.mean() < 0.5 else 0.0)
        self._veil, self._ink = _packed(color, VEIL), _packed(ink, 1.0)
        self._faint_ink = _packed((ink + color) / 2, VEIL)
        self._spread()

    def select(self, rows: npt.NDArray[np.int64], cell: int | None = None) -> None:
        """Dim all cells but these, where there are any, and mark the one that was clicked."""
        self._selected[:] = False
        self._selected[np.asarray(rows, np.int64) + 1] = True
        self._cell = cell
        self._spread()

    def window(self, level: int, window: Window) -> npt.NDArray[np.uint8]:
        """Colours of a window of a level, its shape + (4,)."""
        labels = self.pyramid.window(level, window)
        large = self.pyramid.cell_width(level) >= OUTLINED
        veiled = self._veils is not None
        image = self._veils.take(labels) if self._veils is not None else np.zeros_like(labels, "u4")
        if self.outlined and large:
            image[self.pyramid.edges(level, window)] = self._faint_ink if veiled else self._ink
        if veiled and large:
            image[self._rims(labels)] = self._ink
        if self._cell is not None:
            image[self._clicked(labels, level, window)] = _packed(MAGENTA, 1.0)
        return image.view(np.uint8).reshape(*labels.shape, 4)

    def _spread(self) -> None:
        """Let every cell have its veil: costs per cell, once for each selection."""
        self._veils = None
        if self._selected.any():
            self._veils = np.where(self._selected, np.uint32(0), self._veil)
            self._veils[0] = 0

    def _rims(self, labels: raster.Labels) -> raster.Mask:
        """Pixels just outside of selected cells."""
        chosen = self._selected.take(labels)
        rims = chosen
        for _ in range(RIM):
            rims = raster.grown(rims)
        return rims & ~chosen

    def _clicked(self, labels: raster.Labels, level: int, window: Window) -> raster.Mask:
        """A ring along the cell that was clicked, or a dot where it is small."""
        assert self._cell is not None
        if self.pyramid.cell_width(level) >= RINGED:
            edges = self.pyramid.edges(level, window)
            return raster.grown((labels == self._cell + 1) & edges)
        dot: raster.Mask = np.zeros(labels.shape, np.bool_)
        place = self.pyramid.pixel_of(self._xy[self._cell], level)
        if np.isfinite(place).all():
            row, column = (int(at) - first for at, first in zip(place, window[::2], strict=True))
            y, x = np.ogrid[: labels.shape[0], : labels.shape[1]]
            dot = (y - row) ** 2 + (x - column) ** 2 <= DOT**2
        return dot


class MarksOverlay(SceneOverlay):  # type: ignore[misc]
    """What napari's canvas draws: ``marks``, anew whenever ``changes`` changes."""

    marks: Any
    changes: int = 0


class MarkedLayers:
    """The same marks over every layer of cells that was given to :meth:`add`."""

    def __init__(self, viewer: ViewerModel, marks: Marks) -> None:
        self.marks = marks
        self._viewer = viewer
        self._key = f"tagscope_marks_{id(self):x}"
        if DRAWN:
            marks_visual.register(MarksOverlay)
        viewer.canvas.events.background_color.connect(self._on_canvas_color)
        self._on_canvas_color()

    def add(self, layer: Layer) -> None:
        """Draw the marks over a layer, for as long as it is there."""
        if DRAWN:
            layer._overlays[self._key] = MarksOverlay(
                marks=self.marks, visible=not self.marks.empty, blending="translucent_no_depth"
            )

    def refresh(self) -> None:
        """Draw the marks anew."""
        for layer in self._viewer.layers:
            overlay = layer._overlays.get(self._key)
            if overlay is not None:
                overlay.visible = not self.marks.empty
                overlay.changes += 1

    def stop(self) -> None:
        """Follow the canvas's colour no more."""
        self._viewer.canvas.events.background_color.disconnect(self._on_canvas_color)

    def _on_canvas_color(self) -> None:
        color = np.asarray(self._viewer.canvas.background_color, np.float64)
        self.marks.set_canvas(color[:3])
        self.refresh()


def _packed(color: Color, alpha: float) -> np.uint32:
    """A colour's four channels as one number."""
    rgba = np.round(np.array([*color, alpha]) * 255).astype(np.uint8)
    return np.uint32(rgba.view(np.uint32)[0])
