"""Cells so small that each is a pixel: drawn at once, as they would be tile by tile."""

from __future__ import annotations

import numpy as np

from napari_tagscope.canvas.labels import LabelPyramid
from napari_tagscope.canvas.tiles import TILE


def test_dots_are_what_tiles_would_be() -> None:
    rng = np.random.default_rng(0)
    pyramid = LabelPyramid(rng.uniform(0, 20_000, (200_000, 2)))
    dotted = [
        level
        for level in range(len(pyramid))
        if pyramid._cells.are_dots(pyramid.pixel * (1 << level))
    ]
    assert len(dotted) > 1
    for level in dotted[1:]:
        rows, columns = pyramid.shapes[level]
        whole = np.asarray(pyramid.levels[level])
        for top in range(0, rows, TILE):
            for left in range(0, columns, TILE):
                tile = pyramid._draw(level, top, left)
                part = whole[top : top + TILE, left : left + TILE]
                np.testing.assert_array_equal(part, tile[: part.shape[0], : part.shape[1]])


def test_cells_without_a_place_are_no_dots() -> None:
    xy = np.random.default_rng(0).uniform(0, 20_000, (50_000, 2))
    xy[::7] = np.nan
    labels = np.asarray(LabelPyramid(xy).levels[-1])
    assert not np.isin(np.arange(0, 50_000, 7) + 1, labels).any()
