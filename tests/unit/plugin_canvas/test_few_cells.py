"""A section of no cell and of one is drawn like any other."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from napari_tagscope.canvas.labels import LabelPyramid
from tagscope.core.panel import GenePanel
from tagscope.core.section import CellOutlines, Cells, LabelImage, Section

SQUARE = np.array([[45, 45], [55, 45], [55, 55], [45, 55]], np.float32)


def section(cells: int, drawn: str) -> Section:
    ids = np.array([f"cell {i}" for i in range(cells)], dtype=np.str_)
    values = sp.csr_matrix((cells, 3), dtype=np.float32)
    image = np.zeros((64, 64), np.int32)
    image[40:60, 40:60] = 5 * cells
    return Section(
        Cells(values, GenePanel(("A", "B", "C")), ids),
        np.full((cells, 2), 50.0),
        outlines=CellOutlines(np.tile(SQUARE, (cells, 1)), np.arange(cells + 1) * 4)
        if drawn == "outlines"
        else None,
        labels=LabelImage((image,), (np.eye(3),), np.full(cells, 5)) if drawn == "labels" else None,
    )


@pytest.mark.parametrize("drawn", ["centroids", "outlines", "labels"])
@pytest.mark.parametrize("cells", [0, 1])
def test_few_cells_are_drawn(cells: int, drawn: str) -> None:
    few = section(cells, drawn)
    pyramid = LabelPyramid(few.xy, few.outlines, labels=few.labels)
    assert min(pyramid.shapes[0]) > 0
    assert np.unique(pyramid.levels[0][:]).tolist() == list(range(cells + 1))
