"""napari-spatialdata as a way to show cells, asked as its own window asks it.

``Interactive.add_element`` opens the cells, as a double click in its list of elements does. What a
double click on a gene or a column in its View widget calls, ``AListWidget._onAction``, colours
them. Circles become a Points layer there, labels a Labels layer with a direct colour map. Its docks
leave a smaller part of the window to the picture.
"""

from __future__ import annotations

from abc import abstractmethod
from itertools import cycle
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from napari import Viewer
from napari_spatialdata import Interactive
from spatialdata import SpatialData
from spatialdata.models import Labels2DModel, ShapesModel, TableModel
from spatialdata.transformations import Scale, Sequence, Translation

from canvas_tissue import COLORS, Tissue
from canvas_ways import Way


class Spatialdata(Way):
    """napari-spatialdata, of cells that are an element of a SpatialData in memory."""

    def __init__(self, viewer: Viewer, tissue: Tissue, by: str) -> None:
        super().__init__(viewer, tissue, by)
        elements = {"cells": self.element(tissue), "table": self._table()}
        self._interactive = Interactive(SpatialData.init_from_elements(elements), headless=True)
        self._view = viewer.window.dock_widgets["View (napari-spatialdata)"]
        self._genes, self._columns = cycle(["gene 0", "gene 1"]), cycle(["type_0", "type_1"])

    @abstractmethod
    def element(self, tissue: Tissue) -> Any:
        """The cells, numbered from 1, as spatialdata has them."""

    def open(self) -> None:
        self._interactive.add_element("cells", "global")

    def number(self) -> None:
        self._view.var_widget._onAction((next(self._genes),))

    def category(self) -> None:
        self._view.obs_widget._onAction((next(self._columns),))

    def _table(self) -> Any:
        """The numbers as genes, the categories as columns with colours."""
        count = len(self.section)
        genes = np.stack([next(self.values), next(self.values)], axis=1)
        obs = pd.DataFrame(
            {"cell": np.arange(1, count + 1), "region": pd.Categorical(["cells"] * count)},
            index=np.arange(count).astype(str),
        )
        table = ad.AnnData(sp.csr_matrix(genes), obs)
        table.var_names = ["gene 0", "gene 1"]
        names = [f"kind {i}" for i in range(len(COLORS))]
        for column in ("type_0", "type_1"):
            table.obs[column] = pd.Categorical.from_codes(next(self.codes), names)
            table.uns[f"{column}_colors"] = np.array(COLORS)
        return TableModel.parse(table, region="cells", region_key="region", instance_key="cell")


class Circles(Spatialdata):
    """Its circles, which it shows as a Points layer."""

    def element(self, tissue: Tissue) -> Any:
        numbers = np.arange(1, len(self.section) + 1)
        return ShapesModel.parse(self.section.xy, geometry=0, radius=5.0, index=numbers)


class Labels(Spatialdata):
    """Its labels, of one resolution."""

    def element(self, tissue: Tissue) -> Any:
        made = tissue.labelled()
        to_world = Sequence(
            [
                Scale([made.pixel, made.pixel], axes=("y", "x")),
                Translation([*made.origin], axes=("y", "x")),
            ]
        )
        return Labels2DModel.parse(
            made.image, dims=("y", "x"), transformations={"global": to_world}
        )
