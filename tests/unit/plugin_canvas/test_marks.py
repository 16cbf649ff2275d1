"""What is drawn over a painting: veils, outlines, and the cell that was clicked."""

from __future__ import annotations

import numpy as np
import pytest

from napari_tagscope.canvas.labels import LabelPyramid
from napari_tagscope.canvas.marks import DOT, RIM, VEIL, Marks
from napari_tagscope.canvas.raster import Window, grown

MAGENTA = [255, 0, 255, 255]
NONE = np.zeros(0, np.int64)


def lattice(side: int) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2) * 10.0


@pytest.fixture
def pyramid() -> LabelPyramid:
    return LabelPyramid(lattice(40))


@pytest.fixture
def marks(pyramid: LabelPyramid) -> Marks:
    return Marks(pyramid, lattice(40))


def middle(pyramid: LabelPyramid, level: int, side: int = 400) -> Window:
    rows, columns = pyramid.shapes[level]
    r, c = max(rows - side, 0) // 2, max(columns - side, 0) // 2
    return r, r + side, c, c + side


def test_nothing_is_marked_at_first(marks: Marks, pyramid: LabelPyramid) -> None:
    assert marks.empty
    assert not marks.window(0, middle(pyramid, 0)).any()


def test_a_cell_clicked_is_ringed_where_it_is_large(marks: Marks, pyramid: LabelPyramid) -> None:
    marks.select(NONE, 820)
    assert not marks.empty
    window = middle(pyramid, 0)
    drawn, labels = marks.window(0, window), pyramid.window(0, window)
    ring = (drawn == MAGENTA).all(axis=-1)
    assert np.array_equal(ring, grown((labels == 821) & pyramid.edges(0, window)))
    assert 0 < ring.sum() < 0.25 * (labels == 821).sum()
    assert not drawn[~ring].any()


def test_a_cell_clicked_is_a_dot_where_it_is_small() -> None:
    pyramid = LabelPyramid(lattice(600))
    marks = Marks(pyramid, lattice(600))
    level = len(pyramid) - 1
    assert pyramid.cell_width(level) < 2
    marks.select(NONE, 200_000)
    drawn = marks.window(level, (0, pyramid.shapes[level][0], 0, pyramid.shapes[level][1]))
    dot = np.argwhere((drawn == MAGENTA).all(axis=-1))
    assert (np.ptp(dot, axis=0) == 2 * DOT).all()
    place = np.array([333, 200]) * 10.0 - pyramid.origin
    away = dot.mean(axis=0) - place / (pyramid.pixel * (1 << level))
    assert np.abs(away).max() <= 1
    assert np.array_equal(np.argwhere(drawn.any(axis=-1)), dot)


def test_a_cell_without_a_position_has_no_mark() -> None:
    xy = np.append(lattice(600), [[np.nan, np.nan]], axis=0)
    pyramid = LabelPyramid(xy)
    marks = Marks(pyramid, xy)
    marks.select(NONE, len(xy) - 1)
    assert not marks.window(len(pyramid) - 1, (0, 300, 0, 300)).any()


def test_all_but_the_selected_are_veiled_at_every_level(
    marks: Marks, pyramid: LabelPyramid
) -> None:
    chosen = np.arange(700, 900)
    marks.set_canvas(np.ones(3))
    marks.select(chosen)
    for level in range(len(pyramid)):
        window = middle(pyramid, level)
        drawn, labels = marks.window(level, window), pyramid.window(level, window)
        kept = np.isin(labels, chosen + 1)
        assert not drawn[kept].any()
        veiled = drawn[(labels > 0) & ~kept]
        assert np.percentile(veiled[:, 3], 5) >= int(255 * VEIL)
        assert np.percentile(veiled[:, :3].min(axis=1), 10) > 180  # towards the white canvas
    marks.select(NONE)
    assert marks.empty


def test_a_selected_cell_has_a_line_around_it_where_it_is_large(
    marks: Marks, pyramid: LabelPyramid
) -> None:
    marks.set_canvas(np.zeros(3))
    marks.select(np.array([820]))
    window = middle(pyramid, 0)
    line = (marks.window(0, window) == 255).all(axis=-1)
    cell = pyramid.window(0, window) == 821
    wide = cell
    for _ in range(RIM):
        wide = grown(wide)
    assert np.array_equal(line, wide & ~cell)
    far = len(pyramid) - 1
    assert not (marks.window(far, (0, 100, 0, 100)) == 255).all(axis=-1).any()


def test_outlines_of_all_are_seen_on_the_canvas(marks: Marks, pyramid: LabelPyramid) -> None:
    marks.outlined = True
    marks.set_canvas(np.ones(3))
    window, far = middle(pyramid, 0), len(pyramid) - 1
    drawn = marks.window(0, window)
    edges = drawn[..., 3] > 0
    assert (drawn[edges] == [0, 0, 0, 255]).all()
    assert np.array_equal(edges, pyramid.edges(0, window))
    assert not marks.window(far, (0, 100, 0, 100)).any()
