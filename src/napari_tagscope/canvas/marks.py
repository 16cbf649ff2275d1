"""Layers of marks over the paintings on view: selected cells, and outlines of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.components import ViewerModel
from napari.utils.theme import get_theme

from napari_tagscope.canvas.layer import CellImage
from napari_tagscope.canvas.painting import Marks

NAME = "Marked cells"


class MarkLayers:
    """One layer of the same marks directly above every painting on view.

    ``make`` gives a layer of a picture, by name. Layers come with the first mark and are hidden
    while there is none.
    """

    def __init__(
        self, viewer: ViewerModel, marks: Marks, make: Callable[[str, Marks], CellImage]
    ) -> None:
        self._viewer = viewer
        self._marks = marks
        self._make = make
        self._layers: list[CellImage] = []
        viewer.events.theme.connect(self._on_theme)
        self._on_theme()

    @property
    def on(self) -> bool:
        """Whether there is a layer over every painting on view."""
        return bool(self._layers)

    def select(self, rows: npt.NDArray[np.int64]) -> None:
        """Mark these cells and no others."""
        self._marks.selected[:] = False
        self._marks.selected[np.asarray(rows, np.int64) + 1] = True

    def outline(self, outlined: bool) -> None:
        """Draw the outlines of all cells, or of none but the selected."""
        self._marks.outlined = outlined

    def place(self, shown: Sequence[CellImage]) -> None:
        """Put a layer above each of these, and hide the others."""
        layers = self._viewer.layers
        if not self._marks.empty:
            active = layers.selection.active
            while len(self._layers) < len(shown):
                self._layers.append(self._make(NAME, self._marks))
                self._viewer.add_layer(self._layers[-1])
                layers.selection.active = active
        for layer, below in zip(self._layers, shown, strict=False):
            above = layers.index(below) + 1
            if layers.index(layer) != above:
                layers.move(layers.index(layer), above)
        for number, layer in enumerate(self._layers):
            visible = number < len(shown) and not self._marks.empty
            if layer.visible != visible:
                layer.visible = visible

    def refresh(self) -> None:
        """Draw the marks anew."""
        self._marks.repaint()
        for layer in self._layers:
            if layer.visible:
                layer.refresh(thumbnail=False, extent=False, highlight=False)

    def forget(self, layer: Any) -> None:
        """A layer was taken out of the viewer."""
        self._layers = [own for own in self._layers if own is not layer]

    def remove(self) -> None:
        """Take the layers and callbacks out of the viewer."""
        self._viewer.events.theme.disconnect(self._on_theme)
        for layer in tuple(self._layers):
            self._viewer.layers.remove(layer)
        self._layers.clear()

    def _on_theme(self) -> None:
        canvas = get_theme(self._viewer.theme).canvas.as_rgb_tuple(alpha=False)
        self._marks.outline_color = "#ffffff" if sum(canvas) < 384 else "#000000"
        self.refresh()
