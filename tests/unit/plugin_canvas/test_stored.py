"""A pyramid over a label image: its pixels as they are, sampled and never read whole."""

from __future__ import annotations

import numpy as np
import pytest

from napari_tagscope.canvas import stored
from napari_tagscope.canvas.labels import LabelPyramid
from napari_tagscope.canvas.stored import StoredLabels
from tagscope.core.section import CellOutlines, LabelImage

CELL = 40  # pixels


class Level:
    """An array that keeps account of what was read of it."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape, self.dtype = values, values.shape, values.dtype
        self.read = [0]

    def __getitem__(self, key: object) -> np.ndarray:
        self.read.append(self.values[key].size)
        return self.values[key]


def checkerboard(side: int) -> np.ndarray:
    """Square cells with the ids 1000, 1001, … and a stripe of background between their rows."""
    row, column = np.mgrid[: side * CELL, : side * CELL] // CELL
    ids = (1000 + row * side + column).astype(np.uint32)
    ids[np.arange(side * CELL) % CELL == 0] = 0
    return ids


def image_of(side: int, affine: np.ndarray, levels: int = 3, ids: np.ndarray | None = None):
    values = checkerboard(side)
    halved = [Level(values[:: 2**k, :: 2**k]) for k in range(levels)]
    affines = tuple(affine @ np.diag([2.0**k, 2.0**k, 1.0]) for k in range(levels))
    numbers = 1000 + np.arange(side * side) if ids is None else ids
    return LabelImage(tuple(halved), affines, numbers, "test")


def centres(side: int, affine: np.ndarray) -> np.ndarray:
    row, column = np.mgrid[:side, :side].reshape(2, -1) * CELL + CELL / 2
    return np.stack([column, row, np.ones(side * side)], axis=1) @ affine[:2].T


STRAIGHT = np.array([[0.25, 0, 300.0], [0, 0.25, 70.0], [0, 0, 1]])
ANGLE = np.deg2rad(30)
TURNED = np.array([
    [np.cos(ANGLE) / 2, -np.sin(ANGLE) / 2, 10.0], [np.sin(ANGLE) / 2, np.cos(ANGLE) / 2, -5.0],
    [0, 0, 1],
])  # fmt: skip


def test_where_axes_align_level_0_is_the_image_itself() -> None:
    image = image_of(20, STRAIGHT)
    pyramid = LabelPyramid(centres(20, STRAIGHT), labels=image)
    assert pyramid.pixel == 0.25
    before = np.round((np.array([70.0, 300.0]) - pyramid.origin) / 0.25, 9)
    assert (before == np.round(before)).all()
    r, c = before.astype(int)
    drawn = np.asarray(pyramid.levels[0])[r : r + 800, c : c + 800]
    expected = image.levels[0].values.astype(int) - 999
    seen = drawn > 0
    assert np.array_equal(drawn[seen], expected[seen])
    lost = ~seen & (expected > 0)
    assert lost.mean() < 0.1  # borders, and nothing else:
    assert not lost.reshape(20, CELL, 20, CELL)[:, : CELL - 2, :, : CELL - 2].any()


@pytest.mark.parametrize("affine", [STRAIGHT, TURNED])
@pytest.mark.parametrize("levels", [1, 3])
def test_every_cell_is_where_the_affine_puts_it(affine: np.ndarray, levels: int) -> None:
    xy = centres(20, affine)
    pyramid = LabelPyramid(xy, labels=image_of(20, affine, levels))
    assert [pyramid.at(y, x) for x, y in xy] == list(range(400))
    assert len(pyramid) > 1
    for level in range(len(pyramid)):
        pixel = pyramid.pixel * 2**level
        columns, rows = ((xy - pyramid.origin[::-1]) / pixel).astype(int).T
        assert np.array_equal(np.asarray(pyramid.levels[level])[rows, columns], np.arange(1, 401))


def test_labels_of_no_row_are_background_and_rows_of_no_label_are_drawn_in_it() -> None:
    ids = 1000 + np.arange(100)
    ids[[3, 50]] = 0
    ids[7] = 99_999
    xy = centres(10, STRAIGHT)
    ring = xy[50] + np.array([[-2, -2], [2, -2], [2, 2], [-2, 2]])
    outlines = CellOutlines(
        ring.astype(np.float32), np.where(np.arange(101) > 50, 4, 0).astype(np.int64)
    )
    pyramid = LabelPyramid(xy, outlines, labels=image_of(10, STRAIGHT, ids=ids))
    x, y = xy[50]
    assert pyramid.at(y, x) == 50
    assert pyramid.at(y + 2.5, x) == -1  # its polygon is smaller than its label was
    assert pyramid.at(xy[3, 1], xy[3, 0]) == 3  # a disc
    assert pyramid.at(xy[7, 1], xy[7, 0]) == -1


def test_small_cells_come_from_centroids_and_no_tile_reads_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = image_of(60, STRAIGHT, levels=1)
    pyramid = LabelPyramid(centres(60, STRAIGHT), labels=image)
    coarse = np.asarray(pyramid.levels[-1])
    assert pyramid.cell_width(len(pyramid) - 1) >= 4
    assert sum(image.levels[0].read) == 2400 * 2400
    monkeypatch.setattr(stored, "MOST_READ", 1 << 20)
    image = image_of(60, STRAIGHT, levels=1)
    pyramid = LabelPyramid(centres(60, STRAIGHT), labels=image)
    discs = np.asarray(pyramid.levels[-1])
    assert max(image.levels[0].read) == 0
    assert (np.unique(discs) == np.unique(coarse)).all()


def test_no_row_has_a_label() -> None:
    none = StoredLabels(image_of(4, STRAIGHT, ids=np.zeros(16, np.int64)))
    assert not none.read(np.array([300.0, 70.0]), 0.25, 64).any()
    assert not none.read(np.array([-300.0, 70.0]), 0.25, 64).any()


def test_polygons_that_are_sharper_are_drawn_in_its_stead() -> None:
    xy = centres(6, STRAIGHT)
    square = np.array([[-4, -4], [4, -4], [4, 4], [-4, 4]])
    outlines = CellOutlines(
        (xy[:, None] + square).reshape(-1, 2).astype(np.float32), np.arange(37) * 4
    )
    fine = LabelPyramid(xy, outlines, labels=image_of(6, STRAIGHT))
    assert fine.pixel == 0.25
    rough = image_of(6, STRAIGHT)
    rough = LabelImage(rough.levels[1:], rough.affines[1:], rough.ids)
    assert LabelPyramid(xy, labels=rough).pixel == 0.5
    assert LabelPyramid(xy, outlines, labels=rough).pixel < 0.25
