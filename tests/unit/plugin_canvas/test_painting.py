"""What napari gets of a painting, level by level."""

from __future__ import annotations

import numpy as np
import pytest

from napari_tagscope.canvas.labels import LabelPyramid
from napari_tagscope.canvas.painting import OUTLINED, Painting
from napari_tagscope.canvas.raster import grown, inner_edges
from napari_tagscope.canvas.values import CategoryTable, ValueTable


def lattice(side: int) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2) * 10.0


@pytest.fixture
def pyramid() -> LabelPyramid:
    return LabelPyramid(lattice(40))


def middle(pyramid: LabelPyramid, level: int, side: int = 300) -> tuple[slice, slice]:
    rows, columns = pyramid.shapes[level]
    r, c = max(rows - side, 0) // 2, max(columns - side, 0) // 2
    return slice(r, r + side), slice(c, c + side)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_edges_are_the_pixels_near_another_label(width: int) -> None:
    image = np.random.default_rng(0).integers(0, 3, (6, 7)).repeat(8, 0).repeat(8, 1).astype("i4")
    edges = inner_edges(image, width)
    for r, c in np.random.default_rng(1).integers(0, (48, 56), (200, 2)):
        cross = [
            image[max(r - width, 0) : r + width + 1, c],
            image[r, max(c - width, 0) : c + width + 1],
        ]
        near = any((line != image[r, c]).any() for line in cross)
        assert edges[r, c] == (near and image[r, c] != 0)


def test_a_mask_grows_by_a_pixel_to_every_side() -> None:
    mask = np.zeros((5, 5), bool)
    mask[2, 2] = True
    assert np.array_equal(np.argwhere(grown(mask)).min(0), [1, 1])
    assert grown(mask).sum() == 9


def test_outlines_alone_where_cells_are_large_and_filled_where_not(pyramid: LabelPyramid) -> None:
    filled = Painting(pyramid, ValueTable(np.ones(1600)))
    outlines = Painting(pyramid, ValueTable(np.ones(1600)), "outlines")
    for level in range(len(pyramid)):
        window = middle(pyramid, level)
        full = np.isfinite(filled.levels[level][window])
        lines = np.isfinite(outlines.levels[level][window])
        if pyramid.cell_width(level) < OUTLINED:
            assert np.array_equal(full, lines)
        else:
            assert (full | ~lines).all()
            assert lines.sum() < 0.5 * full.sum()


def test_an_outline_is_the_same_in_any_window(pyramid: LabelPyramid) -> None:
    whole = pyramid.edges(1, (0, 600, 0, 600))
    assert np.array_equal(pyramid.edges(1, (200, 500, 130, 410)), whole[200:500, 130:410])
    rows, columns = pyramid.shapes[1]
    assert pyramid.edges(1, (rows - 9, rows, columns - 9, columns)).shape == (9, 9)


def test_a_look_goes_for_categories_too(pyramid: LabelPyramid) -> None:
    painting = Painting(pyramid, CategoryTable(np.zeros(1600, int), ["#102030"]), "outlines")
    drawn = painting.levels[0][middle(pyramid, 0)]
    seen = drawn[..., 3] > 0
    assert (drawn[seen] == [16, 32, 48, 255]).all()
    assert 0 < seen.mean() < 0.2
