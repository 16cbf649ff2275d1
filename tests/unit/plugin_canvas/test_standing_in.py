"""What a window shows while its tiles are still drawn: the same place, coarser; then the tiles."""

from __future__ import annotations

import numpy as np
import pytest

from napari_tagscope.canvas.labels import LabelPyramid
from napari_tagscope.canvas.tiles import OVERVIEW, TILE, TileKey
from tagscope.core.section import CellOutlines

SIDE = 150


class Waiting:
    """A background that remembers what was asked for, and draws nothing by itself."""

    def __init__(self) -> None:
        self.busy = False
        self.asked: list[TileKey] = []

    def ask(self, keys: list[TileKey]) -> None:
        self.asked = list(keys)


def pyramid() -> LabelPyramid:
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:SIDE, :SIDE] * 10.0
    xy = np.stack([x.ravel(), y.ravel()], axis=1) + rng.uniform(-2, 2, (SIDE * SIDE, 2))
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    ring = 4.5 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    vertices = (xy[:, None] + ring).reshape(-1, 2).astype(np.float32)
    return LabelPyramid(xy, CellOutlines(vertices, np.arange(len(xy) + 1) * 8))


@pytest.fixture
def exact() -> LabelPyramid:
    return pyramid()


@pytest.fixture
def late() -> LabelPyramid:
    late = pyramid()
    late.background = Waiting()  # type: ignore[assignment]
    return late


def enlarged(coarse: LabelPyramid, level: int, window: tuple[int, int, int, int], step: int):
    """The window of a level, taken from one ``step`` levels coarser by its pixels' centres."""
    r0, r1, c0, c1 = window
    rows, columns = np.arange(r0, r1) >> step, np.arange(c0, c1) >> step
    return np.asarray(coarse.levels[level + step])[np.ix_(rows, columns)]


def test_an_overview_stands_in(exact: LabelPyramid, late: LabelPyramid) -> None:
    far = next(n for n, shape in enumerate(exact.shapes) if max(shape) <= OVERVIEW)
    window = (700, 1900, 300, 1700)
    shown = late.window(far - 2, window)
    assert np.array_equal(shown, enlarged(exact, far - 2, window, 2))
    assert not np.array_equal(shown, exact.window(far - 2, window))
    assert not late.is_drawn(far - 2, window)


def test_a_nearer_level_stands_in_where_it_is_drawn(
    exact: LabelPyramid, late: LabelPyramid
) -> None:
    far = next(n for n, shape in enumerate(exact.shapes) if max(shape) <= OVERVIEW)
    level, window = far - 2, (0, TILE, 0, TILE)
    late.draw((level + 1, 0, 0))
    assert np.array_equal(late.window(level, window), enlarged(exact, level, window, 1))


def test_tiles_take_its_place_one_by_one(exact: LabelPyramid, late: LabelPyramid) -> None:
    far = next(n for n, shape in enumerate(exact.shapes) if max(shape) <= OVERVIEW)
    level, window = far - 2, (0, 3 * TILE, 0, 3 * TILE)
    late.window(level, window)
    asked = late.background.asked  # type: ignore[union-attr]
    assert sorted(asked) == [(level, i, j) for i in range(3) for j in range(3)]
    assert asked[0] == (level, 1, 1)  # the middle first
    late.draw(asked[0])
    mixed, whole = late.window(level, window), exact.window(level, window)
    middle = (slice(TILE, 2 * TILE), slice(TILE, 2 * TILE))
    assert np.array_equal(mixed[middle], whole[middle])
    assert not np.array_equal(mixed, whole)
    for key in asked[1:]:
        late.draw(key)
    assert np.array_equal(late.window(level, window), whole)
    assert late.is_drawn(level, window)


def test_outlines_of_what_stands_in_are_not_kept(exact: LabelPyramid, late: LabelPyramid) -> None:
    level, window = 1, (600, 1000, 600, 1000)
    assert not np.array_equal(late.edges(level, window), exact.edges(level, window))
    late.window(level, (590, 1010, 590, 1010))
    for key in late.background.asked:  # type: ignore[union-attr]
        late.draw(key)
    assert np.array_equal(late.edges(level, window), exact.edges(level, window))


def test_cheap_levels_are_drawn_at_once(late: LabelPyramid, monkeypatch) -> None:
    level, window = 2, (0, 2 * TILE, 0, 2 * TILE)
    late.window(level, window)
    assert late.background.asked  # type: ignore[union-attr]
    monkeypatch.setitem(late._seconds, level, 1e-4)
    late.background.asked = []  # type: ignore[union-attr]
    late.window(level, window)
    assert late.is_drawn(level, window)
    assert not late.background.asked  # type: ignore[union-attr]


def test_another_shape_leaves_nothing_of_the_one_before() -> None:
    xy = np.stack(np.meshgrid(np.arange(60) * 10.0, np.arange(60) * 10.0), axis=-1).reshape(-1, 2)
    late, exact = LabelPyramid(xy), LabelPyramid(xy)
    late.background = Waiting()  # type: ignore[assignment]
    late.prepare(OVERVIEW)
    late.shape = exact.shape = "areas"
    far = next(n for n, shape in enumerate(exact.shapes) if max(shape) <= OVERVIEW)
    window = (0, 2 * TILE, 0, 2 * TILE)
    assert np.array_equal(late.window(far - 1, window), enlarged(exact, far - 1, window, 1))
