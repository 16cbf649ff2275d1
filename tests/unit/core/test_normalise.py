from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from tagscope.core.normalise import log_cp10k, log_cp10k_of, log_median
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells


@pytest.fixture
def cells():
    counts = sp.csr_matrix(np.array([[1, 3, 0], [0, 0, 0]], dtype=np.float32))
    return Cells(counts, GenePanel(("A", "B", "C")), np.array(["x", "y"]))


def test_log_cp10k(cells):
    expected = [[np.log1p(2500), np.log1p(7500), 0], [0, 0, 0]]
    np.testing.assert_allclose(log_cp10k(cells).toarray(), expected, rtol=1e-6)
    assert cells.values.data.tolist() == [1, 3]


def test_cells_are_scaled_to_the_median_of_those_that_have_counts(cells):
    both = replace(cells, values=sp.csr_matrix(np.array([[1, 3, 0], [8, 0, 0]], np.float32)))
    expected = [[np.log1p(1.5), np.log1p(4.5), 0], [np.log1p(6), 0, 0]]
    np.testing.assert_allclose(log_median(both).toarray(), expected, rtol=1e-6)
    np.testing.assert_allclose(log_median(cells).toarray(), np.log1p(cells.values.toarray()))


def test_normalised_values_stay_as_they_are(cells):
    np.testing.assert_array_equal(
        log_cp10k(replace(cells, normalised=True)).toarray(), cells.values.toarray()
    )


def test_one_gene_is_a_column_of_all(cells):
    for told in (cells, replace(cells, normalised=True)):
        for column in range(3):
            whole = log_cp10k(told).toarray()[:, column]
            np.testing.assert_allclose(log_cp10k_of(told, column), whole, rtol=1e-6)
