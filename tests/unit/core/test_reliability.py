"""The reliability curve against bins made by hand, and what a temperature does to it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tagscope.core.reliability import expected_calibration_error, reliability_curve
from tagscope.evaluation.annotation import evaluate_labels
from tagscope.models.calibration import fit_temperature, softmax


def test_the_curve_is_that_of_bins_made_by_hand():
    confidence = np.array([0.05, 0.55, 0.58, 0.95, 1.0])
    right = np.array([False, True, False, True, True])
    curve = reliability_curve(confidence, right, bins=10)
    assert curve["low"].tolist() == pytest.approx([0.0, 0.5, 0.9])
    assert curve["cells"].tolist() == [1, 2, 2]
    assert curve["confidence"].tolist() == pytest.approx([0.05, 0.565, 0.975])
    assert curve["accuracy"].tolist() == [0, 0.5, 1]
    gap = (0.05 + 2 * 0.065 + 2 * 0.025) / 5
    assert expected_calibration_error(curve) == pytest.approx(gap)


def test_a_fitted_temperature_makes_other_cells_honest():
    rng = np.random.default_rng(0)
    logits = 6 * rng.standard_normal((4000, 8))
    odds = softmax(logits, 3.0)
    codes = (odds.cumsum(axis=1) > rng.random((4000, 1))).argmax(axis=1)
    fitted = fit_temperature(logits[:2000], codes[:2000])

    def error(temperature):
        said = softmax(logits[2000:], temperature)
        return expected_calibration_error(
            reliability_curve(said.max(axis=1), said.argmax(axis=1) == codes[2000:])
        )

    assert error(1.0) > 0.2
    assert error(fitted) < 0.05


def test_the_report_holds_the_curve_and_draws_it(tmp_path):
    rng = np.random.default_rng(1)
    confidence = rng.random(400)
    truth = np.where(rng.random(400) < confidence, "a", "b")
    report = evaluate_labels(["a"] * 400, truth, confidence)
    assert report.calibration_error == expected_calibration_error(report.reliability)
    folder = report.write(tmp_path / "evaluation")
    curve = pd.read_csv(folder / "reliability.csv")
    assert curve["cells"].sum() == 400
    picture = np.asarray(Image.open(folder / "reliability.png").convert("RGB"))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10
    plain = evaluate_labels(["a"] * 400, truth)
    assert plain.reliability is None
    assert not (plain.write(tmp_path / "plain") / "reliability.csv").exists()
