"""Choosing a bundle, running it, saving; training one."""

from __future__ import annotations

from dataclasses import replace

import anndata as ad
import numpy as np
import pytest

from napari_tagscope.controllers.bundle_card import card_of
from napari_tagscope.controllers.bundles import about
from napari_tagscope.controllers.legend import PAINTING
from napari_tagscope.controllers.reference import LabelColumn, ReferenceSummary, label_columns
from napari_tagscope.controllers.training import TrainingController
from napari_tagscope.controllers.training_state import (
    TrainingState,
    network_starts,
    summary_text,
    training_text,
)
from tagscope import api

TYPES = ("Astrocyte", "Excitatory", "Inhibitory")


@pytest.fixture
def training(state, runner, annotate, bundles):
    return TrainingController(state, runner, annotate, bundles)


def test_a_chosen_bundle_is_verified_and_remembered(annotate, bundles, bundle):
    annotate.choose(bundle.path)
    assert annotate.state.bundle.digest == bundle.digest
    assert bundles.paths() == (bundle.path,)
    assert not annotate.state.ready


def test_a_changed_bundle_is_refused(annotate, bundle):
    weights = bundle.path / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    annotate.choose(bundle.path)
    assert annotate.state.bundle is None
    assert "changed" in annotate.state.failure.error.found


def test_a_model_without_labels_is_refused(annotate, bundle, monkeypatch):
    embeds = replace(bundle, model="omnicell", capabilities=frozenset({"embed"}))
    monkeypatch.setattr(api, "load_bundle", lambda _: embeds)
    annotate.choose(bundle.path)
    assert annotate.state.bundle is None
    assert "knows no cell types" in annotate.state.failure.error.found


def test_a_run_paints_and_becomes_the_result(annotate, state, painter, opened, bundle):
    state.set_section(opened)
    annotate.use(bundle)
    assert annotate.state.ready
    annotate.run()
    assert annotate.state.failure is None
    result = state.result
    np.testing.assert_array_equal(painter.codes[PAINTING], result.annotation.codes)
    assert result.gene_scores is not None
    assert result.provenance.inputs["section"] == str(opened.source.path)
    assert annotate.state.can_save


def test_a_bundle_without_attention_is_not_asked_for_it(annotate, state, opened, bundle):
    assert annotate.state.may_attend
    state.set_section(opened)
    annotate.use(replace(bundle, capabilities=frozenset({"annotate", "embed"})))
    assert annotate.state.attention
    assert not annotate.state.may_attend
    annotate.run()
    assert annotate.state.failure is None
    assert state.result.gene_scores is None


def test_cells_in_view_come_first(annotate, state, runner, opened, bundle, monkeypatch):
    asked = {}

    def annotate_all(*arguments, **options):
        asked.update(options)
        return api_annotate(*arguments, **options)

    api_annotate = api.annotate
    monkeypatch.setattr(api, "annotate", annotate_all)
    state.set_section(opened)
    annotate.use(bundle)
    annotate.run()
    np.testing.assert_array_equal(asked["first"], [3, 1])


def test_cancelling_brings_the_earlier_result_back(
    annotate, state, runner, painter, opened, bundle, result
):
    state.set_section(opened)
    state.set_result(result)
    annotate.use(bundle)
    runner.cancel_at = 1
    annotate.run()
    assert not annotate.state.running
    assert state.result is result
    np.testing.assert_array_equal(painter.codes[PAINTING], result.annotation.codes)


def test_a_section_with_no_shared_gene_cannot_be_annotated(
    annotate, state, section_file, bundle, tmp_path
):
    table = ad.read_h5ad(section_file)
    table.var_names = [f"Unknown{i}" for i in range(table.n_vars)]
    other = tmp_path / "other.h5ad"
    table.write_h5ad(other)
    annotate.use(bundle)
    state.set_section(api.open_section(other))
    annotate.run()
    assert "share 0 genes" in annotate.state.failure.error.found
    assert state.result is None


def test_saving_into_the_own_file_and_opening_it_again(annotate, section, state, opened, result):
    state.set_section(opened)
    state.set_result(result)
    assert annotate.state.replaces == ""
    annotate.save()
    assert annotate.state.saved == opened.source.path
    assert annotate.state.replaces == "cellmemory"
    section.open(opened.source.path)
    np.testing.assert_array_equal(state.result.annotation.codes, result.annotation.codes)
    assert annotate.state.replaces == "cellmemory"


def test_columns_that_could_hold_labels(section_file):
    assert label_columns(section_file) == (LabelColumn("cell_type", 3),)


def test_training_gives_a_bundle_that_is_ready_to_run(
    training, annotate, state, section_file, opened
):
    state.set_section(opened)
    training.choose_reference(section_file)
    assert training.state.column == "cell_type"
    training.set_epochs(2)
    training.train()
    assert training.state.failure is None
    assert [record.epoch for record in training.state.history] == [1, 2] * 3
    assert training.state.networks == 3
    assert network_starts(training.state.history) == (2, 4)
    assert training_text(training.state).startswith("Kept as section-cell_type.")
    facts = dict(card_of(annotate.state.bundle).facts)
    assert facts["Reference"] == "section.h5ad, labels in cell_type"
    assert "network 3 of 3, epoch 2 · best epoch" in training_text(training.state)
    scores = annotate.state.bundle.training
    shown = about(annotate.state.bundle)
    for score in (scores["accuracy"], scores["baseline"]["macro_f1"]):
        assert f"{score:.3f}" in shown
    assert annotate.state.bundle.labels.names == ("Astrocyte", "Excitatory", "Inhibitory")
    assert annotate.state.ready


def test_a_cellpatch_is_trained_as_a_cellmemory_is(training, annotate, state, section_file, opened):
    training.choose_reference(section_file)
    training.choose_model("cellpatch")
    assert training.state.name == "section-cell_type-cellpatch"
    training.set_epochs(1)
    training.train()
    assert training.state.failure is None
    assert annotate.state.bundle.model == "cellpatch"
    assert training.state.networks == max(record.fold for record in training.state.history)
    training.choose_model("cellmemory")
    assert training.state.name == "section-cell_type"
    training.set_name("mine")
    training.choose_model("cellpatch")
    assert training.state.name == "mine"


def test_a_cellpatch_may_start_from_a_pretrained_one(
    training, annotate, bundles, section_file, opened, bundle
):
    out = bundles.folder / "patches"
    out.parent.mkdir(parents=True, exist_ok=True)
    api.pretrain(opened.section, "cellpatch", out=out, config=api.PretrainConfig(epochs=1))
    training.choose_reference(section_file)
    assert not training.state.starts
    training.choose_model("cellpatch")
    assert training.state.starts == (out,)
    training.choose_start(out)
    training.set_epochs(1)
    training.train()
    assert training.state.failure is None
    assert annotate.state.bundle.training["provenance"]["inputs"]["init"] == str(out)
    assert set(training.state.starts) == {out, annotate.state.bundle.path}
    training.choose_start(bundle.path)
    training.train()
    assert "'cellmemory'" in training.state.failure.error.found
    training.choose_model("cellmemory")
    assert training.state.start is None


def test_genes_and_types_are_counted_before_training(
    training, annotate, state, runner, section_file, opened, bundles
):
    training.choose_reference(section_file)
    assert training.state.summary.types == tuple((name, 10) for name in TYPES)
    assert training.state.summary.shared is None
    state.set_section(opened)
    assert training.state.summary.shared == training.state.summary.genes == 6
    assert "6 of 6 genes shared with the section" in summary_text(training.state)
    assert training.state.name == "section-cell_type"
    training.set_name("my model")
    training.set_epochs(1)
    training.train()
    assert annotate.state.bundle.path.name == "my-model"


def test_a_reference_without_a_shared_gene_cannot_be_trained_on(
    training, state, section_file, tmp_path
):
    table = ad.read_h5ad(section_file)
    table.var_names = [f"Unknown{i}" for i in range(table.n_vars)]
    other = tmp_path / "other.h5ad"
    table.write_h5ad(other)
    state.set_section(api.open_section(other))
    training.choose_reference(section_file)
    assert training.state.summary.shared == 0
    assert not training.state.ready
    assert "Nothing can be learned" in summary_text(training.state)


def test_types_of_few_cells_are_named():
    types = (("B", 4), ("T", 50), ("NK", 9), ("MK", 1), ("HSC", 2))
    summary = ReferenceSummary(66, types, 300, None)
    text = summary_text(TrainingState(summary=summary))
    assert text.splitlines() == [
        "66 cells · 5 types · 300 genes; those of an open section would be kept",
        "Types of fewer than 10 cells are hardly learned: B (4), NK (9), MK (1), and 1 more",
    ]


def test_what_cannot_be_learned_from_is_told(training, section_file, tmp_path):
    training.choose_reference(section_file)
    training.choose_column("batch")  # the same for all
    assert not training.state.ready
    assert "One type alone" in summary_text(training.state)
    broken = tmp_path / "broken.h5ad"
    broken.write_bytes(b"not HDF5")
    training.choose_reference(broken)
    assert "broken.h5ad" in training.state.failure.error.found
    assert training.state.failure.error.fix


def test_a_reference_without_counts_cannot_be_trained_on(training, section_file, tmp_path):
    table = ad.read_h5ad(section_file)
    table.X = -table.X
    table.write_h5ad(tmp_path / "negative.h5ad")
    training.choose_reference(tmp_path / "negative.h5ad")
    assert training.state.failure is not None
    assert not training.state.ready
    training.choose_reference(section_file)
    assert training.state.failure is None
    assert training.state.ready


def test_another_column_gives_another_name_unless_one_was_typed(training, section_file):
    training.choose_reference(section_file)
    training.choose_column("batch")
    assert training.state.name == "section-batch"
    training.set_name("mine")
    training.choose_column("cell_type")
    assert training.state.name == "mine"


def test_stopping_keeps_the_best_epoch(training, annotate, runner, section_file, monkeypatch):
    training.choose_reference(section_file)
    training.set_epochs(1000)
    original = training._on_reported

    def stop_after_two(reports):
        original(reports)
        if len(training.state.history) == 2:
            runner.cancel_at = 1

    monkeypatch.setattr(training, "_on_reported", stop_after_two)
    training.train()
    assert "network 1 of 3; the best so far is kept" in training.state.notice
    assert 2 <= len(training.state.history) < 10
    runner.cancel_at = None
    assert annotate.state.bundle is not None


def test_stopping_before_the_first_epoch_keeps_nothing(training, annotate, runner, section_file):
    training.choose_reference(section_file)
    runner.cancel_at = 1
    training.train()
    assert "nothing was kept" in training.state.notice
    assert annotate.state.bundle is None


def record(fold, epoch, loss, macro_f1=0.5):
    return api.EpochRecord(epoch, 1.0, loss, 0.75, macro_f1, 0.001, fold)


def test_the_best_epoch_is_the_one_that_is_kept():
    history = (record(1, 1, 0.1), record(2, 1, 0.4, 0.6), record(2, 2, 0.9, 0.8))
    assert network_starts(history) == (1,)
    assert network_starts(history[:1]) == network_starts(()) == ()
    assert training_text(TrainingState(networks=3, history=history)) == (
        "network 2 of 3, epoch 2 · best epoch 1: macro-F1 0.600, accuracy 0.750"
    )
    assert training_text(TrainingState(history=history[:1])) == (
        "epoch 1 · best epoch 1: macro-F1 0.500, accuracy 0.750"
    )


def test_without_validation_cells_no_epoch_is_praised():
    unknown = record(1, 4, 0.1, float("nan"))
    assert training_text(TrainingState(networks=2, history=(unknown,))) == "network 1 of 2, epoch 4"


@pytest.mark.parametrize(
    ("training", "said"),
    [
        (
            {
                "accuracy": 0.9512,
                "macro_f1": 0.91,
                "baseline": {"method": "logistic regression", "accuracy": 0.9, "macro_f1": 0.88},
            },
            "accuracy 0.951, macro-F1 0.910\nlogistic regression: 0.900, 0.880",
        ),
        ({"accuracy": 0.5, "macro_f1": 0.25, "baseline": None}, "accuracy 0.500, macro-F1 0.250"),
        (
            {
                "accuracy": None,
                "macro_f1": None,
                "baseline": {"method": "logistic regression", "accuracy": None, "macro_f1": None},
            },
            "not validated",
        ),
        ({"accuracy": 0.875}, "accuracy 0.875"),
        ({}, "not validated"),
    ],
)
def test_a_bundle_is_shown_beside_its_baseline(bundle, training, said):
    known, held_out = about(replace(bundle, training=training)).split("\n", 1)
    assert known == "6 genes · 3 types · cellmemory"
    assert held_out == said


def test_names_of_bundles_do_not_collide(bundles):
    first = bundles.free_name("my ref/cell type")
    assert first.name == "my-ref-cell-type"
    first.mkdir(parents=True)
    assert bundles.free_name("my ref/cell type").name == "my-ref-cell-type-2"


def test_a_bundle_can_be_left_out_of_the_list(annotate, bundles, bundle):
    annotate.choose(bundle.path)
    annotate.forget()
    assert annotate.state.known == bundles.paths() == ()
    assert annotate.state.bundle is None
    assert (bundle.path / "bundle.json").is_file()
    annotate.choose(bundle.path)
    assert annotate.state.known == (bundle.path,)


def test_a_trained_bundle_stays_left_out(bundles, bundle):
    inside = bundles.folder / "trained"
    inside.parent.mkdir(parents=True, exist_ok=True)
    bundle.path.rename(inside)
    assert bundles.paths() == (inside,)
    bundles.forget(inside)
    assert bundles.paths() == ()


def test_a_card_tells_scores_type_by_type(bundle):
    training = {
        "confusion": [[8, 2, 0], [1, 9, 0], [0, 0, 0]],
        "label_counts": {"Astrocyte": 50, "Excitatory": 40, "Inhibitory": 1},
        "cells": {"reference": 91, "validation": 20},
        "recipe": {"name": "default"},
        "folds": [{"best_epoch": 3}, {"best_epoch": 5}],
        "provenance": {
            "finished": "2025-01-02T03:04:05+00:00", "seconds": 7.2, "device": "cpu", "seed": 0,
        },
    }  # fmt: skip
    card = card_of(replace(bundle, training=training))
    facts = dict(card.facts)
    assert facts["Trained on"] == "91 cells; scores on 20 held out"
    assert facts["Recipe"] == "default; 2 networks, best epochs 3, 5"
    assert facts["Made"].startswith("2025-01-02 03:04:05 UTC, in 7 s on cpu, seed 0")
    assert "Converted from" not in facts
    first, _, last = card.types
    assert (first.cells, first.recall) == (50, 0.8)
    assert first.precision == pytest.approx(8 / 9)
    assert first.f1 == pytest.approx(16 / 19)
    assert (last.cells, last.recall, last.f1) == (1, None, None)
    assert "Reference" not in facts
    assert card_of(bundle).facts == ()
