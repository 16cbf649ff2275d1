"""Comparing the types with a column of the section, and picking cells of a confusion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_tagscope.controllers.comparison import (
    CHOOSE,
    NO_COLUMN,
    NO_RESULT,
    ComparisonController,
    agreement_text,
)
from napari_tagscope.controllers.stored import renamed, with_min_confidence
from tagscope.evaluation.annotation import evaluate_labels


@pytest.fixture
def comparison(state, runner, opened):
    controller = ComparisonController(state, runner)
    state.set_section(opened)
    return controller


@pytest.fixture
def mistaken(result):
    """The result with every tenth cell taken for Astrocyte."""
    probabilities = result.annotation.probabilities.copy()
    probabilities[::10] = (0.98, 0.01, 0.01)
    return replace(result, annotation=replace(result.annotation, probabilities=probabilities))


def test_before_there_is_a_result_it_says_what_to_do(comparison):
    assert comparison.state.hint == NO_RESULT
    assert comparison.state.columns == ()


def test_columns_of_labels_are_offered(comparison, state, result):
    state.set_result(result)
    assert comparison.state.columns == ("cell_type", "batch")
    assert comparison.state.hint == CHOOSE
    comparison.choose_column("batch")
    assert comparison.state.hint == ""


def test_a_section_without_labels_is_told_so(state, runner, opened, result):
    opened.table.obs.drop(columns=["cell_type", "batch"], inplace=True)
    comparison = ComparisonController(state, runner)
    state.set_section(opened)
    state.set_result(result)
    assert comparison.state.hint == NO_COLUMN


def test_numbers_are_those_of_the_command(comparison, state, opened, mistaken):
    state.set_result(mistaken)
    comparison.choose_column("cell_type")
    names, truth = mistaken.annotation.names(), opened.table.obs["cell_type"]
    expected = evaluate_labels(names, truth, mistaken.annotation.confidence)
    found = comparison.state.agreement
    assert found.named
    assert (found.accuracy, found.macro_f1) == (expected.accuracy, expected.macro_f1)
    assert found.calibration_error == expected.calibration_error
    assert (found.ari, found.nmi, found.cells, found.types) == (expected.ari, expected.nmi, 30, 3)
    np.testing.assert_array_equal(comparison.state.confusion.counts, expected.confusion)
    assert f"Agreement {expected.accuracy:.3f}" in agreement_text(comparison.state)


def test_a_confusion_selects_its_cells_and_lets_them_go(comparison, state, mistaken):
    state.set_result(mistaken)
    comparison.choose_column("cell_type")
    confusion = comparison.state.confusion
    row, column = confusion.truth.index("Inhibitory"), confusion.prediction.index("Astrocyte")
    assert confusion.text(row, column) == "Inhibitory → Astrocyte: 1 of 10 cells, 10 %"
    comparison.choose(row, column)
    np.testing.assert_array_equal(state.rows, [20])
    assert comparison.state.chosen == (row, column)
    comparison.choose(row, column)
    assert len(state.rows) == 0
    assert comparison.state.chosen is None


def test_cells_selected_elsewhere_are_no_confusion(comparison, state, mistaken):
    state.set_result(mistaken)
    comparison.choose_column("cell_type")
    comparison.choose(0, 0)
    state.select_rows([1, 2])
    assert comparison.state.chosen is None


def test_unassigned_cells_have_a_column(comparison, state, result):
    state.set_result(with_min_confidence(result, 0.7))
    comparison.choose_column("cell_type")
    assert comparison.state.confusion.prediction[-1] == "Unassigned"
    assert "Unassigned count as wrong" in agreement_text(comparison.state)


def test_it_follows_names_and_bound(comparison, state, result):
    state.set_result(result)
    comparison.choose_column("cell_type")
    assert comparison.state.agreement.accuracy == 1.0
    state.set_result(renamed(result, "Astrocyte", "Glia"))
    assert comparison.state.agreement.unseen == 10
    assert "10 of types the model lacks left out" in agreement_text(comparison.state)


def test_groups_of_other_names_are_compared_as_groups(comparison, state, opened, result):
    opened.table.obs["cluster"] = [f"k{2 - i % 3}" for i in range(30)]
    state.set_result(result)
    comparison.choose_column("cluster")
    found, confusion = comparison.state.agreement, comparison.state.confusion
    assert not found.named
    assert found.ari == 1.0
    assert confusion.truth == ("k2", "k1", "k0")
    assert agreement_text(comparison.state).startswith("No name is in common")


def test_a_column_without_any_label_is_refused(comparison, state, opened, result):
    opened.table.obs["empty"] = np.array([None] * 30, dtype=object)
    state.set_result(result)
    comparison.choose_column("empty")
    assert "30 have no true label" in comparison.state.failure.error.found
    assert comparison.state.confusion is None


def test_identifiers_are_no_labels(comparison, state, opened, result, monkeypatch):
    monkeypatch.setattr("napari_tagscope.controllers.comparison.MOST_TYPES", 29)
    opened.table.obs["name"] = [f"n{i}" for i in range(30)]
    state.set_result(result)
    comparison.choose_column("name")
    assert "holds 30 different values" in comparison.state.failure.error.found


def test_the_table_can_be_copied(comparison, state, result):
    state.set_result(result)
    comparison.choose_column("cell_type")
    first, *rows = comparison.as_text().splitlines()
    assert first.split("\t") == ["cell_type", "Astrocyte", "Excitatory", "Inhibitory"]
    assert rows[0].split("\t") == ["Astrocyte", "10", "0", "0"]


def test_another_section_begins_anew(comparison, state, result):
    state.set_result(result)
    comparison.choose_column("cell_type")
    state.set_section(None)
    assert comparison.state.column == ""
    assert comparison.state.confusion is None


def test_a_cancelled_comparison_leaves_nothing_stale(comparison, state, runner, result):
    state.set_result(result)
    comparison.choose_column("cell_type")
    runner.cancel_at = 1
    state.set_result(with_min_confidence(result, 0.7))
    assert comparison.state.confusion is None
    assert (comparison.state.column, comparison.state.hint) == ("", CHOOSE)


def test_a_column_that_is_the_result_is_let_go(comparison, state, result):
    state.set_result(result)
    comparison.choose_column("cell_type")
    state.set_result(replace(result, key="cell_type"))
    assert comparison.state.columns == ("batch",)
    assert comparison.state.confusion is None
