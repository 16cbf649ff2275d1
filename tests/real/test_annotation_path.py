"""Train, annotate, explain, score and export on a real section: mouse hypothalamus, MERFISH."""

from __future__ import annotations

import time

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

from tagscope.core.section import Reference
from tagscope.evaluation.annotation import evaluate_labels
from tagscope.exporters import export
from tagscope.inference.annotate import AnnotateConfig, annotate
from tagscope.interpret.tags import slot_tag_table, tag_table, tags_of_table
from tagscope.io.readers import open_section, read_reference
from tagscope.io.store import read_table, write_results
from tagscope.jobs import JobCancelled, JobContext
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.registry import load_model
from tagscope.training.fit import TrainConfig, train

CELLS = 600
EVERYTHING = AnnotateConfig(attention=True, slots=True, device="cpu")


@pytest.fixture(scope="module")
def file(shared):
    return shared / "data" / "annotation" / "merfish_hypothalamus_3samples.h5ad"


@pytest.fixture(scope="module")
def opened(file, tmp_path_factory):
    """600 cells of animal 1, one of them emptied of its counts."""
    table = ad.read_h5ad(file)
    table = table[table.obs["animal"].astype(str) == "1"]
    table = table[:: table.n_obs // CELLS][:CELLS].copy()
    counts = table.X.tolil()
    counts[0] = 0
    table.X = counts.tocsr()
    path = tmp_path_factory.mktemp("section") / "section.h5ad"
    table.write_h5ad(path)
    return open_section(path)


@pytest.fixture(scope="module")
def model(file, tmp_path_factory):
    """A small network after eight epochs on 600 cells of animal 7."""
    reference = read_reference(file, "cell_type", where='animal == "7"')
    rows = np.random.default_rng(0).choice(len(reference), CELLS, replace=False)
    some = Reference(reference.cells.take(rows), reference.labels, reference.codes[rows])
    bundle = train(
        some,
        tmp_path_factory.mktemp("model") / "bundle",
        TrainConfig(epochs=8, batch_size=16, learning_rate=3e-3, device="cpu"),
        model_config=CellMemoryConfig(width=32, ffn=64, layers=2, slots=4, encoding="round"),
    )
    return load_model(bundle, torch.device("cpu"))


@pytest.fixture(scope="module")
def result(opened, model):
    return annotate(opened.section.cells, model, EVERYTHING)


def test_a_few_epochs_beat_the_most_frequent_label(opened, result, model):
    truth = opened.table.obs["cell_type"].astype(str)
    report = evaluate_labels(
        result.annotation.names(), truth, result.annotation.confidence, set(model.labels.names)
    )
    assert report.n_cells == CELLS
    assert report.accuracy > truth.value_counts(normalize=True).max() + 0.1
    assert 0 <= report.calibration_error < 0.5


def test_attention_is_a_share_of_what_the_class_token_sees(opened, result):
    scores = result.gene_scores.scores
    expressed = opened.section.cells.restrict(result.gene_scores.panel).values
    assert scores.nnz == expressed.nnz
    assert ((scores > 0) != (expressed > 0)).nnz == 0
    sums = np.asarray(scores.sum(axis=1)).ravel()
    assert sums[0] == 0
    assert (sums[1:] > 0).all()
    assert sums.max() < 1


def test_slots_divide_every_gene_among_them(opened, result):
    total = sum(result.slot_scores.scores)
    assert len(result.slot_scores.scores) == 4
    assert total.nnz == opened.section.cells.values.nnz
    np.testing.assert_allclose(total.data, 1, atol=1e-5)


def test_a_cell_without_counts_gets_an_honest_answer(result):
    assert np.isfinite(result.annotation.probabilities[0]).all()
    assert result.annotation.probabilities[0].sum() == pytest.approx(1, abs=1e-5)


def test_answers_do_not_depend_on_how_cells_are_batched(opened, model, result):
    first = np.arange(100, 140)
    other = annotate(
        opened.section.cells,
        model,
        AnnotateConfig(attention=True, device="cpu", batch_size=17),
        first=first,
    )
    np.testing.assert_allclose(
        other.annotation.probabilities, result.annotation.probabilities, atol=1e-5
    )
    difference = abs(other.gene_scores.scores - result.gene_scores.scores)
    assert difference.max() < 1e-5


def test_a_cancel_is_answered_within_a_second(opened, model):
    reports = []
    cancelled_at = []

    def listen(progress):
        reports.append(progress.done)
        if progress.done and not cancelled_at:
            cancelled_at.append(time.monotonic())
            context.cancel()

    context = JobContext(listen)
    with pytest.raises(JobCancelled):
        annotate(opened.section.cells, model, EVERYTHING, context=context)
    assert time.monotonic() - cancelled_at[0] < 1
    assert max(reports) < CELLS


def test_a_written_section_gives_the_same_tags(opened, result, tmp_path):
    out = write_results(opened.source, result.write_to, tmp_path / "annotated.h5ad")
    table = read_table(out)
    labels, codes = result.annotation.labels, result.annotation.codes
    cells = opened.section.cells
    written = tags_of_table(table, top=10)
    memory = tag_table(result.gene_scores, cells, labels, codes, top=10)
    pd.testing.assert_frame_equal(
        written.frame, memory.frame[memory.frame["group"].isin(written.frame["group"])], rtol=1e-5
    )
    slots = tags_of_table(table, slots=True, top=5)
    expected = slot_tag_table(result.slot_scores, cells, labels, codes, top=5)
    pd.testing.assert_frame_equal(slots.frame, expected.frame, rtol=1e-5)
    gene = written.frame["gene"].iloc[0]
    for name, options in {"labels.png": {}, "gene.svg": {"gene": gene}}.items():
        assert export(out, "figure", tmp_path / name, dpi=80, **options).stat().st_size > 5000
    assert len(pd.read_csv(export(out, "csv", tmp_path / "cells.csv"))) == CELLS
