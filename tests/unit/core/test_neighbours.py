"""The cells next to a cell."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from tagscope.core.neighbours import TissueNeighbours
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Section, SideBySide


def section(xy, pieces=None):
    count = len(xy)
    values = sp.csr_matrix((count, 1), dtype=np.float32)
    cells = Cells(values, GenePanel(("Gad1",)), np.arange(count).astype(str))
    return Section(cells, np.asarray(xy, dtype=float), pieces=pieces)


def test_the_nearest_come_first_without_the_cell_itself():
    near = TissueNeighbours(section([[0, 0], [3, 0], [1, 0], [10, 0]]))
    assert near.nearest(0, 2).tolist() == [2, 1]
    assert near.nearest(3, 10).tolist() == [1, 2, 0]


def test_cells_at_one_place_are_neighbours_of_each_other():
    near = TissueNeighbours(section([[0, 0], [0, 0], [0, 0]]))
    assert sorted(near.nearest(1, 5)) == [0, 2]


def test_neighbours_lie_in_the_same_section():
    xy = [[0, 0], [50, 0], [51, 0], [100, 0]]
    pieces = SideBySide(("a", "b"), np.array([0, 0, 1, 1]), np.zeros((2, 2)))
    near = TissueNeighbours(section(xy, pieces))
    assert near.nearest(1, 3).tolist() == [0]
    assert near.nearest(2, 3).tolist() == [3]


def test_cells_without_a_place_have_no_neighbours():
    near = TissueNeighbours(section([[0, 0], [np.nan, 0], [2, 0]]))
    assert near.nearest(1, 2).tolist() == []
    assert near.nearest(0, 5).tolist() == [2]
    assert TissueNeighbours(section([[4, 4]])).nearest(0, 3).tolist() == []
