"""Cells within an outline drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tagscope.core import area
from tagscope.core.area import rows_inside
from tagscope.jobs import JobCancelled, JobContext

GRID = np.stack(np.meshgrid(np.arange(10.0), np.arange(10.0)), axis=-1).reshape(-1, 2)


def test_cells_within_a_rectangle_are_found_across_parts(monkeypatch):
    monkeypatch.setattr(area, "CHUNK", 7)
    ring = np.array([[1.5, 2.5], [4.5, 2.5], [4.5, 6.5], [1.5, 6.5]])
    inside = (GRID > [1.5, 2.5]).all(axis=1) & (GRID < [4.5, 6.5]).all(axis=1)
    np.testing.assert_array_equal(rows_inside(GRID, ring), np.flatnonzero(inside))


def test_a_dent_is_outside():
    ring = np.array([[-1, -1], [10, -1], [10, 10], [5, 4.4], [-1, 10]])
    found = rows_inside(GRID, ring)
    at = {tuple(xy) for xy in GRID[found]}
    assert (5.0, 4.0) in at
    assert (5.0, 6.0) not in at
    assert (0.0, 8.0) in at


def test_a_line_that_crosses_itself_encloses_both_loops():
    bow = np.array([[-0.5, -0.5], [9.5, 9.5], [9.5, -0.5], [-0.5, 9.5]])
    at = {tuple(xy) for xy in GRID[rows_inside(GRID, bow)]}
    assert (1.0, 4.0) in at
    assert (8.0, 4.0) in at
    assert (4.0, 1.0) not in at


def test_too_few_corners_and_lost_cells_are_nowhere():
    assert len(rows_inside(GRID, GRID[:2])) == 0
    lost = np.array([[np.nan, 1.0], [1.0, 1.0]])
    ring = np.array([[0.0, 0], [2, 0], [2, 2], [0, 2]])
    assert rows_inside(lost, ring).tolist() == [1]
    assert len(rows_inside(np.zeros((0, 2)), ring)) == 0


def test_it_can_be_cancelled():
    context = JobContext()
    context.cancel()
    with pytest.raises(JobCancelled):
        rows_inside(GRID, GRID[:50], context)
