"""The temperature against what was planted, and where the likelihood alone would run away."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from tagscope.models.calibration import (
    LEAST,
    MOST,
    fit_temperature,
    negative_log_likelihood,
    softmax,
)


def _drawn(cells, temperature, seed=0, labels=6):
    """Logits whose true labels were drawn from softmax(logits / temperature)."""
    rng = np.random.default_rng(seed)
    logits = 5 * rng.standard_normal((cells, labels))
    odds = softmax(logits, temperature)
    return logits, (odds.cumsum(axis=1) > rng.random((cells, 1))).argmax(axis=1)


@pytest.mark.parametrize("planted", [0.4, 1.0, 2.5])
def test_a_planted_temperature_is_found(planted):
    assert fit_temperature(*_drawn(20_000, planted)) == pytest.approx(planted, rel=0.05)


def test_on_many_cells_it_is_the_most_likely_one():
    logits, codes = _drawn(5_000, 2.0)
    best = minimize_scalar(
        lambda t: negative_log_likelihood(logits, codes, t), bounds=(0.1, 10), method="bounded"
    )
    assert fit_temperature(logits, codes) == pytest.approx(best.x, rel=1e-3)


def test_it_lowers_the_loss_of_cells_it_was_not_fitted_on():
    logits, codes = _drawn(4_000, 3.0)
    found = fit_temperature(logits[:2_000], codes[:2_000])
    before = negative_log_likelihood(logits[2_000:], codes[2_000:])
    assert negative_log_likelihood(logits[2_000:], codes[2_000:], found) < before - 0.1


def test_no_error_among_the_cells_does_not_make_it_certain_of_everything():
    logits = 3 * np.eye(4)[np.arange(40) % 4]
    found = fit_temperature(logits, np.arange(40) % 4)
    assert LEAST < found < 1
    few = fit_temperature(logits[:4], np.arange(4))
    assert found < few < 1


def test_nothing_to_learn_from_leaves_logits_as_they_are():
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, int)) == pytest.approx(1)
    assert fit_temperature(np.array([[2.0, 1.0]]), np.array([-1])) == pytest.approx(1)
    assert fit_temperature(np.random.default_rng(0).random((50, 1)), np.zeros(50, int)) == (
        pytest.approx(1)
    )


def test_it_stays_within_its_bounds():
    sure_and_wrong = 400 * np.eye(3)[np.zeros(500, int)]
    assert fit_temperature(sure_and_wrong, np.ones(500, int)) == pytest.approx(MOST)
    barely_right = 1e-3 * np.eye(3)[np.zeros(100_000, int)]
    assert fit_temperature(barely_right, np.zeros(100_000, int)) == pytest.approx(LEAST)


def test_numbers_that_are_none_are_refused():
    with pytest.raises(ValueError, match="finite"):
        fit_temperature(np.array([[np.nan, 1.0]]), np.array([0]))
    with pytest.raises(ValueError, match="labels for logits"):
        fit_temperature(np.zeros((3, 2)), np.zeros(2, int))


def test_softmax_and_loss_survive_large_logits():
    assert softmax(np.array([[1e4, 0.0]]))[0, 0] == 1
    assert negative_log_likelihood(np.array([[1e4, 0.0]]), np.array([1])) == pytest.approx(1e4)
