"""A store's image in tiles: the right pixel at every level, and no more read than is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_tagscope.canvas.image_tiles import ImagePyramid
from napari_tagscope.canvas.tiles import TILE


class Counted:
    """An array that remembers how many of its pixels were read."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim
        self.read = 0

    def __getitem__(self, window: Any) -> np.ndarray:
        part = self._values[window]
        self.read += part.shape[0] * part.shape[1]
        return part


def image(rows: int = 2300, columns: int = 3101, channels: tuple[int, ...] = ()) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.integers(1, 60_000, (rows, columns, *channels)).astype(np.uint16)


def halved(values: np.ndarray, times: int) -> np.ndarray:
    step = 2**times
    return values[step // 2 :: step, step // 2 :: step] if times else values


@pytest.mark.parametrize("channels", [(), (3,)])
def test_one_level_alone_gives_every_level_s_middle_pixels(channels: tuple[int, ...]) -> None:
    values = image(channels=channels)
    pyramid = ImagePyramid([values])
    assert pyramid.shapes == [(2300, 3101), (1150, 1551), (575, 776), (288, 388)]
    for level, own in enumerate(pyramid.levels):
        shown, true = np.asarray(own), halved(values, level)
        assert shown.shape == (*pyramid.shapes[level], *channels)
        assert shown.dtype == np.uint16
        rows, columns = true.shape[:2]
        assert np.array_equal(shown[:rows, :columns], true)


def test_stored_levels_are_taken_where_they_are_fine_enough() -> None:
    values = image(4096, 4096)
    stored = [Counted(values), Counted(halved(values, 2)), Counted(halved(values, 3))]
    pyramid = ImagePyramid(stored)
    shown = np.asarray(pyramid.levels[2])
    assert [level.read > 0 for level in stored] == [False, True, False]
    assert np.array_equal(shown, halved(values, 2))
    assert np.array_equal(np.asarray(pyramid.levels[3]), halved(values, 3))
    assert stored[2].read
    assert stored[0].read == 0


def test_a_window_reads_its_tiles_once() -> None:
    stored = Counted(image(4096, 4096))
    pyramid = ImagePyramid([stored])
    for left in (600, 640, 700):
        window = pyramid.levels[0][600:900, left : left + 200]
        assert np.array_equal(window, stored._values[600:900, left : left + 200])
    assert stored.read == TILE * TILE


def test_levels_that_are_not_exact_halves_fit() -> None:
    values = np.repeat(np.repeat(np.arange(1, 100, dtype=np.uint8), 30)[:, None], 1500, axis=1)
    coarse = values[::7, ::7]
    pyramid = ImagePyramid([values, coarse])
    shown = np.asarray(pyramid.levels[3]).astype(int)
    rows = np.minimum(((np.arange(shown.shape[0]) + 0.5) * 8).astype(int), len(values) - 1)
    assert np.abs(shown - values[rows, :1].astype(int)).max() <= 1
