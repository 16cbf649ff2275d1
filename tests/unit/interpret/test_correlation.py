"""Spearman within groups, over sparse columns, against scipy on dense ones."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import spearmanr

from tagscope.interpret.correlation import GroupedSpearman

CELLS, GROUPS = 300, 4


@pytest.fixture
def codes():
    return np.random.default_rng(3).integers(-1, GROUPS, CELLS)


def columns(seed, *, zeros=0.5, values=5, negative=False):
    """Integers with many ties and zeros, of float32."""
    random = np.random.default_rng(seed)
    drawn = random.integers(-values if negative else 1, values + 1, (CELLS, 3))
    return (drawn * (random.random((CELLS, 3)) >= zeros)).astype(np.float32)


def scipy_says(x, y):
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    return spearmanr(x, y).statistic


@pytest.mark.parametrize("zeros", [0.0, 0.5, 0.97])
@pytest.mark.parametrize("negative", [False, True])
def test_both_correlations_are_those_of_scipy(codes, zeros, negative):
    x, y = columns(1, zeros=zeros, negative=negative), columns(2, zeros=0.4, negative=negative)
    y[:, 0] += x[:, 0]
    found = GroupedSpearman(codes, GROUPS)
    for i in range(3):
        everywhere, positive = found.of_columns(sp.csc_matrix(x), sp.csc_matrix(y), i, i)
        for group in range(GROUPS):
            own = codes == group
            expressed = own & (y[:, i] > 0)
            assert everywhere[group] == pytest.approx(scipy_says(x[own, i], y[own, i]), nan_ok=True)
            expected = scipy_says(x[expressed, i], y[expressed, i])
            assert positive[group] == pytest.approx(expected, nan_ok=True)


def test_a_column_that_is_constant_has_no_correlation(codes):
    x, y = columns(1), columns(2)
    x[:, 0], x[:, 1] = 0, 3
    found = GroupedSpearman(codes, GROUPS)
    for column in (0, 1):
        everywhere, positive = found.of_columns(sp.csc_matrix(x), sp.csc_matrix(y), column, 2)
        assert np.isnan(everywhere).all()
        assert np.isnan(positive).all()


def test_one_cell_that_differs_among_very_many_is_seen():
    x = np.zeros((200_000, 1), np.float32)
    x[7] = 1
    found = GroupedSpearman(np.zeros(len(x), np.int64), 1)
    assert found.of_columns(sp.csc_matrix(x), sp.csc_matrix(x), 0, 0)[0] == pytest.approx(1)
    x[:] = 2
    assert np.isnan(found.of_columns(sp.csc_matrix(x), sp.csc_matrix(x), 0, 0)[0])


def test_stored_zeros_and_the_order_of_columns_do_not_matter(codes):
    x, y = columns(1), columns(2)
    stored = sp.csc_matrix(np.ones_like(x))
    stored.data = x.T.ravel().copy()
    found = GroupedSpearman(codes, GROUPS)
    one = found.of_columns(stored, sp.csc_matrix(y), 1, 2)
    other = found.of_columns(sp.csc_matrix(x), sp.csc_matrix(y), 1, 2)
    np.testing.assert_array_equal(one, other)


def test_a_group_of_two_cells_has_none():
    x = np.array([[1], [2], [1], [2], [4]], np.float32)
    found = GroupedSpearman(np.array([0, 0, 1, 1, 1]), 2)
    everywhere, _ = found.of_columns(sp.csc_matrix(x), sp.csc_matrix(x), 0, 0)
    assert np.isnan(everywhere[0])
    assert everywhere[1] == pytest.approx(1)
