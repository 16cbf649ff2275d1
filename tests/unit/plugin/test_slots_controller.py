"""Memory slots: programs, shares, gene sets, painting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from napari_tagscope.controllers.gene_sets import GENE_SETS, ORTHOLOGUES, RememberedFiles
from napari_tagscope.controllers.slots import (
    NO_RESULT,
    NO_SLOTS,
    PAINTING,
    SlotsController,
)
from napari_tagscope.controllers.stored import read_stored
from tagscope import api
from tagscope.core.results import SlotScores

SLOTS = 2


@pytest.fixture
def scores(opened):
    """Slot 0 takes most of the first three genes, slot 1 of the others."""
    read = (opened.section.cells.values.toarray() > 0).astype(np.float32)
    part = np.where(np.arange(read.shape[1]) < 3, 0.9, 0.2).astype(np.float32)
    matrices = tuple(sp.csc_matrix(read * share) for share in (part, 1 - part))
    return SlotScores(opened.section.ids, opened.section.panel, matrices)


@pytest.fixture
def remembered(tmp_path):
    return RememberedFiles(tmp_path / "kept")


@pytest.fixture
def gene_sets(tmp_path):
    path = tmp_path / "sets.gmt"
    path.write_text("first\t\tGAD1\tSLC17A7\tMBP\nlast\t\tAQP4\tCX3CR1\tCLDN5\n")
    return path


@pytest.fixture
def slots(state, runner, painter, opened, remembered):
    controller = SlotsController(state, runner, painter, remembered)
    state.set_section(opened)
    return controller


def test_it_says_what_is_missing_and_how_to_get_it(slots, state, result):
    assert (slots.state.hint, slots.state.can_score) == (NO_RESULT, False)
    state.set_result(result)
    assert (slots.state.hint, slots.state.can_score) == (NO_SLOTS, True)
    slots.look(True)
    assert slots.state.slots == ()


def test_nothing_is_computed_before_somebody_looks(slots, state, runner, result, scores):
    state.set_result(replace(result, slot_scores=scores))
    assert runner.titles == []
    slots.look(True)
    assert runner.titles == ["Summarising memory slots"]
    assert slots.state.hint == ""
    assert [row.number for row in slots.state.slots] == [0, 1]


def test_shares_are_those_of_the_chosen_type(slots, state, result, scores):
    slots.look(True)
    state.set_result(replace(result, slot_scores=scores))
    expected = api.slot_summary(scores, result.annotation.labels, result.annotation.codes)
    matrix = expected.matrix()
    most = matrix[0].idxmax()
    assert (slots.state.slots[0].label, slots.state.slots[0].share) == (most, matrix[0].max())
    state.select_label("Inhibitory")
    assert [row.label for row in slots.state.slots] == ["Inhibitory"] * SLOTS
    assert slots.state.slots[1].share == matrix.loc["Inhibitory", 1]


def test_a_slot_is_painted_with_its_program(slots, state, painter, result, scores):
    slots.look(True)
    state.set_result(replace(result, slot_scores=scores))
    slots.choose(1)
    np.testing.assert_allclose(painter.values[PAINTING], api.slot_shares(scores)[:, 1], rtol=1e-5)
    assert painter.titles[PAINTING] == "slot 1 · share of a cell's genes"
    assert painter.limits[PAINTING] == tuple(np.percentile(painter.values[PAINTING], [2, 98]))
    summary = api.slot_summary(scores, result.annotation.labels, result.annotation.codes)
    program = summary.programs[summary.programs["slot"] == 1]
    assert [row.gene for row in slots.state.program] == list(program["gene"])
    slots.choose_gene(slots.state.program[0].gene)
    assert state.gene == slots.state.program[0].gene


def test_gene_sets_are_tested_and_remembered(
    slots, state, runner, painter, result, scores, gene_sets, remembered
):
    slots.look(True)
    state.set_result(replace(result, slot_scores=scores))
    slots.choose(0)
    slots.choose_sets(GENE_SETS, gene_sets)
    assert {row.name for row in slots.state.sets} == {"first", "last"}
    assert "2 of 2 sets" in slots.state.note
    assert "None is below an FDR of 5 %" in slots.state.note
    again = SlotsController(state, runner, painter, remembered)
    assert again.state.gene_sets == gene_sets
    assert again.state.orthologues is None
    gene_sets.unlink()
    assert remembered.path("gene sets") is None


def test_sets_of_the_other_species_are_matched_by_a_table(
    slots, state, result, scores, gene_sets, tmp_path, remembered
):
    slots.look(True)
    state.set_result(replace(result, slot_scores=scores))
    slots.choose(0)
    slots.choose_sets(GENE_SETS, gene_sets)
    pairs = tmp_path / "pairs.csv"
    rows = [f"{gene.upper()},{gene}" for gene in state.opened.section.panel.symbols]
    pairs.write_text("\n".join(["human_symbol,mouse_symbol", *rows]))
    slots.choose_sets(ORTHOLOGUES, pairs)
    assert slots.state.sets
    assert "6 of 6 mouse genes have human orthologues" in slots.state.note
    assert remembered.path("gene sets") == gene_sets
    assert remembered.path("orthologues") == pairs


def test_a_file_that_is_no_gene_sets_is_explained(slots, state, result, scores, tmp_path):
    slots.look(True)
    state.set_result(replace(result, slot_scores=scores))
    wrong = tmp_path / "wrong.gmt"
    wrong.write_text("no tabs here\n")
    slots.choose_sets(GENE_SETS, wrong)
    assert "has 0 tabs" in slots.state.failure.error.found
    assert slots.state.slots


def test_the_model_can_be_asked_for_slots(slots, state, annotated):
    slots.look(True)
    state.set_result(annotated)
    labels = state.result.annotation
    slots.score()
    assert slots.state.failure is None
    assert state.result.annotation is labels
    assert len(state.result.slot_scores.scores) == len(slots.state.slots) == SLOTS
    assert not slots.state.can_score
    assert state.result.provenance.parameters["slots"] is True


def test_slots_of_another_run_are_not_taken_over(slots, state, runner, annotated, result):
    state.set_result(annotated)
    runner.held = True
    slots.score()
    assert slots.state.running
    state.set_result(replace(result, key="other"))
    assert not slots.state.running
    assert runner.waiting == []


def test_a_bundle_that_is_gone_is_asked_for(slots, state, annotated, bundle, result, tmp_path):
    state.set_result(result)
    slots.score()
    assert "not at any known place" in slots.state.failure.error.found
    slots.score(bundle.path)
    assert slots.state.failure is None
    state.set_result(annotated)
    (tmp_path / "born").rename(tmp_path / "moved")
    slots.score()
    assert str(tmp_path / "born") in slots.state.failure.error.found
    slots.score(tmp_path / "moved")
    assert state.result.slot_scores is not None


def test_stored_slots_are_read(opened, bundle):
    result = api.annotate(opened, bundle, api.AnnotateConfig(attention=True, slots=True))
    table = opened.table.copy()
    result.write_to(table)
    stored = read_stored(table, opened.section, result.key)
    for kept, given in zip(stored.slot_scores.scores, result.slot_scores.scores, strict=True):
        np.testing.assert_allclose(kept.toarray(), given.toarray())
