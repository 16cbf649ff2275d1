"""What the Inspector tells of a cell and of a selection, and where it goes from there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_tagscope.controllers.inspector import (
    COMPARING,
    NO_CELL,
    NO_RESULT,
    NO_SCORES,
    NO_SECTION,
    READING,
    InspectorController,
)


@pytest.fixture
def inspector(state, runner, painter, opened, result):
    controller = InspectorController(state, runner, painter)
    state.set_section(opened)
    state.set_result(result)
    return controller


def test_empty_states_say_what_to_do(state, runner, painter, opened, result):
    inspector = InspectorController(state, runner, painter)
    assert inspector.state.hint == NO_SECTION
    runner.held = True
    state.set_section(opened)
    assert inspector.state.hint == READING
    runner.run()
    assert inspector.state.hint == NO_CELL
    state.select_cell(3)
    assert inspector.state.hint == NO_RESULT
    assert inspector.state.cell.genes
    state.set_result(result)
    runner.run()
    assert inspector.state.hint == ""
    state.set_result(replace(result, gene_scores=None))
    runner.run()
    assert inspector.state.hint == NO_SCORES


def test_a_cell_is_told_of_at_once(inspector, state, runner):
    runner.held = True
    state.select_cell(29)
    cell = inspector.state.cell
    assert (cell.id, cell.label) == ("c29", "Inhibitory")
    assert cell.confidence == pytest.approx(0.97)
    assert {gene.gene for gene in cell.genes[:2]} == {"Cx3cr1", "Cldn5"}
    assert runner.waiting == []
    state.select_cell(None)
    assert inspector.state.cell is None


def test_a_cell_chosen_while_cells_are_read_is_shown_afterwards(
    state, runner, painter, opened, result
):
    inspector = InspectorController(state, runner, painter)
    runner.held = True
    state.set_section(opened)
    state.select_cell(4)
    assert inspector.state.cell is None
    runner.run()
    assert inspector.state.cell.id == "c4"


def test_the_domain_is_a_column_of_the_table(inspector, state, opened):
    state.select_cell(2)
    assert inspector.state.domain == ""
    opened.table.obs["tissue_domain"] = [f"layer {i % 3}" for i in range(30)]
    opened.table.obs["domain_score"] = 0.5
    state.select_cell(4)
    assert inspector.state.domain == "layer 1"


def test_steps_go_round_the_type_and_bring_the_cell_into_view(inspector, state, painter):
    state.select_cell(26)
    assert inspector.state.place == "9 of 10 of its type"
    inspector.step(1)
    assert state.cell == 29
    inspector.step(1)
    assert state.cell == 2
    inspector.step(-1)
    assert state.cell == 29
    assert painter.calls[-1] == ("bring_into_view", 29)


def test_steps_go_through_the_selection_where_there_is_one(inspector, state):
    state.select_rows([3, 8, 20])
    assert inspector.state.steps
    inspector.step(1)
    assert state.cell == 3
    assert inspector.state.place == "1 of 3 selected"
    inspector.step(-1)
    assert state.cell == 20
    state.select_cell(10)
    assert inspector.state.place == "not among the 3 selected"
    inspector.step(1)
    assert state.cell == 20
    state.select_cell(10)
    inspector.step(-1)
    assert state.cell == 8


def test_a_selection_is_compared_with_the_rest(inspector, state, runner):
    runner.held = True
    state.select_rows(np.arange(0, 30, 3))
    assert (inspector.state.selected, inspector.state.hint) == (10, COMPARING)
    runner.run()
    selection = inspector.state.selection
    assert [(one.name, one.cells) for one in selection.types] == [("Astrocyte", 10)]
    assert {gene.gene for gene in selection.genes[:2]} == {"Gad1", "Slc17a7"}
    assert selection.genes[0].here > selection.genes[0].elsewhere
    assert inspector.state.hint == ""
    state.select_rows(())
    assert inspector.state.selection is None


def test_cells_like_one_become_the_selection(inspector, state, opened, result):
    space = np.random.default_rng(3).normal(size=(30, 4)).astype(np.float32)
    state.set_result(replace(result, annotation=replace(result.annotation, embedding=space)))
    state.select_cell(6)
    assert inspector.state.comparable
    inspector.find_like()
    assert state.rows.tolist() == [row for row in range(30) if row != 6]
    assert state.cell == 6
    nothing = np.zeros((30, 0), np.float32)
    state.set_result(replace(result, annotation=replace(result.annotation, embedding=nothing)))
    assert not inspector.state.comparable


def test_a_gene_is_painted_everywhere(inspector, state):
    inspector.choose_gene("Mbp")
    assert state.gene == "Mbp"
    assert inspector.state.gene == "Mbp"


def test_what_is_shown_can_be_copied(inspector, state):
    state.select_cell(29)
    state.select_rows([0, 1])
    text = inspector.as_text()
    assert text.startswith("cell\tc29\n")
    assert "label\tInhibitory" in text
    assert "cells selected\t2" in text
    genes = [line for line in text.splitlines() if line.startswith("gene\t")]
    assert genes[0].split("\t")[2:] == ["counts", "mean of its type", "mean of its neighbours"]


def test_another_section_clears_all(inspector, state):
    state.select_cell(1)
    state.select_rows([1, 2])
    state.set_section(None)
    assert inspector.state.cell is None
    assert inspector.state.selection is None
    assert inspector.state.hint == NO_SECTION
