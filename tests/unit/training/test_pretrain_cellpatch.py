"""Pretraining a CellPatch: what is hidden, what it learns, what a bundle of it holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import torch

from small_reference import GENES, small_reference
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.errors import ArgumentError
from tagscope.io.cell_source import h5ad_source, source_of
from tagscope.jobs import JobCancelled, JobContext
from tagscope.models.base import Capability
from tagscope.models.bundle import Bundle, load_bundle
from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.models.cellpatch.objective import GeneMasking, told_loss
from tagscope.models.registry import load_cellpatch
from tagscope.training import pretrain_recipe
from tagscope.training.fit import TrainConfig, train
from tagscope.training.pretrain import pretrain
from tagscope.training.pretrain_recipe import PretrainConfig, PretrainRecord, patch_recipe_of

QUICK = PretrainConfig(epochs=4, batch_size=16, learning_rate=3e-3, seed=5, device="cpu")
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    network = CellPatchConfig(width=16, patches=8, layers=1, projection=4)
    monkeypatch.setitem(pretrain_recipe._SMALL_PATCHES, "network", network)


def cells(seed: int = 0) -> Cells:
    return small_reference((50, 50), seed).cells


def learned(out: Path, config: PretrainConfig = QUICK, **choices) -> Bundle:
    return pretrain([source_of(cells())], out, config, model="cellpatch", **choices)


def same(one: Bundle, other: Bundle) -> bool:
    ours, theirs = one.state(), other.state()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_it_learns_and_says_how_well(tmp_path):
    bundle = learned(tmp_path / "m", replace(QUICK, epochs=25))
    assert bundle == load_bundle(tmp_path / "m")
    assert (bundle.model, bundle.capabilities) == ("cellpatch", {Capability.EMBED})
    losses = [record["validation_loss"] for record in bundle.training["history"]]
    assert min(losses) == bundle.training["validation_loss"] < 0.8 * losses[0]
    assert bundle.training["stages"] == ["cells"]
    assert "held-out loss" in bundle.to_text()
    model = load_cellpatch(bundle, CPU)
    said = model(model.tokenise(cells()).batch(np.arange(100)))
    assert said.embedding.shape == (100, 8 * 4)
    assert said.logits is None


def test_a_seed_decides(tmp_path):
    one, other, third = (
        learned(tmp_path / str(n), replace(QUICK, epochs=1, seed=seed))
        for n, seed in enumerate((5, 5, 6))
    )
    assert same(one, other)
    assert not same(one, third)


def test_an_interrupted_training_goes_on_to_the_same_numbers(tmp_path):
    class Stopped(JobContext):
        def step(self, stage, done, total, partial=None):
            super().step(stage, done, total, partial)
            if isinstance(partial, PretrainRecord) and partial.epoch == 2:
                raise JobCancelled(stage)

    whole = learned(tmp_path / "whole")
    with pytest.raises(JobCancelled):
        learned(tmp_path / "stopped", context=Stopped())
    assert same(whole, learned(tmp_path / "stopped", resume=True))


def test_values_of_a_file_stay_on_disk(tmp_path):
    given = cells()
    obs = pd.DataFrame(index=given.ids.astype(str))
    var = pd.DataFrame(index=list(given.panel.symbols))
    anndata.AnnData(given.values, obs, var).write_h5ad(tmp_path / "cells.h5ad")
    source = h5ad_source(tmp_path / "cells.h5ad")
    assert source.on_disk
    found = pretrain([source], tmp_path / "m", QUICK, model="cellpatch")
    assert same(found, learned(tmp_path / "loaded"))


def test_several_files_and_genes_that_are_new(tmp_path):
    """A vocabulary grows behind the genes that are known, whose rows stay theirs."""
    first = learned(tmp_path / "first")
    names = tuple(f"G{i:02}" for i in range(GENES - 4, GENES + 6))
    other = replace(cells(1), panel=GenePanel(names), values=cells(1).values[:, : len(names)])
    barely = replace(QUICK, epochs=1, learning_rate=1e-9)
    sources = [source_of(cells()), source_of(other)]
    both = pretrain(sources, tmp_path / "both", barely, model="cellpatch", init=first)
    assert both.panel.symbols == (*first.panel.symbols, *names[4:])
    assert both.training["new_genes"] == list(names[4:])
    before, after = first.state(), both.state()
    close = {"atol": 1e-6, "rtol": 0}
    kept = after["genes.weight"][:GENES], before["genes.weight"][:GENES]
    torch.testing.assert_close(*kept, **close)
    name = "decoder.back.weight"
    torch.testing.assert_close(after[name], before[name], **close)


def test_genes_start_as_they_vary_together(tmp_path):
    """Those of a type, four each, by the small preset alone."""
    barely = replace(QUICK, epochs=1, learning_rate=1e-9)
    type_of = np.arange(8) // 4
    within = (type_of[:, None] == type_of) & ~np.eye(8, dtype=bool)
    near = {}
    for preset in ("small", "paper"):
        bundle = learned(tmp_path / preset, replace(barely, preset=preset))
        alike = np.corrcoef(bundle.state()["genes.weight"][:8])
        near[preset] = alike[within].mean() - alike[type_of[:, None] != type_of].mean()
    assert near["small"] > 0.5
    assert abs(near["paper"]) < 0.3


def test_labels_are_learned_from_it(tmp_path):
    first = learned(tmp_path / "first")
    config = TrainConfig(folds=1, epochs=30, batch_size=16, learning_rate=3e-3, device="cpu")
    found = train(small_reference(), tmp_path / "labels", config, init=first)
    assert found.config["patches"] == 8
    assert found.training["accuracy"] > 0.6


def expressed(counts: tuple[int, ...], seed: int = 0):
    """Cells that express so many genes of forty, at random."""
    rng = np.random.default_rng(seed)
    places = [np.sort(rng.choice(40, count, replace=False)) for count in counts]
    return [(one, rng.random(len(one)).astype(np.float32) + 1) for one in places]


def test_what_is_hidden():
    given, genes = expressed((20, 11, 0)), np.arange(100, 140)
    drawn = GeneMasking().draw(given, genes, np.random.default_rng(0))
    assert drawn.read.padding is not None
    read, told = ~drawn.read.padding, ~drawn.padding
    for cell, ((places, values), hidden) in enumerate(zip(given, (6, 3, 0), strict=True)):
        left = drawn.read.genes[cell][read[cell]].numpy()
        asked = drawn.asked[cell][told[cell]].numpy()
        right = drawn.values[cell][told[cell]].numpy()
        assert len(left) == len(places) - hidden
        assert len(asked) == hidden + hidden // 2
        assert set(left) | set(asked[right > 0]) == set(genes[places])
        assert not set(left) & set(asked)
        known = dict(zip(genes[places], values, strict=True))
        assert all(known.get(gene, 0) == value for gene, value in zip(asked, right, strict=True))
        wanted = [known[gene] for gene in left]
        np.testing.assert_array_equal(drawn.read.values[cell][read[cell]], wanted)


def test_zeros_are_any_genes_or_as_published_the_first():
    given, genes = expressed((20,) * 60), np.arange(40)
    fixed, published = (
        GeneMasking(published=published).draw(given, genes, np.random.default_rng(0))
        for published in (False, True)
    )
    for asked, values, (places, _) in zip(published.asked, published.values, given, strict=True):
        zeros = set(asked[values == 0].numpy())
        assert zeros == set(np.setdiff1d(genes, places)[:3])
    zeros = fixed.asked[(fixed.values == 0) & ~fixed.padding]
    assert 0.4 < float((zeros >= 20).float().mean()) < 0.6


def test_no_more_is_read_or_asked_than_may_be():
    masking = GeneMasking(most_read=5, most_asked=4)
    drawn = masking.draw(expressed((20, 8)), np.arange(40), np.random.default_rng(0))
    assert drawn.read.padding is not None
    assert (~drawn.read.padding).sum(dim=1).tolist() == [5, 5]
    assert (~drawn.padding).sum(dim=1).tolist() == [4, 3]
    given = expressed((20,))
    first = replace(masking, published=True).draw(given, np.arange(40), np.random.default_rng(0))
    assert (first.read.genes[0] <= given[0][0][10]).all()  # of fourteen that are left, by row


def test_the_loss_counts_what_was_asked():
    drawn = GeneMasking().draw(expressed((20, 0)), np.arange(40), np.random.default_rng(0))
    errors = told_loss(torch.zeros_like(drawn.values), drawn)
    torch.testing.assert_close(errors, (drawn.values**2).sum())
    off = torch.where(drawn.padding, 100.0, drawn.values + 2)
    torch.testing.assert_close(told_loss(off, drawn), torch.tensor(4.0 * 9))


def test_the_papers_numbers():
    paper = patch_recipe_of(PretrainConfig(preset="paper"))
    assert (paper.batch_size, paper.learning_rate, paper.weight_decay) == (512, 1e-4, 5e-5)
    assert paper.rate(0, 100) == paper.rate(99, 100) == 1e-4
    assert paper.masking == GeneMasking(0.3, 0.5, 3000, 1000)


@pytest.mark.parametrize("wrong", [{"neighbors": 4}, {"stage": "spatial"}])
def test_neighbours_are_refused(tmp_path, wrong):
    with pytest.raises(ArgumentError, match=f"{next(iter(wrong))} = .*"):
        learned(tmp_path / "m", replace(QUICK, **wrong))


def test_weights_of_another_model_are_refused(tmp_path):
    first = learned(tmp_path / "first", replace(QUICK, epochs=1))
    with pytest.raises(ArgumentError, match="kind 'cellpatch'"):
        pretrain([source_of(cells())], tmp_path / "m", init=first)
