"""What is painted: values, categories, and what napari is handed of them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_tagscope.canvas.labels import LabelPyramid
from napari_tagscope.canvas.painting import Painting
from napari_tagscope.canvas.values import MISSING_CODE, CategoryTable, ValueTable

LABELS = np.array([[0, 1, 2], [3, 4, 0]], np.int32)
COLORS = ["#ff0000", "#00ff00", "#0000ff"]
CLEAR = [0, 0, 0, 0]
GREY = [127, 127, 127, 255]


def test_values_are_looked_up_and_missing_is_transparent() -> None:
    table = ValueTable([1.0, np.nan, np.inf, 4.0])
    image = table.look_up(LABELS)
    assert image.dtype == np.float32
    assert np.array_equal(image, [[np.nan, 1, np.nan], [np.nan, 4, np.nan]], equal_nan=True)


def test_some_values_are_replaced() -> None:
    table = ValueTable(np.zeros(4))
    table.update(np.array([1, 3]), [5.0, 6.0])
    assert table.values.tolist() == [0, 5, 0, 6]


@pytest.mark.parametrize(
    ("values", "limits"),
    [
        ([], (0.0, 1.0)),
        ([np.nan, np.nan], (0.0, 1.0)),
        ([3.0, 3.0], (3.0, 4.0)),
        ([0.0] * 999 + [8.0], (0.0, 8.0)),  # a rare gene
        (np.arange(101.0), (1.0, 99.0)),
    ],
)
def test_limits(values: list[float], limits: tuple[float, float]) -> None:
    assert ValueTable(values).limits() == limits


def test_limits_of_many_cells_come_close_from_a_sample() -> None:
    values = np.random.default_rng(0).gamma(2.0, size=1_000_000)
    low, high = ValueTable(values).limits()
    exact = np.percentile(values, [1, 99])
    assert low == pytest.approx(exact[0], rel=0.05)
    assert high == pytest.approx(exact[1], rel=0.05)
    assert ValueTable(values).range() == pytest.approx((values.min(), values.max()))


def test_categories_and_their_absence() -> None:
    table = CategoryTable(np.array([0, 2, -1, MISSING_CODE]), COLORS)
    image = table.look_up(LABELS)
    assert image.dtype == np.uint8
    assert image[0, 1].tolist() == [255, 0, 0, 255]
    assert image[0, 2].tolist() == [0, 0, 255, 255]
    assert image[1, 0].tolist() == GREY
    assert image[1, 1].tolist() == CLEAR
    assert image[0, 0].tolist() == CLEAR
    assert table.counts().tolist() == [1, 0, 1, 1]


def test_a_code_without_a_colour_is_missing() -> None:
    table = CategoryTable(np.array([3, 99, -7, 1], np.int16), COLORS)
    assert table.codes.tolist() == [MISSING_CODE, MISSING_CODE, MISSING_CODE, 1]
    assert table.look_up(LABELS)[..., 3].tolist() == [[0, 0, 0], [0, 255, 0]]


def test_hidden_categories_are_transparent_until_shown() -> None:
    table = CategoryTable(np.array([0, 1, -1, 0]), COLORS)
    before = table.look_up(LABELS)
    table.set_hidden([0, -1, 55])
    assert table.look_up(LABELS)[..., 3].tolist() == [[0, 0, 255], [0, 0, 0]]
    assert not table.draws(0)
    assert table.draws(1)
    table.set_hidden([])
    assert np.array_equal(table.look_up(LABELS), before)


def test_an_isolated_category_keeps_its_colour_and_the_others_fade() -> None:
    table = CategoryTable(np.array([0, 1, -1, MISSING_CODE]), COLORS)
    table.isolate(1)
    alpha = table.look_up(LABELS)[..., 3]
    assert table.look_up(LABELS)[0, 2].tolist() == [0, 255, 0, 255]
    assert 0 < alpha[0, 1] < 128
    assert 0 < alpha[1, 0] < 128
    assert alpha[1, 1] == 0
    table.isolate(-1)
    assert table.look_up(LABELS)[1, 0].tolist() == GREY


def test_partial_results_respect_what_is_hidden() -> None:
    table = CategoryTable(np.full(4, MISSING_CODE), COLORS, hidden=[2])
    table.update(np.array([0, 3]), np.array([1, 2]))
    image = table.look_up(LABELS)
    assert image[0, 1].tolist() == [0, 255, 0, 255]
    assert image[1, 1].tolist() == CLEAR
    assert table.counts().tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("channels", [(), (4,)])
def test_a_painted_level_is_an_array_for_napari(channels: tuple[int, ...]) -> None:
    xy = np.random.default_rng(0).uniform(0, 300, (400, 2))
    pyramid = LabelPyramid(xy)
    codes = np.arange(400) % 3
    table = CategoryTable(codes, COLORS) if channels else ValueTable(codes)
    painting = Painting(pyramid, table)
    for level, labels in zip(painting.levels, pyramid.levels, strict=True):
        assert level.shape == (*labels.shape, *channels)
        assert level.ndim == len(level.shape)
        assert level.size == np.prod(level.shape)
    coarse = painting.levels[-1]
    assert np.array_equal(coarse[3:40, 5:9], np.asarray(coarse)[3:40, 5:9], equal_nan=True)
    assert np.array_equal(coarse[...], np.asarray(coarse), equal_nan=True)


def test_the_array_napari_keeps_follows_a_new_table() -> None:
    pyramid = LabelPyramid(np.random.default_rng(0).uniform(0, 300, (400, 2)))
    painting = Painting(pyramid, ValueTable(np.zeros(400)))
    kept = np.asarray(painting.levels[-1])
    assert np.nanmax(kept) == 0
    painting.table = ValueTable(np.ones(400))
    painting.repaint()
    assert np.nanmin(kept) == 1
