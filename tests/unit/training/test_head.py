"""Heads on an OmniCell's embeddings: what they learn, what a bundle of them holds and refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from small_omnicell import small_omnicell
from small_reference import GENES, small_reference
from tagscope.core.panel import GenePanel
from tagscope.errors import ArgumentError, BundleError, InputError
from tagscope.inference.annotate import AnnotateConfig, annotate
from tagscope.jobs import JobCancelled, JobContext, Progress
from tagscope.models.base import Capability
from tagscope.models.bundle import Bundle, load_bundle
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.omnicell.config import HeadConfig
from tagscope.models.omnicell.embedded import embedded
from tagscope.models.omnicell.head import LabelHead
from tagscope.models.registry import load_model, load_omnicell
from tagscope.training.fit import train
from tagscope.training.recipe import EpochRecord, TrainConfig, recipe_of

CPU = torch.device("cpu")
QUICK = TrainConfig(folds=1, epochs=20, batch_size=16, learning_rate=5e-3, seed=5, device="cpu")


@pytest.fixture(scope="module")
def omnicell(tmp_path_factory) -> Bundle:
    """Knows the genes in another order, and one that was never measured."""
    names = ("Other", *(f"g{i:02}" for i in range(GENES - 1, -1, -1)))
    return small_omnicell(tmp_path_factory.mktemp("omnicell") / "small", GenePanel(names))


@pytest.fixture(scope="module")
def bundle(omnicell, tmp_path_factory) -> Bundle:
    out = tmp_path_factory.mktemp("head") / "bundle"
    return train(small_reference(), out, replace(QUICK, folds=2), init=omnicell)


def test_it_learns_cells_apart_and_says_how_well(omnicell, tmp_path):
    heard: list[Progress] = []
    out = tmp_path / "m"
    bundle = train(small_reference(), out, QUICK, init=omnicell, context=JobContext(heard.append))
    assert bundle == load_bundle(out)
    assert bundle.capabilities == {Capability.ANNOTATE, Capability.EMBED}
    assert bundle.training["accuracy"] > 0.75
    assert np.sum(bundle.training["confusion"]) == bundle.training["cells"]["validation"] == 27
    assert bundle.training["baseline"]["accuracy"] > 0.9
    assert bundle.training["provenance"]["inputs"]["init_digest"] == omnicell.digest
    assert "cells embedded by small" in bundle.training["notes"]
    assert bundle.calibration["temperature"] > 0
    records = [p.partial for p in heard if isinstance(p.partial, EpochRecord)]
    assert len(records) == 20
    assert {"embedding", "training", "validating", "baseline"} <= {p.stage for p in heard}
    assert "logistic regression" in (out / "card.md").read_text("utf-8")
    assert bundle.to_text().startswith(f"omnicell: 3 labels, {GENES} genes; on 27 cells held out")


def test_a_bundle_annotates_as_any_other(bundle):
    fresh = small_reference(seed=9)
    model = load_model(bundle, CPU)
    result = annotate(fresh.cells, model, AnnotateConfig(device="cpu", min_confidence=0.5))
    assert result.key == "omnicell"
    assert (result.annotation.codes == fresh.codes).mean() > 0.75
    assert result.annotation.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert result.annotation.novelty is not None
    assert result.gene_scores is result.slot_scores is None
    assert result.provenance.parameters["key"] == "omnicell"
    named = annotate(fresh.cells, model, AnnotateConfig(device="cpu", key="mine"))
    assert named.key == "mine"


@pytest.mark.parametrize("pooling", ["expressed", "genes"])
def test_the_embedding_is_the_omnicells(omnicell, tmp_path, pooling):
    cells = small_reference(seed=9).cells
    init = small_omnicell(tmp_path / "omnicell", omnicell.panel, pooling)
    bundle = train(small_reference(), tmp_path / "m", replace(QUICK, epochs=2), init=init)
    found = annotate(cells, load_model(bundle, CPU), AnnotateConfig(device="cpu"))
    for one in (init, bundle):  # a bundle with heads embeds as the one without
        network = load_omnicell(one, CPU)
        assert network.pooling == pooling
        reading = network.reading(cells.panel)
        values = embedded(network, network.read(cells, reading), reading, JobContext())
        np.testing.assert_allclose(found.annotation.embedding, values, atol=1e-6)


def test_a_cell_has_one_answer_whatever_is_read_with_it(bundle):
    model, cells = load_model(bundle, CPU), small_reference(seed=9).cells
    tokens = model.tokenise(cells)
    assert len(tokens) == len(cells)
    assert set(tokens.lengths) == {GENES + 2}
    together = model(tokens.batch(np.arange(50)))
    assert together.embedding.shape == (50, 16)
    assert together.logits.shape == (50, 3)
    for row in (0, 7):
        alone = model(tokens.batch(np.array([row])))
        torch.testing.assert_close(alone.logits[0], together.logits[row], atol=1e-5, rtol=1e-4)
    some = model.tokenise(cells.take(np.array([7, 3])))
    again = model(some.batch(np.array([0])))
    torch.testing.assert_close(again.logits[0], together.logits[7], atol=1e-5, rtol=1e-4)


def test_heads_are_averaged(bundle):
    model = load_model(bundle, CPU)
    assert len(model.heads) == bundle.config["head"]["networks"] == 2
    batch = model.tokenise(small_reference(seed=9).cells).batch(np.arange(20))
    each = [replace(model, heads=(head,))(batch).logits.softmax(1) for head in model.heads]
    assert not torch.allclose(*each)
    torch.testing.assert_close(model(batch).logits.softmax(1), torch.stack(each).mean(0))


def test_genes_that_were_not_measured_are_left_out(bundle):
    cells = small_reference(seed=9).cells
    few = replace(cells, values=cells.values[:, :14], panel=cells.panel.take(np.arange(14)))
    found = annotate(few, load_model(bundle, CPU), AnnotateConfig(device="cpu"))
    assert (found.annotation.codes == small_reference(seed=9).codes).mean() > 0.5
    strange = replace(few, panel=GenePanel(tuple(f"X{i}" for i in range(14))))
    with pytest.raises(InputError, match="share 0 genes"):
        annotate(strange, load_model(bundle, CPU))


def test_genes_are_found_by_their_orthologues(bundle):
    cells = small_reference(seed=9).cells
    panel = GenePanel(tuple(f"M{i}" for i in range(GENES)), aliases=cells.panel.symbols)
    model = load_model(bundle, CPU)
    ours, theirs = (
        annotate(one, model, AnnotateConfig(device="cpu")).annotation
        for one in (cells, replace(cells, panel=panel))
    )
    np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)


def test_cells_without_counts_and_none_at_all(bundle):
    cells = small_reference(seed=9).cells
    empty = replace(cells, values=sp.csr_matrix(cells.values.shape, dtype=np.float32))
    model = load_model(bundle, CPU)
    found = annotate(empty, model, AnnotateConfig(device="cpu")).annotation
    assert (found.embedding == 0).all()
    assert np.isfinite(found.probabilities).all()
    assert len(annotate(cells.take(np.arange(0)), model).annotation.ids) == 0


def test_reduced_precision_is_near(bundle):
    model, cells = load_model(bundle, CPU), small_reference(seed=9).cells
    full, reduced = (
        annotate(cells, model, AnnotateConfig(device="cpu", precision=precision)).annotation
        for precision in ("fp32", "bf16")
    )
    assert np.abs(reduced.probabilities - full.probabilities).mean() < 0.02


def test_scores_are_refused(bundle):
    model, cells = load_model(bundle, CPU), small_reference().cells
    for asked in ({"attention": True}, {"slots": True}):
        with pytest.raises(ArgumentError, match="cannot give") as refused:
            annotate(cells, model, AnnotateConfig(**asked))
        assert refused.value.choices == {"attention": False}


def same(one: Bundle, other: Bundle) -> bool:
    ours, theirs = one.state(), other.state()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_a_seed_decides(omnicell, tmp_path):
    before = torch.get_rng_state()
    one, again = (train(small_reference(), tmp_path / n, QUICK, init=omnicell) for n in "ab")
    other = train(small_reference(), tmp_path / "c", replace(QUICK, seed=6), init=omnicell)
    assert same(one, again)
    assert not same(one, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_interrupted_training_goes_on_to_the_same_numbers(omnicell, tmp_path):
    whole = train(small_reference(), tmp_path / "whole", QUICK, init=omnicell)
    context = JobContext()

    def listen(progress: Progress) -> None:
        if progress.stage == "training" and progress.done == 7:
            context.cancel()

    context.on_progress = listen
    out = tmp_path / "broken"
    with pytest.raises(JobCancelled):
        train(small_reference(), out, QUICK, init=omnicell, context=context)
    assert load_bundle(out).training["stopped"] == "cancelled"
    assert same(train(small_reference(), out, QUICK, init=omnicell, resume=True), whole)


def test_the_published_recipe(omnicell, tmp_path):
    config = TrainConfig(recipe="published", device="cpu")
    recipe = recipe_of(config, "omnicell")
    assert (recipe.epochs, recipe.learning_rate, recipe.folds) == (20, 1e-4, 1)
    assert not recipe.published  # whose split and schedule are CellMemory's
    bundle = train(small_reference(), tmp_path / "m", config, init=omnicell)
    assert {r["learning_rate"] for r in bundle.training["history"]} == {1e-4}
    assert len(bundle.training["history"]) == 20
    head = load_model(bundle, CPU).heads[0]
    assert [type(layer).__name__ for layer in head.layers].count("Linear") == 3
    assert (head.mean == 0).all()
    assert torch.equal(head.turn, torch.eye(16))


def test_whitened_embeddings_have_one_variance():
    torch.manual_seed(0)
    known = torch.randn(200, 6) @ torch.randn(6, 8) + 3  # two directions in which none differ
    head = LabelHead(HeadConfig(), 8, 2)
    head.whiten(known)
    read = (known - head.mean) @ head.turn
    found = read.T @ read / 200
    torch.testing.assert_close(found[:6, :6], torch.eye(6), atol=1e-3, rtol=0)
    assert found[6:, 6:].abs().max() < 1e-3
    head.whiten(known[:3])  # fewer cells than channels, and a single one
    assert torch.isfinite(head.turn).all()
    head.whiten(known[:1])
    assert torch.isfinite(head.turn).all()


def test_most_genes_are_those_that_vary_most(omnicell, tmp_path):
    bundle = train(small_reference(), tmp_path / "m", QUICK, init=omnicell,
                   model_config=HeadConfig(most_genes=12))  # fmt: skip
    assert sorted(bundle.panel.symbols) == [f"g{i:02}" for i in range(12)]
    assert bundle.state()["genes.weight"].shape == (14, 16)


def test_a_section_tells_genes_and_depth(omnicell, tmp_path):
    cells = small_reference(seed=3).cells
    thin = np.random.default_rng(0).binomial(cells.values.toarray().astype(int), 0.3)
    section = replace(cells, values=sp.csr_matrix(thin.astype(np.float32)))
    section = section.restrict(cells.panel.take(np.arange(20)))
    bundle = train(small_reference(), tmp_path / "m", QUICK, init=omnicell, panel=section.panel,
                   section=section)  # fmt: skip
    assert len(bundle.panel) == 20
    assert any("depth of the section" in note for note in bundle.training["notes"])


def test_a_bundle_without_labels_or_with_changed_weights_cannot_annotate(omnicell, bundle):
    with pytest.raises(BundleError, match="which cannot annotate"):
        load_model(omnicell, CPU)
    for config in (
        {**bundle.config, "head": {**bundle.config["head"], "hidden": 5}},
        {**bundle.config, "head": {**bundle.config["head"], "networks": 3}},
        {**bundle.config, "head": {"depth": 2}},
        omnicell.config,
    ):
        with pytest.raises(BundleError, match="do not fit"):
            load_model(replace(bundle, config=config), CPU)


def test_settings_of_another_model_are_refused(omnicell, tmp_path):
    with pytest.raises(ArgumentError, match="CellMemory"):
        train(
            small_reference(), tmp_path / "m", QUICK, init=omnicell, model_config=CellMemoryConfig()
        )
    with pytest.raises(ArgumentError, match="OmniCell was to learn labels from nothing"):
        train(small_reference(), tmp_path / "m", QUICK, model_config=HeadConfig())
    assert not (tmp_path / "m").exists()
