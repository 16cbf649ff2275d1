"""Sparse statistics against their dense definitions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import roc_auc_score

from tagscope.interpret.statistics import column_means, group_auc


@pytest.fixture
def scores():
    """60 cells, 5 columns with many zeros and many ties; the last column is empty."""
    random = np.random.default_rng(2)
    values = random.integers(0, 4, (60, 5)) * random.integers(0, 2, (60, 5)) / 3
    values[:, 4] = 0
    return values.astype(np.float32)


@pytest.fixture
def codes():
    return np.random.default_rng(3).integers(-1, 3, 60)


def test_auc_is_the_area_under_the_curve(scores, codes):
    sizes = np.bincount(codes + 1, minlength=4)[1:]
    for column in range(5):
        found = group_auc(sp.csc_matrix(scores), column, codes, sizes)
        expected = [roc_auc_score(codes == g, scores[:, column]) for g in range(3)]
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_auc_does_not_mind_stored_zeros(scores, codes):
    sizes = np.bincount(codes + 1, minlength=4)[1:]
    stored = sp.csc_matrix(np.ones_like(scores))
    stored.data = scores.T.ravel().copy()
    np.testing.assert_array_equal(
        group_auc(stored, 1, codes, sizes), group_auc(sp.csc_matrix(scores), 1, codes, sizes)
    )


def test_a_group_of_all_or_no_cells_has_no_auc(scores):
    found = group_auc(sp.csc_matrix(scores), 0, np.zeros(60, dtype=np.int64), np.array([60, 0]))
    assert np.isnan(found).all()


def test_means_count_cells_without_the_gene(scores, codes):
    columns = np.array([3, 0])
    found = column_means(sp.csc_matrix(scores), columns, codes, 4)
    for group in range(3):
        np.testing.assert_allclose(found[group], scores[codes == group][:, columns].mean(0))
    np.testing.assert_array_equal(found[3], 0)
