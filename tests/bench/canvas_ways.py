"""Ways to show cells in a napari window and to colour them anew: TAGscope's and napari's own."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.colors import to_rgba_array
from napari import Viewer
from napari.utils.colormaps import DirectLabelColormap

from canvas_tissue import COLORS, Tissue, codes_of, polygons, values_of
from napari_tagscope.canvas.tile_cache import FOLDER
from napari_tagscope.canvas.tissue import TissueCanvas

PALETTE = to_rgba_array(COLORS)


class Way(ABC):
    """Shows the cells of a section in a window, coloured by a number or by a category.

    What a way takes as given, such as an image of labels, is in memory before :meth:`open`.
    """

    def __init__(self, viewer: Viewer, tissue: Tissue, by: str) -> None:
        self.viewer = viewer
        self.section = tissue.section
        count = len(self.section)
        self.codes, self.values = codes_of(count), values_of(count)
        self.paint = {"number": self.number, "category": self.category}[by]

    @abstractmethod
    def open(self) -> None:
        """Let the window show the cells, now or as soon as they are loaded."""

    @abstractmethod
    def number(self) -> None:
        """Colour all cells by other numbers than before."""

    @abstractmethod
    def category(self) -> None:
        """Colour all cells by other categories than before."""


class Centroids(Way):
    """TAGscope with centroids alone."""

    canvas: TissueCanvas

    def open(self) -> None:
        self.canvas = TissueCanvas(self.viewer, self.section)
        self.paint()

    def number(self) -> None:
        self.canvas.paint_values("cells", next(self.values), limits=(0.0, 1.0))

    def category(self) -> None:
        self.canvas.paint_categories("cells", next(self.codes), COLORS)

    def forget(self) -> None:
        """Draw all tiles anew when they are next looked at."""
        self.canvas.pyramid.forget()
        shutil.rmtree(os.environ[FOLDER], ignore_errors=True)


class Polygons(Centroids):
    """TAGscope with a polygon of every cell."""

    def __init__(self, viewer: Viewer, tissue: Tissue, by: str) -> None:
        section = replace(tissue.section, outlines=polygons(tissue.section.xy))
        super().__init__(viewer, replace(tissue, section=section), by)


class NapariPoints(Way):
    """A Points layer, its face colours set."""

    def open(self) -> None:
        self.layer = self.viewer.add_points(self.section.xy[:, ::-1], size=10, border_width=0)

    def number(self) -> None:
        self.layer.features = {"value": next(self.values)}
        self.layer.face_color = "value"
        self.layer.refresh_colors()

    def category(self) -> None:
        self.layer.face_color = PALETTE[next(self.codes)]


class NapariLabels(Way):
    """A Labels layer of one resolution, a colour for every label."""

    def __init__(self, viewer: Viewer, tissue: Tissue, by: str) -> None:
        super().__init__(viewer, tissue, by)
        self.labelled = tissue.labelled()

    def open(self) -> None:
        pixel, origin = self.labelled.pixel, self.labelled.origin
        self.layer = self.viewer.add_labels(
            self.labelled.image,
            scale=(pixel, pixel),
            translate=[edge + pixel / 2 for edge in origin],
        )

    def number(self) -> None:
        self._color(colormaps["magma"](next(self.values)))

    def category(self) -> None:
        self._color(PALETTE[next(self.codes)])

    def _color(self, colors: Iterable[npt.NDArray[np.float64]]) -> None:
        by_label = dict(enumerate(colors, start=1))
        self.layer.colormap = DirectLabelColormap(color_dict={None: np.zeros(4), **by_label})
