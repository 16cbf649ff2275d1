"""Several sections in one viewer: each comes back as it was left."""

from __future__ import annotations

import gc
import weakref

import anndata as ad
import numpy as np
import pytest

from napari_tagscope.controllers.legend import PAINTING, LegendController
from napari_tagscope.controllers.section import SectionController
from tagscope import api
from tagscope.core.labels import LabelSet


@pytest.fixture
def controller(state, runner, painter):
    return SectionController(state, runner, painter)


@pytest.fixture
def other_file(section_file, tmp_path):
    table = ad.read_h5ad(section_file)[:12].copy()
    (tmp_path / "other").mkdir()
    path = tmp_path / "other" / "section.h5ad"
    table.write_h5ad(path)
    return path


def test_another_section_keeps_the_one_before(controller, state, section_file, other_file):
    controller.open(section_file)
    controller.open(other_file)
    assert len(state.opened.section) == 12
    assert [path for _, path in controller.state.sections] == [str(section_file), str(other_file)]
    titles = [title for title, _ in controller.state.sections]
    assert titles[1] == "section · other"
    assert controller.state.active == 1


def test_choosing_one_brings_back_all_it_had(
    controller, state, painter, section_file, other_file, result
):
    legend = LegendController(state, painter)
    controller.open(section_file)
    state.set_result(result)
    state.select_label("Astrocyte")
    state.select_gene("Mbp")
    state.select_cell(3)
    state.select_rows([4, 5])
    controller.choose_look("outlines")
    painter.front = "attention"
    first = state.opened
    controller.open(other_file)
    controller.choose_look("both")
    assert (state.result, state.label, state.gene, state.cell) == (None, None, None, None)
    assert controller.state.keys == ()

    controller.choose(0)
    assert state.opened is first
    assert state.result is result
    assert (state.label, state.gene, state.cell) == ("Astrocyte", "Mbp", 3)
    np.testing.assert_array_equal(state.rows, [4, 5])
    assert (controller.state.key, controller.state.look) == ("cellmemory", "outlines")
    np.testing.assert_array_equal(painter.codes[PAINTING], result.annotation.codes)
    assert legend.state.key == "cellmemory"
    assert painter.calls[-1] == ("restore", "attention")
    assert dict(controller.state.card.rows)["Cells"] == "30"

    controller.choose(1)
    assert (state.result, controller.state.look) == (None, "both")


def test_the_legend_comes_back_as_it_was_left(
    controller, state, painter, section_file, other_file, result
):
    legend = LegendController(state, painter)
    controller.open(section_file)
    state.set_result(result)
    legend.set_shown(2, False)
    legend.isolate("Excitatory")
    legend.sort("name")
    legend.set_min_confidence(0.7)
    legend.settle()
    left = legend.state
    controller.open(other_file)
    legend.begin("other", LabelSet(("Astrocyte", "Excitatory", "Inhibitory")), 12)
    assert painter.hidden[PAINTING] == frozenset()
    legend.sort("model")

    controller.choose(0)
    assert legend.state == left
    assert (painter.hidden[PAINTING], painter.isolated[PAINTING]) == ({2}, 1)
    controller.choose(1)
    assert legend.state.order == "model"


def test_a_result_is_shown_again_without_reading(
    controller, state, section_file, result, other_file
):
    controller.open(section_file)
    state.set_result(result)
    controller.open(other_file)
    controller.choose(0)
    state.set_result(None)
    controller.show_key("cellmemory")
    assert state.result is result


def test_a_closed_section_is_freed_and_the_next_comes(
    controller, state, painter, section_file, other_file
):
    controller.open(section_file)
    controller.open(other_file)
    controller.choose(0)
    gone = weakref.ref(state.opened.section)
    controller.close()
    assert len(state.opened.section) == 12
    assert controller.state.active == 0
    assert painter.calls[-1][0] == "forget"
    painter.calls.clear()
    painter.prepared.clear()
    gc.collect()
    assert gone() is None


def test_the_last_one_closed_leaves_an_empty_panel(controller, state, section_file):
    controller.open(section_file)
    controller.choose_look("both")
    controller.close()
    assert state.opened is None
    assert (controller.state.card, controller.state.sections) == (None, ())
    assert controller.state.look == "both"


def test_a_fix_replaces_the_section_and_keeps_its_place(
    controller, state, section_file, other_file
):
    controller.open(section_file, where="age > 5")
    controller.open(other_file)
    controller.choose(0)
    controller.reopen({"um_per_unit": 2.0})
    assert state.choices == {"where": "age > 5", "um_per_unit": 2.0}
    assert state.opened.section.unit == "µm"
    assert [path for _, path in controller.state.sections] == [str(section_file), str(other_file)]
    assert controller.state.active == 0


def test_one_can_be_looked_at_while_another_opens(
    controller, state, runner, section_file, other_file
):
    controller.open(section_file)
    runner.held = True
    controller.open(other_file, where="age > 2")
    assert controller.state.opening
    runner.run()
    assert state.choices == {"where": "age > 2"}
    assert controller.state.opening == ""


def test_sections_of_one_file_are_offered_on_the_card(controller, state, section_file, tmp_path):
    table = ad.read_h5ad(section_file)
    table.obs["section"] = ["A", "B"] * 15
    table.write_h5ad(tmp_path / "two.h5ad")
    controller.open(tmp_path / "two.h5ad")
    assert controller.state.alternatives == {"sections": ("section",)}
    assert controller.state.chosen == {"sections": None}
    controller.reopen({"sections": "section"})
    assert controller.state.chosen == {"sections": "section"}
    assert len(state.opened.section.pieces.names) == 2
    controller.reopen({"sections": None})
    assert state.choices == {}


def test_a_file_that_fails_leaves_the_others(controller, state, section_file, tmp_path):
    controller.open(section_file)
    wrong = tmp_path / "wrong.h5ad"
    wrong.write_text("not HDF5")
    controller.open(wrong)
    assert controller.state.failure is not None
    assert len(controller.state.sections) == 1
    controller.reopen({"um_per_unit": 2.0})
    assert controller.state.failure is None
    assert state.opened.source.path == section_file
    assert api.alternatives(state.opened) == {}
