"""Scores against scikit-learn and against counts made by hand."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from tagscope.errors import ArgumentError, OutputError
from tagscope.evaluation.annotation import evaluate_labels


@pytest.fixture
def labels():
    random = np.random.default_rng(0)
    truth = random.choice(["a", "b", "c", "d"], 300, p=[0.6, 0.3, 0.08, 0.02])
    wrong = random.random(300) < 0.3
    return np.where(wrong, random.choice(["a", "b", "c", "x"], 300), truth), truth


def test_scores_are_those_of_scikit_learn(labels):
    predicted, truth = labels
    report = evaluate_labels(predicted, truth)
    present = sorted(set(truth))
    assert report.accuracy == pytest.approx(accuracy_score(truth, predicted))
    assert report.macro_f1 == pytest.approx(
        f1_score(truth, predicted, labels=present, average="macro")
    )
    expected = precision_recall_fscore_support(truth, predicted, labels=present)
    found = report.per_class.loc[present, ["precision", "recall", "f1", "support"]].to_numpy()
    np.testing.assert_allclose(found.T, expected)
    assert report.per_class.loc["x", "support"] == 0
    assert report.n_types == 4
    assert (report.n_unseen, report.n_missing, report.unseen_auroc) == (0, 0, None)


def test_unseen_types_are_counted_and_used_for_the_auroc_alone():
    truth = ["a", "a", "b", "new", "new"]
    predicted = ["a", "b", "b", "a", "b"]
    confidence = np.array([0.9, 0.5, 0.8, 0.6, 0.3])
    report = evaluate_labels(predicted, truth, confidence, seen={"a", "b", "absent"})
    assert (report.n_cells, report.n_unseen) == (3, 2)
    assert report.accuracy == pytest.approx(2 / 3)
    assert "new" not in report.per_class.index
    assert list(report.confusion.index) == ["a", "b", "new"]
    assert report.confusion.loc["new", "a"] == 1
    # pairs (unseen, seen) with the unseen less sure: 0.6 beats 0.9 and 0.8, 0.3 beats all three
    assert report.unseen_auroc == pytest.approx(5 / 6)
    assert report.novelty_auroc is None
    novel = np.array([0.1, 0.7, 0.2, 0.9, 0.6])
    assert evaluate_labels(
        predicted, truth, seen={"a", "b"}, novelty=novel
    ).novelty_auroc == pytest.approx(5 / 6)


def test_cells_without_truth_are_left_out_and_counted():
    truth = ["a", np.nan, None, "NA", "", "nan", "b"]
    report = evaluate_labels(["a", "a", "a", "a", "a", "a", "b"], truth)
    assert (report.n_cells, report.n_missing, report.accuracy) == (2, 5, 1.0)


def test_unassigned_is_wrong_but_no_type_of_its_own():
    report = evaluate_labels(["a", "Unassigned", np.nan, "b"], ["a", "a", "b", "b"])
    assert report.accuracy == 0.5
    assert report.n_unassigned == 2
    assert list(report.per_class.index) == ["a", "b"]
    assert list(report.confusion.columns) == ["a", "b", "Unassigned"]
    assert report.confusion.to_numpy().sum() == 4


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    predicted, truth = ["a"] * 10, ["a"] * 6 + ["b"] * 4
    overconfident = evaluate_labels(predicted, truth, np.full(10, 0.95))
    honest = evaluate_labels(predicted, truth, np.full(10, 0.6))
    assert overconfident.calibration_error == pytest.approx(0.35)
    assert honest.calibration_error == pytest.approx(0.0, abs=1e-9)
    certain = evaluate_labels(["a"], ["a"], np.ones(1))
    assert certain.calibration_error == 0.0


def test_nothing_to_score_says_what_the_types_are():
    with pytest.raises(ArgumentError, match="Neuron"):
        evaluate_labels(["a"], ["Neuron"], seen={"a"})


def test_different_lengths_are_refused():
    with pytest.raises(ArgumentError, match="2 predictions"):
        evaluate_labels(["a", "b"], ["a"])


def test_categorical_columns_are_taken(labels):
    predicted, truth = labels
    plain = evaluate_labels(predicted, truth)
    categorical = evaluate_labels(pd.Series(predicted, dtype="category"), pd.Categorical(truth))
    assert categorical.to_dict() == plain.to_dict()


def test_a_report_is_written_whole(labels, tmp_path):
    predicted, truth = labels
    report = evaluate_labels(predicted, truth, np.full(300, 0.7))
    folder = report.write(tmp_path / "evaluation")
    written = json.loads((folder / "evaluation.json").read_text())
    assert written["accuracy"] == report.accuracy
    assert written["unseen_auroc"] is None
    confusion = pd.read_csv(folder / "confusion.csv", index_col=0)
    np.testing.assert_array_equal(confusion.to_numpy(), report.confusion.to_numpy())
    assert len(pd.read_csv(folder / "per_class.csv")) == 5
    picture = np.asarray(Image.open(folder / "confusion.png").convert("RGB"))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10
    with pytest.raises(OutputError, match="exists"):
        report.write(tmp_path / "evaluation")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["evaluation"]
    report.write(tmp_path / "evaluation", overwrite=True)


def test_the_text_names_every_type(labels):
    text = evaluate_labels(*labels).to_text()
    assert "macro f1" in text
    assert all(f"\n{name} " in text for name in "abcdx")
