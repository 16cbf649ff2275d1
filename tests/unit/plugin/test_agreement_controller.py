"""Several results of a section beside each other, without a window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_tagscope.controllers.agreement import AGAIN, COMPARE, TOO_FEW, AgreementController
from napari_tagscope.controllers.agreement_legend import PAINTING, AgreementLegend
from napari_tagscope.controllers.comparison import ModelComparison
from napari_tagscope.controllers.inspector import InspectorController
from napari_tagscope.controllers.stored import with_min_confidence
from tagscope import api
from tagscope.core.labels import LabelSet


@pytest.fixture
def legend(state, painter):
    return AgreementLegend(state, painter)


@pytest.fixture
def agreement(state, runner, painter, legend, opened):
    controller = AgreementController(state, runner, painter)
    state.set_section(opened)
    return controller


def mistaken(result, key, rows):
    """The result with some cells taken for Astrocyte, nearly for sure."""
    probabilities = result.annotation.probabilities.copy()
    probabilities[rows] = (0.98, 0.01, 0.01)
    annotation = replace(result.annotation, probabilities=probabilities)
    return replace(result, key=key, annotation=annotation)


@pytest.fixture
def second(result):
    return mistaken(result, "cellpatch", [1, 4])


@pytest.fixture
def third(result):
    return mistaken(result, "omnicell", [4, 7])


@pytest.fixture
def compared(agreement, state, result, second, third):
    for one in (result, second, third):
        state.set_result(one)
    agreement.compare()
    assert agreement.state.failure is None
    return state.agreement


def test_it_is_offered_once_there_are_two_results(agreement, state, result, second):
    state.set_result(result)
    assert not agreement.state.offered
    state.set_result(second)
    assert agreement.state.offered
    assert agreement.state.keys == agreement.state.chosen == ("cellmemory", "cellpatch")
    assert agreement.state.hint == COMPARE
    agreement.choose("cellpatch", False)
    assert agreement.state.hint == TOO_FEW
    assert not agreement.state.ready


def test_a_section_keeps_the_results_of_all_models(state, agreement, result, second):
    state.set_result(result)
    state.set_result(second)
    assert state.results == {"cellmemory": result, "cellpatch": second}
    state.set_section(None)
    assert state.results == {}


def test_the_map_is_that_of_the_verb_and_painted(agreement, compared, painter, legend):
    names = np.array(compared.kinds.names)[compared.kind]
    assert names[1] == "all but cellpatch"
    assert names[4] == "all but cellmemory"
    assert names[7] == "all but omnicell"
    assert names[0] == "all agree"
    np.testing.assert_array_equal(painter.codes[PAINTING], compared.kind)
    assert painter.front == PAINTING
    assert {row.name: row.count for row in legend.state.rows}["all agree"] == 27
    assert "agree on 27 of 30 cells (90.0%)" in agreement.state.told
    assert agreement.state.hint == ""
    pair = agreement.state.pairs[0]
    assert (pair.first, pair.second) == ("cellmemory", "cellpatch")
    assert pair.agreement == pytest.approx(28 / 30)


def test_doubtful_cells_come_first_and_are_stepped_through(agreement, compared, state, painter):
    rows = [one.row for one in agreement.state.doubtful]
    assert set(rows[:3]) == {1, 4, 7}
    assert rows == compared.order.tolist()
    assert agreement.state.place == "30 cells"
    agreement.step(1)
    assert state.cell == rows[0]
    assert painter.calls[-1] == ("bring_into_view", rows[0])
    assert agreement.state.place == "1 of 30 cells"
    agreement.step(1)
    assert state.cell == rows[1]
    agreement.step(-1)
    agreement.step(-1)
    assert state.cell == rows[-1]


def test_of_selected_cells_the_doubtful_ones(agreement, compared, state):
    state.select_rows([2, 7, 9])
    assert agreement.state.doubtful[0].row == 7
    assert agreement.state.place == "3 selected cells"
    agreement.step(1)
    assert state.cell == 7
    assert len(state.rows) == 3
    assert agreement.as_text().splitlines()[1].startswith("c7\t")


def test_any_two_have_a_confusion_that_selects(state, runner, agreement, result, second, third):
    pairs = ModelComparison(state, runner)
    for one in (result, second, third):
        state.set_result(one)
    agreement.compare()
    assert (pairs.first, pairs.state.column) == ("cellmemory", "cellpatch")
    pairs.choose_pair("cellmemory", "omnicell")
    confusion = pairs.state.confusion
    expected = state.agreement.confusion("omnicell", "cellmemory")
    np.testing.assert_array_equal(
        np.array(confusion.counts), expected.loc[list(confusion.truth), list(confusion.prediction)]
    )
    row, column = confusion.truth.index("Astrocyte"), confusion.prediction.index("Excitatory")
    pairs.choose(row, column)
    assert state.rows.tolist() == [4, 7]


def test_a_bound_on_confidence_repaints_in_place(agreement, state, painter, legend, result, second):
    state.set_result(second)
    state.set_result(result)
    agreement.compare()
    painter.front = "gene"
    painter.calls.clear()
    state.set_result(with_min_confidence(result, 0.6))
    unsure = int((result.annotation.confidence < 0.6).sum())
    assert dict(state.agreement.counts())["some Unassigned"] == unsure
    assert painter.front == "gene"
    assert ("update_categories", PAINTING) in painter.calls
    assert {row.name: row.count for row in legend.state.rows}["some Unassigned"] == unsure


def test_a_new_model_waits_for_the_next_comparison(agreement, state, result, second, third):
    state.set_result(result)
    state.set_result(second)
    agreement.compare()
    state.set_result(third)
    assert agreement.state.compared == ("cellmemory", "cellpatch")
    assert agreement.state.chosen == ("cellmemory", "cellpatch", "omnicell")
    assert agreement.state.hint == AGAIN
    agreement.compare()
    assert agreement.state.compared == agreement.state.chosen


def test_names_and_colours_of_kinds_are_kept(agreement, compared, state, legend, result):
    legend.rename("all but omnicell", "both attend")
    legend.set_color("all differ", "#000000")
    state.set_result(with_min_confidence(result, 0.5))
    assert "both attend" in state.agreement.kinds.names
    assert "#000000" in state.agreement.kinds.colors
    legend.rename("both attend", "all agree")
    assert legend.state.failure is not None
    legend.isolate("both attend")
    assert [row.name for row in legend.state.rows if row.isolated] == ["both attend"]


def test_the_inspector_says_what_each_model_says(state, runner, painter, compared):
    inspector = InspectorController(state, runner, painter)
    state.set_result(state.results["cellmemory"])
    state.select_cell(1)
    assert [one[:2] for one in inspector.state.said] == [
        ("cellmemory", "Excitatory"), ("cellpatch", "Astrocyte"), ("omnicell", "Excitatory"),
    ]  # fmt: skip
    assert "cellpatch says\tAstrocyte\t0.980" in inspector.as_text()


def test_stored_annotations_are_compared_without_being_shown(
    agreement, state, opened, result, second, tmp_path
):
    result.write_to(opened.table)
    second.write_to(opened.table)
    state.set_section(None)
    state.set_section(opened)
    assert agreement.state.keys == ("cellmemory", "cellpatch")
    agreement.compare()
    assert state.agreement.codes.shape == (2, 30)
    assert state.agreement.said(1)[1][1] == "Astrocyte"
    assert state.results == {}


def test_a_section_that_is_left_gets_its_map_back(
    section, state, runner, painter, tmp_path, section_file, result, second, legend
):
    agreement = AgreementController(state, runner, painter)
    section.open(section_file)
    state.set_result(result)
    state.set_result(second)
    agreement.compare()
    found = state.agreement
    other = tmp_path / "other.h5ad"
    other.write_bytes(section_file.read_bytes())
    section.open(other)
    assert state.agreement is None
    assert agreement.state.keys == ()
    section.choose(0)
    assert state.agreement is found
    assert set(state.results) == {"cellmemory", "cellpatch"}
    assert agreement.state.compared == ("cellmemory", "cellpatch")
    assert agreement.state.told


def test_what_cannot_be_compared_says_why(agreement, state, result):
    other = result.annotation.shown(labels=LabelSet(("x", "y", "z")))
    state.set_result(result)
    state.set_result(replace(result, key="other", annotation=other))
    agreement.compare()
    assert "in common" in str(agreement.state.failure.error)
    assert not agreement.state.running


def test_annotating_with_a_cellpatch_keeps_what_a_cellmemory_found(
    annotate, section, state, section_file, bundle, tmp_path
):
    quick = api.TrainConfig(epochs=1, folds=1)
    patches = api.train(
        section_file, "cell_type", "cellpatch", out=tmp_path / "patches", config=quick
    )
    section.open(section_file)
    for one in (bundle, patches):
        annotate.use(one)
        annotate.run()
        assert annotate.state.failure is None
    assert set(state.results) == {"cellmemory", "cellpatch"}
    assert state.result.key == section.state.key == "cellpatch"
    assert state.result.gene_scores is not None
    assert state.result.slot_scores is None
    assert section.state.keys == ("cellpatch", "cellmemory")
    first = state.results["cellmemory"]
    section.show_key("cellmemory")
    assert state.result is first


def test_the_map_is_saved_beside_what_the_section_has(agreement, compared, opened):
    agreement.save()
    assert agreement.state.failure is None
    assert agreement.state.hint == f"Saved to {opened.source.path}"
    written = api.read_table(opened.source.path)
    assert written.obs["agreement"].tolist() == list(np.array(compared.kinds.names)[compared.kind])
    assert list(written.uns["agreement_colors"]) == list(compared.kinds.colors)
    assert "cell_type" in written.obs
