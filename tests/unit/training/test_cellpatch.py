"""CellPatch told labels: what it learns, what a bundle of it holds, what it starts from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from small_reference import GENES, small_reference
from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.errors import ArgumentError
from tagscope.inference.annotate import AnnotateConfig, annotate
from tagscope.jobs import JobCancelled, JobContext, Progress
from tagscope.models.base import Capability
from tagscope.models.bundle import Bundle, load_bundle, save_bundle
from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.models.cellpatch.model import PRETRAINED
from tagscope.models.cellpatch.network import SPARE, CellPatchNetwork
from tagscope.models.cellpatch.tokenise import CellPatchPreprocessing
from tagscope.models.registry import load_cellpatch, load_model
from tagscope.training.cellpatch import default_patches
from tagscope.training.fit import EpochRecord, TrainConfig, train
from tagscope.training.recipe import recipe_of

MODEL = CellPatchConfig(width=16, patches=8, layers=1, projection=4)
QUICK = TrainConfig(folds=1, epochs=15, batch_size=16, learning_rate=3e-3, seed=5, device="cpu")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Bundle:
    out = tmp_path_factory.mktemp("cellpatch") / "bundle"
    return train(small_reference(), out, replace(QUICK, folds=2), model_config=MODEL)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory) -> Bundle:
    """Knows half of the genes, in another order, and has two rows to spare."""
    names = tuple(f"g{i:02}" for i in range(GENES // 2 - 1, -1, -1))
    torch.manual_seed(0)
    state = CellPatchNetwork(MODEL, len(names)).state_dict()
    state[SPARE] = torch.randn(2, MODEL.width)
    return save_bundle(
        tmp_path_factory.mktemp("pretrained") / "small", model="cellpatch", config=MODEL.to_dict(),
        panel=GenePanel(names), labels=LabelSet(()), capabilities=PRETRAINED, training={},
        preprocessing=CellPatchPreprocessing().to_dict(), state=state,
    )  # fmt: skip


def same(one: Bundle, other: Bundle) -> bool:
    ours, theirs = one.state(), other.state()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_it_learns_cells_apart_and_says_how_well(bundle):
    assert bundle == load_bundle(bundle.path)
    assert Capability.GENE_SCORES in bundle.capabilities
    assert bundle.training["accuracy"] > 0.75
    assert bundle.training["baseline"]["accuracy"] > 0.9
    assert len(bundle.training["folds"]) == 2
    fresh = small_reference(seed=1)
    config = AnnotateConfig(device="cpu", attention=True)
    found = annotate(fresh.cells, load_model(bundle, CPU), config)
    assert (found.annotation.probabilities.argmax(axis=1) == fresh.codes).mean() > 0.75
    assert found.annotation.embedding.shape == (len(fresh), 200)
    assert found.annotation.novelty is not None
    assert found.key == "cellpatch"
    assert found.gene_scores is not None
    assert found.gene_scores.scores.shape == (len(fresh), GENES)


def test_the_same_seed_gives_the_same_weights(tmp_path):
    short = replace(QUICK, epochs=2)
    one, other, third = (
        train(small_reference(), tmp_path / str(n), replace(short, seed=seed), model_config=MODEL)
        for n, seed in enumerate((5, 5, 6))
    )
    assert same(one, other)
    assert not same(one, third)


def test_a_training_goes_on_to_the_same_numbers(tmp_path):
    class Stopped(JobContext):
        def step(self, stage, done, total, partial=None):
            super().step(stage, done, total, partial)
            if isinstance(partial, EpochRecord) and partial.epoch == 2:
                raise JobCancelled(stage)

    short, out = replace(QUICK, epochs=4), tmp_path / "stopped"
    whole = train(small_reference(), tmp_path / "whole", short, model_config=MODEL)
    with pytest.raises(JobCancelled):
        train(small_reference(), out, short, model_config=MODEL, context=Stopped())
    resumed = train(small_reference(), out, short, model_config=MODEL, resume=True)
    assert same(whole, resumed)


def test_recipes_of_code_and_paper():
    published, paper = (
        recipe_of(TrainConfig(recipe=name), "cellpatch") for name in ("published", "paper")
    )
    assert (published.learning_rate, published.weight_decay, published.penalty) == (
        1e-3, 5e-4, "loss",
    )  # fmt: skip
    assert published.rate(999, 10) == published.learning_rate
    assert (published.epochs, published.batch_size, published.clip_norm) == (100, 256, np.inf)
    assert (paper.epochs, paper.clip_norm) == (50, 5.0)
    assert default_patches(published).head_dropout == 0
    assert default_patches(paper).head_dropout > 0
    with pytest.raises(ArgumentError, match="no recipe 'paper' of cellmemory"):
        recipe_of(TrainConfig(recipe="paper"))


@pytest.mark.parametrize(
    ("recipe", "steps"), [("default", "none"), ("published", "truncated"), ("paper", "rounded")]
)
def test_values_are_read_as_the_recipe_says(tmp_path, recipe, steps):
    config = replace(QUICK, recipe=recipe, epochs=1)
    found = train(small_reference(), tmp_path / "m", config, model_config=MODEL)
    preprocessing = CellPatchPreprocessing.from_dict(found.preprocessing)
    assert preprocessing.steps == steps
    values = load_cellpatch(found, CPU).tokenise(small_reference().cells).values
    if steps != "none":
        assert (values == np.rint(values)).all()
        assert 0 < values.max() <= 5
    assert np.diff(small_reference().cells.values.indptr).sum() == len(values)


def test_weights_are_gone_on_from(pretrained, tmp_path):
    """Known genes keep their rows, new ones take those that are spare, and are recorded."""
    barely = replace(QUICK, epochs=1, learning_rate=1e-9)
    found = train(small_reference(), tmp_path / "m", barely, init=pretrained)
    assert found.model == "cellpatch"
    before, after = pretrained.state(), found.state()
    places = found.panel.columns_in(pretrained.panel)
    known = np.flatnonzero(places >= 0)
    close = {"atol": 1e-5, "rtol": 0}
    torch.testing.assert_close(
        after["genes.weight"][known], before["genes.weight"][places[known]], **close
    )
    fresh = np.flatnonzero(places < 0)
    torch.testing.assert_close(after["genes.weight"][fresh[:2]], before[SPARE], **close)
    torch.testing.assert_close(after["patches"], before["patches"], **close)
    assert found.training["new_genes"] == [found.panel.symbols[gene] for gene in fresh]
    assert found.training["provenance"]["inputs"]["init_digest"] == pretrained.digest
    assert found.config["width"] == MODEL.width


def test_a_bundle_with_labels_can_be_gone_on_from(bundle, tmp_path):
    found = train(small_reference(seed=3), tmp_path / "m", replace(QUICK, epochs=3), init=bundle)
    assert found.training["new_genes"] == []
    assert found.training["accuracy"] > 0.75


def test_progress_is_told(tmp_path):
    heard: list[Progress] = []
    config = replace(QUICK, epochs=2)
    train(small_reference(), tmp_path / "m", config, model_config=MODEL,
          context=JobContext(heard.append))  # fmt: skip
    stages = {one.stage for one in heard}
    assert {"preparing", "reading genes", "training", "validating", "baseline"} <= stages
