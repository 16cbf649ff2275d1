"""TAGs per type, and painting a gene's attention and expression."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_tagscope.controllers.attention import (
    COMPUTING,
    NO_RESULT,
    NO_SCORES,
    STOPPED,
    TOPIC,
    AttentionController,
)
from napari_tagscope.controllers.expression import AS_GIVEN, UNIT, UNIT_AT_BAR, Expression
from napari_tagscope.controllers.tag_rows import FOLLOWS, TagRow
from tagscope import api


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
    assert painter.titles == {
        "attention": "attention · Mbp",
        "expression": "expression · Mbp",
    }
    assert painter.said == {
        "attention": ("level 1, mean over heads, cellmemory", "attention score"),
        "expression": (UNIT, UNIT_AT_BAR),
    }
    assert painter.calls[-1] == ("show_beside", "attention", "expression")
    painter.calls.clear()
    attention.choose_gene("Aqp4")
    assert [call[0] for call in painter.calls] == ["paint_values"] * 2  # the view stays
    assert painter.side_by_side == ("attention", "expression")
    painter.paint_categories("cell type", "", [], (), ())
    attention.choose_gene("Mbp")
    assert painter.calls[-1] == ("show_beside", "attention", "expression")
    state.set_result(replace(result, gene_scores=None))
    painter.calls.clear()
    attention.choose_gene("Gad1")
    assert [call[0] for call in painter.calls] == ["paint_values"]
    assert painter.side_by_side == ()  # the last gene's attention does not stay


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


def test_the_table_can_be_pasted_into_a_spreadsheet(attention):
    lines = attention.as_text().splitlines()
    assert lines[0].split("\t") == [
        "rank", "gene", "attention", "expression", "specificity", "auc", "follows_level",
    ]  # fmt: skip
    assert len(lines) == 1 + len(attention.state.rows)
    assert float(lines[1].split("\t")[2]) == pytest.approx(
        attention.state.rows[0].attention, rel=1e-5
    )


def test_selected_cells_are_set_against_the_rest(attention, state, opened, result):
    of_type = attention.state.rows
    state.select_rows(np.arange(2, 30, 3))
    assert (attention.state.source, attention.state.selected) == ("cells", 10)
    groups, codes = api.selection_groups(opened.section.ids, state.rows)
    expected = api.tag_table(result.gene_scores, opened.section.cells, groups, codes)
    assert [row.gene for row in attention.state.rows] == list(expected.of("selected")["gene"])
    attention.choose_type(attention.state.label)
    assert attention.state.rows == of_type
    attention.choose_cells()
    assert attention.state.source == "cells"
    state.select_rows([])
    assert (attention.state.source, attention.state.rows) == ("type", of_type)
    attention.choose_cells()
    assert attention.state.source == "type"


def test_rows_of_a_type_do_not_pass_for_those_of_selected_cells(attention, state, runner):
    runner.held = True
    state.select_rows([1, 2])
    assert (attention.state.rows, attention.state.hint) == ((), COMPUTING)
    runner.run()
    assert attention.state.rows


def test_another_result_ranks_the_selected_cells_again(attention, state, result):
    state.select_rows([2, 5])
    before = attention.state.rows
    scores = result.gene_scores
    state.set_result(replace(result, gene_scores=replace(scores, scores=scores.scores * 2)))
    assert attention.state.rows[0].attention == pytest.approx(2 * before[0].attention)


def test_how_attention_follows_expression_comes_after_the_ranking(
    state, runner, painter, opened, result
):
    controller = AttentionController(state, runner, painter)
    state.set_section(opened)
    shown = []
    controller.changed.connect(lambda new: shown.append(new.rows))
    state.set_result(result)
    tables = [rows for rows in dict.fromkeys(shown) if rows]
    assert [rows[0].follows_level is None for rows in tables] == [True, False]
    assert [r.gene for r in tables[0]] == [r.gene for r in tables[1]]
    annotation = result.annotation
    expected = api.tag_table(
        result.gene_scores, opened.section.cells, annotation.labels, annotation.codes
    ).of(controller.state.label)
    assert controller.state.rows[0].follows_level == expected["follows_level"][0]


def test_the_mark_is_for_what_merely_follows_expression():
    levels = (FOLLOWS, FOLLOWS - 0.01, None)
    rows = [TagRow(1, "Gad1", 0.1, 2.0, 1.0, 0.9, level) for level in levels]
    assert [row.merely_expression for row in rows] == [True, False, False]


def test_the_heatmap_holds_each_types_leading_genes(attention, state, result):
    shown = attention.state.heatmap
    assert set(shown.types) == {"Astrocyte", "Excitatory", "Inhibitory"}
    assert shown.means.shape == (3, len(shown.genes))
    column = shown.genes.index("Mbp")
    own = result.gene_scores.column("Mbp")[result.annotation.codes == 1].mean()
    assert shown.means[shown.types.index("Excitatory"), column] == pytest.approx(own, rel=1e-5)
    np.testing.assert_allclose(shown.scaled.max(axis=0), 1)
    state.set_result(None)
    assert attention.state.heatmap is None


def test_a_gene_that_is_not_there_brings_near_ones(attention, state):
    attention.choose_gene("gad-1")
    assert (attention.state.sought, attention.state.near[0]) == ("gad-1", "Gad1")
    attention.choose_gene(attention.state.near[0])
    assert (attention.state.sought, attention.state.near) == ("", ())
    assert state.gene == "Gad1"


def test_contrast_acts_on_attention_and_expression_at_once(attention, painter, opened):
    attention.show_quantity("both")
    attention.choose_gene("Mbp")
    for percentile in (98, 90, 100):
        attention.set_percentile(percentile)
        assert [(name, unit) for name, _, unit in attention.state.tops] == [
            ("attention", ""),
            ("expression", UNIT),
        ]
        for name, top, _ in attention.state.tops:
            values = painter.values[name]
            assert painter.limits[name] == (0, top)
            assert top == pytest.approx(np.percentile(values[values > 0], percentile))
    calls = len(painter.calls)
    attention.set_percentile(95)
    assert len(painter.calls) == calls  # nothing is painted anew
    attention.choose_gene("Gad1")
    values = painter.values["expression"]
    assert painter.limits["expression"][1] == pytest.approx(np.percentile(values[values > 0], 95))


def test_normalised_values_are_painted_as_they_are(opened):
    cells = replace(opened.section.cells, normalised=True)
    expression = Expression(cells)
    assert expression.unit == AS_GIVEN
    np.testing.assert_array_equal(expression.of(1), cells.values[:, 1].toarray().ravel())


def test_a_ranking_that_was_cancelled_can_be_had_again(attention, state, runner, result):
    state.set_result(None)
    runner.held = True
    state.set_result(result)
    assert (attention.state.rows, attention.state.hint) == ((), COMPUTING)
    runner.cancel(TOPIC)
    assert attention.state.hint == STOPPED
    runner.held = False
    attention.choose_type("Inhibitory")
    assert (attention.state.label, attention.state.hint) == ("Inhibitory", "")
    assert {row.gene for row in attention.state.rows[:2]} == {"Cx3cr1", "Cldn5"}


def test_rows_of_one_type_do_not_pass_for_those_of_another(attention, state, runner, result):
    runner.held = True
    state.set_result(replace(result, key="other"))
    assert attention.state.rows  # as they were, until there are others
    attention.choose_type("Inhibitory")
    assert (attention.state.rows, attention.state.hint) == ((), COMPUTING)
    runner.run()
    assert {row.gene for row in attention.state.rows[:2]} == {"Cx3cr1", "Cldn5"}
