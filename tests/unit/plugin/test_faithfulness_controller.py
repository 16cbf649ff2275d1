"""The deletion test from the window: sampled cells, verdicts by type."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_tagscope.controllers.faithfulness import (
    NO_RESULT,
    FaithfulnessController,
    Step,
    Verdict,
    verdicts_of,
)
from napari_tagscope.controllers.stored import with_min_confidence
from tagscope import api


@pytest.fixture
def faithfulness(state, runner, opened):
    controller = FaithfulnessController(state, runner)
    state.set_section(opened)
    return controller


def test_it_waits_for_a_result(faithfulness, state, runner, annotated):
    assert (faithfulness.state.hint, faithfulness.state.ready) == (NO_RESULT, False)
    faithfulness.run()
    assert runner.titles == []
    state.set_result(annotated)
    assert faithfulness.state.ready


def test_the_verdict_is_that_of_the_engine(faithfulness, state, opened, bundle, annotated):
    state.set_result(annotated)
    faithfulness.run()
    config = api.FaithfulnessConfig(cells_per_type=50, draws=2, percent=(1, 5, 10))
    report = api.faithfulness_of_result(annotated, opened.section.cells, bundle, config)
    verdict = faithfulness.state.verdict
    assert verdict == verdicts_of(report)["(all)"]
    curves = report.curves
    chosen = (curves["type"] == "(all)") & (curves["test"] == "deletion")
    chosen &= (curves["order"] == "random") & (curves["percent"] == 5)
    assert verdict.steps[1].random == pytest.approx(1 - curves[chosen]["label_kept"].item())
    label = next(name for name, count in annotated.annotation.counts() if count)
    state.select_label(label)
    assert faithfulness.state.verdict.label == label


def test_another_bound_keeps_the_verdict_another_run_does_not(faithfulness, state, annotated):
    state.set_result(annotated)
    faithfulness.run()
    state.set_result(with_min_confidence(annotated, 0.1))
    assert faithfulness.state.verdict is not None
    state.set_result(replace(annotated, key="other"))
    assert faithfulness.state.verdict is None


def test_it_can_be_cancelled(faithfulness, state, runner, annotated):
    state.set_result(annotated)
    runner.cancel_at = 2
    faithfulness.run()
    assert not faithfulness.state.running
    assert faithfulness.state.verdict is None


def test_without_its_bundle_it_says_what_to_do(faithfulness, state, result):
    state.set_result(result)
    faithfulness.run()
    assert "Choose its folder" in faithfulness.state.failure.error.fix
    assert not faithfulness.state.running


@pytest.mark.parametrize(
    ("attention", "error", "judgement"),
    [
        (0.71, 0.1, "hangs on"),
        (0.2, 0.1, "Not clearly more than by chance"),
        (0.06, 0.0, "Not clearly"),
    ],
)
def test_a_verdict_is_read_in_words(attention, error, judgement):
    steps = tuple(Step(p, attention, 0.06, 0.5, error) for p in (1.0, 5.0, 10.0))
    verdict = Verdict("Astrocyte", 25, steps)
    assert judgement in verdict.judgement
    assert f"changes the label of {100 * attention:.0f} % of 25 cells" in verdict.sentence
    assert "random genes: 6 %" in verdict.sentence


def test_shares_are_those_of_cells_that_change(faithfulness, state, annotated):
    state.set_result(annotated)
    faithfulness.run()
    steps = faithfulness.state.verdict.steps
    shares = np.array([[s.attention, s.random, s.expression] for s in steps])
    assert ((shares >= 0) & (shares <= 1)).all()
