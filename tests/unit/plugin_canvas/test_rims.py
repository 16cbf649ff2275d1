"""Cells as their rims alone."""

from __future__ import annotations

import numpy as np
import pytest

from napari_tagscope.canvas.labels import LabelPyramid
from napari_tagscope.canvas.rims import WIDTH, RimLevel, rims


def test_what_lies_deep_in_a_cell_is_cut_out() -> None:
    labels = np.zeros((20, 20), np.int32)
    labels[2:18, 2:18] = 5
    found = rims(labels)
    inner = slice(2 + WIDTH, 18 - WIDTH)
    assert not found[inner, inner].any()
    found[inner, inner] = 5
    assert np.array_equal(found, labels)


def test_cells_that_touch_keep_a_rim_each() -> None:
    labels = np.ones((20, 20), np.int32)
    labels[:, 10:] = 2
    found = rims(labels)
    assert (found[10, 10 - WIDTH : 10] == 1).all()
    assert (found[10, 10 : 10 + WIDTH] == 2).all()
    assert not found[10, WIDTH : 10 - WIDTH].any()
    assert (found[10, :WIDTH] == 1).all()  # nothing lies beyond the edge


@pytest.mark.parametrize("window", [(0, 40, 0, 40), (100, 180, 37, 200), (300, 301, 300, 420)])
def test_a_window_is_a_part_of_the_whole(window: tuple[int, int, int, int]) -> None:
    xy = np.random.default_rng(0).uniform(0, 300, (400, 2))
    level = LabelPyramid(xy).levels[-1]
    r0, r1, c0, c1 = window
    whole = np.asarray(RimLevel(level))
    assert np.array_equal(RimLevel(level)[r0:r1, c0:c1], whole[r0:r1, c0:c1])
    assert 0 < (whole > 0).sum() <= (np.asarray(level) > 0).sum()
