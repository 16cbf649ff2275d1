"""TAGs per type, and painting a gene's attention and expression."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_tagscope.controllers.attention import NO_RESULT, NO_SCORES, AttentionController


@pytest.fixture
def attention(state, runner, painter, opened, result):
    controller = AttentionController(state, runner, painter)
    state.set_section(opened)
    state.set_result(result)
    return controller


def test_without_a_result_it_says_what_to_do(state, runner, painter, opened):
    controller = AttentionController(state, runner, painter)
    assert "Open a section" in controller.state.hint
    state.set_section(opened)
    assert controller.state.hint == NO_RESULT
    assert controller.state.genes == opened.section.panel.symbols


def test_the_table_is_that_of_the_chosen_type(attention, state):
    attention.choose_type("Inhibitory")
    assert state.label == "Inhibitory"
    assert {row.gene for row in attention.state.rows[:2]} == {"Cx3cr1", "Cldn5"}
    best = attention.state.rows[0]
    assert best.rank == 1
    assert best.auc > 0.9
    assert best.specificity > 1
    attention.choose_type("Excitatory")
    assert {row.gene for row in attention.state.rows[:2]} == {"Mbp", "Aqp4"}


def test_a_gene_is_painted_by_its_attention_then_by_its_expression(
    attention, painter, opened, result
):
    attention.choose_gene("mbp")
    np.testing.assert_allclose(painter.values["attention"], result.gene_scores.column("Mbp"))
    assert painter.titles["attention"] == "attention · Mbp"
    attention.show_quantity("expression")
    cells = opened.section.cells
    counts = cells.values[:, 2].toarray().ravel()
    expected = np.log1p(counts / cells.totals * 1e4)
    np.testing.assert_allclose(painter.values["expression"], expected, rtol=1e-5)
    assert painter.front == "expression"
    attention.choose_gene("Gad1")
    assert painter.titles["expression"] == "expression · Gad1"


def test_attention_and_expression_are_shown_beside_each_other(attention, painter, state, result):
    attention.show_quantity("both")
    assert painter.front is None  # no gene was chosen
    attention.choose_gene("Mbp")
    assert painter.titles == {"attention": "attention · Mbp", "expression": "expression · Mbp"}
    assert painter.calls[-1] == ("show_beside", "attention", "expression")
    state.set_result(replace(result, gene_scores=None))
    painter.calls.clear()
    attention.choose_gene("Gad1")
    assert [call[0] for call in painter.calls] == ["paint_values"]


def test_a_gene_can_bring_the_type_that_attends_to_it_most(attention, state, painter):
    attention.choose_gene_with_its_type("cx3cr1")
    assert (state.label, state.gene) == ("Inhibitory", "Cx3cr1")
    attention.choose_gene_with_its_type("Mbp")
    assert state.label == "Excitatory"
    assert painter.titles["attention"] == "attention · Mbp"


def test_a_gene_that_is_not_measured_changes_nothing(attention, painter):
    before = list(painter.calls)
    attention.choose_gene("Nonsense")
    assert painter.calls == before
    assert attention.state.gene == ""


def test_a_result_without_attention_says_so(attention, state, result):
    state.set_result(replace(result, gene_scores=None))
    assert attention.state.hint == NO_SCORES
    assert attention.state.rows == ()
    assert len(attention.state.types) == 3


def test_a_cell_tells_its_likeliest_types(attention, state):
    state.select_cell(29)
    assert attention.state.cell.startswith("Cell c29: Inhibitory 97%")
    state.select_cell(None)
    assert attention.state.cell == ""


def test_the_table_can_be_pasted_into_a_spreadsheet(attention):
    lines = attention.as_text().splitlines()
    assert lines[0].split("\t") == [
        "rank", "gene", "attention", "expression", "specificity", "auc",
    ]  # fmt: skip
    assert len(lines) == 1 + len(attention.state.rows)
    assert float(lines[1].split("\t")[2]) == pytest.approx(
        attention.state.rows[0].attention, rel=1e-5
    )
