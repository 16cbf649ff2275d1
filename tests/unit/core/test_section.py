from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from tagscope.core.panel import GenePanel
from tagscope.core.section import CellOutlines, Cells, Section


def _cells() -> Cells:
    values = sp.csr_matrix(np.array([[1, 0, 2], [0, 3, 0]], dtype=np.float32))
    return Cells(values, GenePanel(("a", "b", "c")), np.array(["x", "y"]))


def test_restricting_reorders_genes_and_fills_absent_ones_with_zero():
    restricted = _cells().restrict(GenePanel(("C", "new", "a")))
    np.testing.assert_array_equal(restricted.values.toarray(), [[2, 0, 1], [0, 0, 0]])
    assert restricted.panel.symbols == ("C", "new", "a")


def test_restricting_may_use_a_column_twice():
    restricted = _cells().restrict(GenePanel(("a", "A")))
    np.testing.assert_array_equal(restricted.values.toarray(), [[1, 1], [0, 0]])


def test_taking_rows_keeps_ids_beside_values():
    taken = _cells().take(np.array([1]))
    assert taken.ids.tolist() == ["y"]
    np.testing.assert_array_equal(taken.values.toarray(), [[0, 3, 0]])
    assert taken.totals.tolist() == [3]


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="cells and panel say"):
        Cells(sp.csr_matrix((2, 3)), GenePanel(("a",)), np.array(["x", "y"]))
    with pytest.raises(ValueError, match="xy"):
        Section(_cells(), np.zeros((3, 2)))


def test_outlines_hand_out_one_ring_a_cell():
    outlines = CellOutlines(np.arange(8, dtype=np.float32).reshape(4, 2), np.array([0, 0, 4]))
    assert len(outlines) == 2
    assert outlines.ring(0).shape == (0, 2)
    assert outlines.ring(1).shape == (4, 2)
