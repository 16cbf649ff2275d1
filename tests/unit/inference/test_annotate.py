"""annotate() against the same model computed densely, in one piece."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tagscope.core.panel import GenePanel
from tagscope.errors import ArgumentError, BundleError, InputError
from tagscope.inference.annotate import AnnotateConfig, PartialAnnotation, annotate
from tagscope.jobs import JobCancelled, JobContext
from tagscope.models.base import Capability

CPU = {"device": "cpu"}


def _config(**choices):
    return AnnotateConfig(**{**CPU, **choices})


def _expected(model, cells):
    values = cells.restrict(model.vocabulary).values.toarray()
    logits = torch.from_numpy(values) @ model.weights
    return logits.softmax(1).numpy(), values / np.maximum(values.sum(1, keepdims=True), 1)


@pytest.mark.parametrize("batch_size", [None, 1, 7, 100])
def test_every_cell_gets_its_own_answer(model, cells, batch_size):
    result = annotate(cells, model, _config(batch_size=batch_size, attention=True))
    probabilities, share = _expected(model, cells)
    np.testing.assert_allclose(result.annotation.probabilities, probabilities, atol=1e-6)
    np.testing.assert_allclose(result.gene_scores.scores.toarray(), share, atol=1e-6)
    assert result.annotation.probabilities.dtype == np.float32
    assert result.gene_scores.scores.format == "csc"
    assert result.gene_scores.scores.dtype == np.float32
    assert result.slot_scores is None
    assert list(result.annotation.ids) == list(cells.ids)


def test_genes_are_aligned_by_name(model, cells):
    order = np.random.default_rng(1).permutation(12)
    shuffled = replace(cells, values=cells.values[:, order], panel=cells.panel.take(order))
    one = annotate(cells, model, _config(attention=True))
    other = annotate(shuffled, model, _config(attention=True))
    np.testing.assert_array_equal(one.annotation.codes, other.annotation.codes)
    np.testing.assert_allclose(
        one.gene_scores.scores.toarray(), other.gene_scores.scores.toarray(), atol=1e-6
    )


def test_slots_share_one_pattern_and_sum_to_one(model, cells):
    result = annotate(cells, model, _config(attention=True, slots=True))
    slots = result.slot_scores.scores
    assert len(slots) == 2
    total = sum(matrix.toarray() for matrix in slots)
    np.testing.assert_array_equal(total, (cells.values.toarray() > 0).astype(np.float32))
    assert np.shares_memory(slots[1].indices, slots[0].indices)
    only_slots = annotate(cells, model, _config(slots=True))
    assert only_slots.gene_scores is None
    np.testing.assert_array_equal(only_slots.slot_scores.scores[1].toarray(), slots[1].toarray())


def test_cells_in_view_come_first_and_like_lengths_together(model, cells):
    first = np.array([30, 3, 17])
    annotate(cells, model, _config(batch_size=3), first=first)
    assert sorted(model.seen[0]) == sorted(first)
    lengths = np.diff(cells.values.indptr)
    rest = np.concatenate(model.seen[1:])
    assert (np.diff(lengths[rest]) <= 0).all()
    assert sorted(np.concatenate(model.seen)) == list(range(40))


def test_partial_results_add_up_to_the_whole(model, cells):
    reports = []
    context = JobContext(reports.append)
    result = annotate(cells, model, _config(batch_size=9, min_confidence=0.5), context=context)
    partials = [r.partial for r in reports if isinstance(r.partial, PartialAnnotation)]
    codes = np.full(40, 99)
    confidence = np.zeros(40, np.float32)
    for partial in partials:
        codes[partial.rows] = partial.codes
        confidence[partial.rows] = partial.confidence
    np.testing.assert_array_equal(codes, result.annotation.codes)
    np.testing.assert_array_equal(confidence, result.annotation.confidence)
    assert (codes == -1).any()
    done = [r.done for r in reports if r.stage == "annotating"]
    assert done == [0, 9, 18, 27, 36, 40]


def test_a_cancel_is_answered_at_the_next_batch(model, cells):
    context = JobContext(lambda progress: progress.done >= 8 and context.cancel())
    with pytest.raises(JobCancelled):
        annotate(cells, model, _config(batch_size=4), context=context)
    assert sum(map(len, model.seen)) == 12


def test_a_full_device_halves_the_batch_and_goes_on(model, cells):
    model.most_cells = 5
    result = annotate(cells, model, _config(batch_size=32))
    np.testing.assert_allclose(
        result.annotation.probabilities, _expected(model, cells)[0], atol=1e-6
    )
    assert max(map(len, model.seen)) <= 5
    assert sum(map(len, model.seen)) == 40


def test_no_memory_for_one_cell_is_said(model, cells):
    model.most_cells = 0
    with pytest.raises(ArgumentError, match="even one cell"):
        annotate(cells, model, _config())


def test_other_runtime_errors_are_not_taken_for_a_full_device(model, cells):
    model.weights = model.weights[:4]
    with pytest.raises((RuntimeError, IndexError)):
        annotate(cells, model, _config())


def test_no_shared_gene_names_both_sides(model, cells):
    other = replace(cells, panel=GenePanel(tuple(f"ENSG{i}" for i in range(12))))
    with pytest.raises(InputError, match=r"0 genes.*12 \(ENSG0.*12 \(Gene0"):
        annotate(other, model, _config())


def test_what_a_model_cannot_do_is_refused(model, cells):
    model.capabilities = frozenset({Capability.ANNOTATE})
    with pytest.raises(ArgumentError, match="gene_scores"):
        annotate(cells, model, _config(attention=True))


def test_values_that_are_not_finite_are_refused(model, cells):
    model.weights[:] = torch.nan
    with pytest.raises(BundleError, match="not finite"):
        annotate(cells, model, _config())


def test_provenance_says_what_ran(model, cells):
    result = annotate(cells, model, _config(seed=4), inputs={"bundle": "abc"})
    record = result.provenance
    assert (record.verb, record.seed, record.device) == ("annotate", 4, "cpu")
    assert record.inputs == {"bundle": "abc"}
    assert record.parameters["key"] == "cellmemory"
    assert record.extra["labels"] == ["a", "b", "c"]
    assert record.extra["genes_shared"] == 12
    assert "torch" in record.versions


def test_the_random_state_of_the_process_is_left_alone(model, cells):
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    annotate(cells, model, _config(seed=99))
    assert torch.equal(torch.rand(3), expected)


def test_reduced_precision_gives_nearly_the_same_labels(model, cells):
    exact = annotate(cells, model, _config())
    rough = annotate(cells, model, _config(precision="bf16"))
    assert rough.annotation.probabilities.dtype == np.float32
    np.testing.assert_allclose(rough.annotation.probabilities.sum(1), 1, atol=1e-6)
    assert not np.array_equal(rough.annotation.probabilities, exact.annotation.probabilities)
    assert (exact.annotation.codes == rough.annotation.codes).mean() > 0.9


def test_no_cells_are_no_error(model, cells):
    result = annotate(cells.take(np.array([], dtype=np.int64)), model, _config())
    assert result.annotation.probabilities.shape == (0, 3)


@pytest.mark.parametrize(
    "choices", [{"key": ""}, {"key": "a/b"}, {"min_confidence": 1.5}, {"batch_size": 0}]
)
def test_wrong_choices_are_refused(choices):
    with pytest.raises(ArgumentError):
        AnnotateConfig(**choices)
