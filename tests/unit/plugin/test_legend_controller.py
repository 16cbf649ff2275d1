"""The legend: counts, isolation, hiding, colours, and the confidence bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_tagscope.controllers.legend import PAINTING, LegendController
from napari_tagscope.controllers.stored import own_names, read_stored, renamed
from tagscope import api
from tagscope.core.labels import LabelSet


@pytest.fixture
def legend(state, painter, opened):
    controller = LegendController(state, painter)
    state.set_section(opened)
    return controller


def counts_of(legend):
    return {row.name: row.count for row in legend.state.rows}


def test_counts_and_paint_follow_the_result(legend, state, painter, result):
    state.set_result(result)
    assert counts_of(legend) == {"Astrocyte": 10, "Excitatory": 10, "Inhibitory": 10}
    np.testing.assert_array_equal(painter.codes[PAINTING], np.arange(30) % 3)
    assert painter.colors[PAINTING] == result.annotation.labels.colors
    assert sum(legend.state.histogram) == 30


def test_cells_colour_in_while_they_arrive(legend, painter):
    legend.begin("cellmemory", LabelSet(("A", "B")), 30)
    pending = 2  # drawn after the two types
    assert (painter.codes[PAINTING] == pending).all()
    assert len(painter.colors[PAINTING]) == 3
    rows = np.array([4, 7, 9])
    codes = np.array([1, 1, 0])
    legend.add([api.PartialAnnotation(rows, codes, np.full(3, 0.9, np.float32))])
    np.testing.assert_array_equal(painter.codes[PAINTING][rows], codes)
    assert (painter.codes[PAINTING] == pending).sum() == 27
    assert counts_of(legend) == {"A": 1, "B": 2}


def test_a_click_isolates_and_a_second_one_shows_all(legend, state, painter, result):
    state.set_result(result)
    legend.isolate("Excitatory")
    assert state.label == "Excitatory"
    assert painter.isolated[PAINTING] == 1
    assert [row.name for row in legend.state.rows if row.isolated] == ["Excitatory"]
    legend.isolate("Excitatory")
    assert state.label is None
    assert painter.isolated[PAINTING] is None


def test_a_type_chosen_elsewhere_is_isolated_here(legend, state, painter, result):
    state.set_result(result)
    state.select_label("Inhibitory")
    assert painter.isolated[PAINTING] == 2


def test_boxes_hide_types(legend, state, painter, result):
    state.set_result(result)
    legend.set_shown(1, False)
    assert painter.hidden[PAINTING] == {1}
    assert [row.shown for row in sorted(legend.state.rows, key=lambda r: r.code)] == [1, 0, 1]
    legend.set_all_shown(False)
    assert painter.hidden[PAINTING] == {0, 1, 2}
    legend.set_all_shown(True)
    assert painter.hidden[PAINTING] == frozenset()


def test_the_bound_moves_cells_live_and_is_kept_when_it_settles(legend, state, painter, result):
    state.set_result(result)
    legend.set_min_confidence(0.7)
    below = result.annotation.confidence < 0.7
    np.testing.assert_array_equal(painter.codes[PAINTING] == -1, below)
    assert counts_of(legend)["Unassigned"] == below.sum()
    assert legend.state.rows[-1].name == "Unassigned"
    assert state.result is result
    legend.settle()
    np.testing.assert_array_equal(state.result.annotation.codes == -1, below)
    assert state.result.provenance.parameters["min_confidence"] == 0.7
    legend.set_min_confidence(0.0)
    legend.settle()
    assert "Unassigned" not in counts_of(legend)
    assert (state.result.annotation.codes >= 0).all()


def test_an_edited_colour_is_painted_and_kept(legend, state, painter, result):
    state.set_result(result)
    legend.set_shown(0, False)
    legend.set_color("Excitatory", "#123456")
    assert state.result.annotation.labels.colors[1] == "#123456"
    assert painter.colors[PAINTING][1] == "#123456"
    assert painter.hidden[PAINTING] == {0}


def test_an_unfinished_run_gives_way_to_what_was_there(legend, state, painter, result):
    state.set_result(result)
    legend.begin("cellmemory", LabelSet(("A", "B")), 30)
    legend.restore()
    np.testing.assert_array_equal(painter.codes[PAINTING], np.arange(30) % 3)
    assert set(counts_of(legend)) == {"Astrocyte", "Excitatory", "Inhibitory"}


def test_types_are_listed_in_any_order(legend, state, result):
    state.set_result(result)
    state.set_result(renamed(result, "Astrocyte", "zeta"))
    names = ["zeta", "Excitatory", "Inhibitory"]
    for order, expected in (
        ("cells", names),
        ("name", ["Excitatory", "Inhibitory", "zeta"]),
        ("model", names),
    ):
        legend.sort(order)
        assert [row.name for row in legend.state.rows] == expected
    legend.sort("likeness")
    assert sorted(row.name for row in legend.state.rows) == sorted(names)
    legend.set_min_confidence(0.9)
    assert legend.state.rows[-1].name == "Unassigned"


def test_a_type_is_renamed_and_the_models_name_kept(legend, state, painter, result, opened):
    state.set_result(result)
    legend.set_shown(0, False)
    state.select_label("Excitatory")
    legend.rename("Excitatory", " L2/3 IT ")
    assert state.label == "L2/3 IT"
    assert painter.isolated[PAINTING] == 1
    assert painter.hidden[PAINTING] == {0}
    row = next(row for row in legend.state.rows if row.code == 1)
    assert (row.name, row.own_name, row.isolated) == ("L2/3 IT", "Excitatory", True)
    legend.rename("L2/3 IT", "IT")
    table = opened.table.copy()
    state.result.write_to(table)
    assert list(table.obs["cellmemory"].cat.categories) == ["Astrocyte", "IT", "Inhibitory"]
    again = read_stored(table, opened.section, "cellmemory")
    assert again.annotation.labels == state.result.annotation.labels
    assert own_names(again) == ("Astrocyte", "Excitatory", "Inhibitory")
    np.testing.assert_array_equal(again.annotation.codes, result.annotation.codes)


@pytest.mark.parametrize("name", ["", "Inhibitory", "Unassigned", "NA"])
def test_names_that_cannot_be_are_refused(legend, state, result, name):
    state.set_result(result)
    legend.rename("Excitatory", name)
    assert legend.state.failure is not None
    assert state.result is result
    legend.rename("Excitatory", "Excitatory")
    assert legend.state.failure is None


def test_cells_unlike_the_reference_are_unassigned_whatever_the_bound(legend, state, result):
    novelty = np.linspace(0, 1, 30, dtype=np.float32)
    strange = replace(result.annotation, novelty=novelty, max_novelty=0.5)
    state.set_result(replace(result, annotation=strange))
    assert counts_of(legend)["Unassigned"] == 15
    legend.set_min_confidence(0.7)
    legend.settle()
    assert counts_of(legend)["Unassigned"] == (state.result.annotation.codes < 0).sum()
