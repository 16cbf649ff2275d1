"""Counts that are kept up to date, against counting anew."""

from __future__ import annotations

import numpy as np
import pytest

from napari_tagscope.controllers.counted import BINS, CountedCells
from napari_tagscope.controllers.likeness import likeness_order


@pytest.fixture
def cells():
    random = np.random.default_rng(0)
    likeliest = random.integers(-1, 5, 1000)
    return likeliest, random.random(1000).astype(np.float32)


def assert_alike(found, expected):
    np.testing.assert_array_equal(found.codes, expected.codes)
    np.testing.assert_array_equal(found.counts, expected.counts)
    np.testing.assert_array_equal(found.histogram, expected.histogram)
    assert (found.unassigned, found.pending) == (expected.unassigned, expected.pending)


def test_a_bound_moves_the_cells_between(cells):
    likeliest, confidence = cells
    moving = CountedCells(likeliest, confidence, 0.0, 5)
    for bound in (0.3, 0.8, 0.25, 0.25, 0.0):
        before = moving.codes.copy()
        rows, codes = moving.move(bound)
        np.testing.assert_array_equal(moving.codes[rows], codes)
        assert_alike(moving, CountedCells(likeliest, confidence, bound, 5))
        np.testing.assert_array_equal(rows, np.flatnonzero(moving.codes != before))


def test_cells_that_arrive_are_counted(cells):
    likeliest, confidence = cells
    arriving = CountedCells.unknown(1000, 5)
    assert arriving.pending == 1000
    arriving.move(0.5)
    for rows in np.array_split(np.random.default_rng(1).permutation(1000), 7):
        arriving.add(rows, likeliest[rows], confidence[rows])
    assert_alike(arriving, CountedCells(likeliest, confidence, 0.5, 5))
    again = np.arange(10)
    arriving.add(again, likeliest[again], confidence[again])
    assert_alike(arriving, CountedCells(likeliest, confidence, 0.5, 5))


def test_the_histogram_is_numpys(cells):
    likeliest, confidence = cells
    counted = CountedCells(likeliest, confidence, 0.0, 5)
    expected = np.histogram(confidence, bins=BINS, range=(0, 1))[0]
    np.testing.assert_array_equal(counted.histogram, expected)


def test_types_taken_for_each_other_lie_side_by_side():
    blocks = np.kron(np.eye(2), np.full((2, 2), 0.35)) + 0.3 * np.eye(4) * 0.5
    mixed = [0, 2, 1, 3]  # 0 is like 1, 2 like 3, but they are listed by turns
    probabilities = np.repeat(blocks[np.ix_(mixed, mixed)], 20, axis=0)
    order = likeness_order(np.hstack([probabilities, np.zeros((80, 1))]))
    assert {frozenset(order[:2]), frozenset(order[2:4])} == {frozenset({0, 2}), frozenset({1, 3})}
    assert order[4] == 4
