from __future__ import annotations

import numpy as np
import pytest

from napari_tagscope.controllers.contrast import limits_of, spread_of


def test_the_range_ends_at_a_percentile_of_values_above_zero():
    values = np.concatenate([np.zeros(900), np.arange(1, 101)]).astype(np.float32)
    assert limits_of(values, 100) == (0, 100)
    assert limits_of(values, 90) == (0, pytest.approx(90.1))


def test_missing_values_do_not_count():
    values = np.array([np.nan, 0, 1, 3], np.float32)
    assert limits_of(values, 100) == (0, 3)


def test_values_of_both_signs_span_as_much_below():
    values = np.linspace(-2, 3, 101, dtype=np.float32)
    assert limits_of(values, 90) == (pytest.approx(-1.5), pytest.approx(2.5))


@pytest.mark.parametrize("values", [[0, 0], [np.nan, np.nan], [-1, -1]])
def test_values_that_are_all_alike_have_no_range(values):
    assert limits_of(np.array(values, np.float32)) is None


def test_what_is_never_near_zero_spans_its_own_range():
    assert spread_of(np.linspace(5, 6, 101, dtype=np.float32)) == pytest.approx((5.02, 5.98))
    assert spread_of(np.full(3, np.nan, np.float32)) is None
