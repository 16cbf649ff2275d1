"""Pretraining: it learns, resumes, cancels, shares its work, and says what it did."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Section
from tagscope.errors import ArgumentError, InputError, OutputError
from tagscope.io.cell_source import h5ad_source, source_of
from tagscope.jobs import JobCancelled, JobContext, Progress
from tagscope.models.bundle import Bundle, load_bundle
from tagscope.models.omnicell.config import OmniCellConfig
from tagscope.models.omnicell.objective import Masking
from tagscope.models.omnicell.tokenise import soft_ranks
from tagscope.models.registry import load_omnicell
from tagscope.training import pretrain_recipe
from tagscope.training.checkpoint import checkpoint_path
from tagscope.training.corpus import Corpus, genes_of, held_out, part_of, values_of
from tagscope.training.pretrain import pretrain
from tagscope.training.pretrain_omnicell import asked_about, ranked, sequences
from tagscope.training.pretrain_recipe import (
    PretrainConfig,
    PretrainRecord,
    pretrain_recipe_of,
)

GENES = 12
QUICK = PretrainConfig(epochs=3, batch_size=16, learning_rate=3e-3, neighbors=3, seed=5)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    network = OmniCellConfig(width=16, ffn=24, layers=2, heads=2, rotary_width=8, dropout=0.1)
    monkeypatch.setitem(pretrain_recipe._SMALL, "network", network)


def section(cells: int = 80, seed: int = 0) -> Section:
    """Two kinds of cells, left and right, each with its own genes."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, 100, (cells, 2))
    means = np.full((cells, GENES), 0.3)
    means[xy[:, 0] < 50, :6] = 4.0
    means[xy[:, 0] >= 50, 6:] = 4.0
    panel = GenePanel(tuple(f"G{i}" for i in rng.permutation(GENES)))
    counts = sp.csr_matrix(rng.poisson(means).astype(np.float32))
    ids = np.array([f"c{i}" for i in range(cells)])
    return Section(Cells(counts, panel, ids), xy)


def as_h5ad(given: Section, path: Path, **columns: list[str]) -> Path:
    obs = pd.DataFrame(columns, index=given.ids.astype(str))
    table = anndata.AnnData(
        given.cells.values, obs, pd.DataFrame(index=list(given.panel.symbols)),
        uns={"spatial_unit": "um"}, obsm={"spatial": given.xy},
    )  # fmt: skip
    table.write_h5ad(path)
    return path


def same(one: Bundle, other: Bundle) -> bool:
    ours, theirs = one.state(), other.state()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_it_learns_and_says_how_well(tmp_path):
    heard: list[Progress] = []
    config = replace(QUICK, epochs=10)
    bundle = pretrain([source_of(section())], tmp_path / "m", config,
                      context=JobContext(heard.append))  # fmt: skip
    assert bundle == load_bundle(tmp_path / "m")
    records = [p.partial for p in heard if isinstance(p.partial, PretrainRecord)]
    assert [record.epoch for record in records] == [*range(1, 11), *range(1, 11)]
    assert [record.stage for record in records] == ["cells"] * 10 + ["spatial"] * 10
    assert records[9].validation_loss < 0.8 * records[0].validation_loss
    lowest = min(record.validation_loss for record in records[10:])
    assert bundle.training["history"] == [vars(record) for record in records]
    assert bundle.training["validation_loss"] == lowest
    assert bundle.training["cells"] == {"training": 72, "validation": 8}
    assert bundle.preprocessing["unit"] == "µm"
    assert bundle.preprocessing["um_per_unit"] == pretrain_recipe_of(config).um_per_unit
    assert f"held-out loss {lowest:.3f}" in bundle.to_text()
    card = (tmp_path / "m" / "card.md").read_text("utf-8")
    assert card.startswith(f"# omnicell: {GENES} genes\n")
    assert f"Huber loss of {lowest:.3f} in 8 cells" in card
    assert not checkpoint_path(tmp_path / "m").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m"]
    model = load_omnicell(bundle, torch.device("cpu"))
    reading = model.reading(section().panel, neighbours=3)
    embedded = model.embed(model.read(section(), reading), reading, np.arange(80))
    assert embedded.shape == (80, 4, 16)


def test_a_seed_decides(tmp_path):
    one, again = (pretrain([source_of(section())], tmp_path / name, QUICK) for name in "ab")
    other = pretrain([source_of(section())], tmp_path / "c", replace(QUICK, seed=6))
    assert same(one, again)
    assert not same(one, other)


@pytest.mark.parametrize("stage", ["spatial", "both"])
def test_an_interrupted_training_goes_on_to_the_same_numbers(tmp_path, stage):
    config, sources = replace(QUICK, stage=stage), [source_of(section())]
    whole = pretrain(sources, tmp_path / "whole", config)
    for looks in (1, 2, 4):
        out, context = tmp_path / f"broken {looks}", JobContext()

        def listen(progress: Progress, context: JobContext = context, looks: int = looks) -> None:
            if progress.stage == "training" and progress.done >= 5 * looks:
                context.cancel()

        context.on_progress = listen
        if 5 * looks < 15 or stage == "both":
            with pytest.raises(JobCancelled):
                pretrain(sources, out, config, context=context)
            stopped = load_bundle(out)
            assert stopped.training["stopped"] == "cancelled"
            met = stage == "spatial" or looks == 4  # neighbours are read in the second stage
            assert stopped.preprocessing["neighbors"] == (3 if met else 0)
            assert ("spatial" in stopped.training["stages"]) == met
            again = pretrain(sources, out, config, resume=True)
            assert same(again, whole)
            assert again.training["history"] == whole.training["history"]


def test_cells_alone_and_a_file_on_disk(tmp_path):
    path = as_h5ad(section(), tmp_path / "s.h5ad")
    from_disk = pretrain([h5ad_source(path)], tmp_path / "disk", QUICK)
    assert same(from_disk, pretrain([source_of(section())], tmp_path / "memory", QUICK))
    alone = pretrain([source_of(section().cells)], tmp_path / "alone", QUICK)
    assert alone.training["stages"] == ["cells"]
    with pytest.raises(ArgumentError, match="coordinates"):
        pretrain([source_of(section().cells)], tmp_path / "x", replace(QUICK, stage="both"))


def test_blocks_and_choices_of_a_file(tmp_path, monkeypatch):
    given = section()
    sides = ["left" if x < 50 else "right" for x in given.xy[:, 0]]
    path = as_h5ad(given, tmp_path / "s.h5ad", side=sides)
    monkeypatch.setattr("tagscope.io.cell_source._BLOCK", 7 * GENES)
    source = h5ad_source(path, where='side == "left"', sections="side")
    blocks = list(source.blocks())
    kept = np.array(sides) == "left"
    assert len(blocks) > 3
    np.testing.assert_array_equal(sp.vstack(blocks).toarray(), given.cells.values[kept].toarray())
    np.testing.assert_allclose(source.xy, given.xy[kept])
    assert set(source.pieces) == {0}
    assert source.unit == "µm"
    with pytest.raises(ArgumentError, match="layer"):
        h5ad_source(path, layer="counts")


def test_ranks_of_a_file_are_mapped_and_not_loaded(tmp_path):
    source = h5ad_source(as_h5ad(section(), tmp_path / "s.h5ad"))
    panel = genes_of(source, None, GENES, JobContext())
    (tmp_path / "scratch").mkdir()
    mapped = values_of(source, panel, ranked, tmp_path / "scratch", JobContext())
    loaded = values_of(source, panel, ranked, None, JobContext())
    assert isinstance(mapped.values, np.memmap)
    assert mapped.digest == loaded.digest
    rows = np.array([7, 3, 3, 79])
    wanted = soft_ranks(section().cells.restrict(panel).values[rows])
    for ranks in (mapped, loaded):
        np.testing.assert_array_equal(ranks.take(rows).toarray(), wanted.toarray())


def test_cells_held_out_are_never_learned_from(tmp_path):
    source = source_of(section())
    panel = genes_of(source, None, GENES, JobContext())
    held = held_out(80, 0.5, 30, 0)
    assert held.sum() == 30
    ranks = values_of(source, panel, ranked, None, JobContext())
    part = part_of(source, ranks, np.arange(GENES + 2), held, 3, 1.0)
    corpus = Corpus((part,))
    assert not set(corpus.training) & set(corpus.validation)
    read, members = sequences(part, corpus.training, alone=False)
    hidden = Masking(1.0, 1.0).draw(
        read, torch.Generator(), asked_about(part, members, training=True)
    )
    assert held[members].any()  # they are seen as neighbours
    assert not hidden[torch.from_numpy(held[members])].any()
    assert hidden[torch.from_numpy(~held[members])].any()


def test_reduced_precision_leaves_weights_as_they_are(tmp_path):
    full, reduced = (
        pretrain([source_of(section())], tmp_path / kind, replace(QUICK, precision=kind))
        for kind in ("fp32", "bf16")
    )
    assert all(value.dtype == torch.float32 for value in reduced.state().values())
    assert reduced.training["validation_loss"] == pytest.approx(
        full.training["validation_loss"], rel=0.05
    )


def test_negative_values_are_refused(tmp_path):
    given = section()
    given.cells.values.data -= 2
    with pytest.raises(InputError, match="negative"):
        pretrain([source_of(given)], tmp_path / "m", QUICK)


def test_several_sections_and_the_genes_that_vary_most(tmp_path):
    sections = [section(), section(60, seed=1)]
    bundle = pretrain([source_of(one) for one in sections], tmp_path / "m", QUICK)
    assert len(bundle.panel) == GENES
    assert bundle.training["cells"] == {"training": 126, "validation": 14}
    fewer = pretrain([source_of(sections[0])], tmp_path / "f", replace(QUICK, most_genes=5))
    assert len(fewer.panel) == 5


def test_it_goes_on_from_a_bundle(tmp_path):
    first = pretrain([source_of(section())], tmp_path / "a", replace(QUICK, epochs=8))
    part = section().cells.panel.take(list(range(4, 12)))
    fewer = Section(section(seed=1).cells.restrict(part), section(seed=1).xy)
    second = pretrain([source_of(fewer)], tmp_path / "b", replace(QUICK, epochs=1), init=first)
    assert second.panel == first.panel
    assert second.training["provenance"]["inputs"]["init_digest"] == first.digest
    anew = pretrain([source_of(fewer)], tmp_path / "c", replace(QUICK, epochs=1))
    assert second.training["validation_loss"] < anew.training["validation_loss"]
    stranger = Cells(fewer.cells.values, GenePanel(tuple("ABCDEFGH")), fewer.ids)
    with pytest.raises(InputError, match="knows none"):
        pretrain([source_of(stranger)], tmp_path / "d", QUICK, init=first)


def test_what_exists_is_not_replaced_unasked(tmp_path):
    (tmp_path / "m").mkdir()
    with pytest.raises(OutputError, match="exists"):
        pretrain([source_of(section())], tmp_path / "m", QUICK)


def test_other_settings_are_not_resumed(tmp_path):
    context = JobContext(lambda p: context.cancel() if p.partial else None)
    with pytest.raises(JobCancelled):
        pretrain([source_of(section())], tmp_path / "m", QUICK, context=context)
    with pytest.raises(ArgumentError, match="other"):
        pretrain([source_of(section())], tmp_path / "m", replace(QUICK, neighbors=2), resume=True)


def test_the_papers_network_and_schedule():
    recipe = pretrain_recipe_of(PretrainConfig(preset="paper"))
    assert recipe.network == OmniCellConfig()
    assert (recipe.batch_size, recipe.betas, recipe.clip_norm) == (3200, (0.9, 0.99), 1.0)
    assert recipe.stages == ("spatial", "cells")
    assert pretrain_recipe_of(PretrainConfig(stage="both")).stages == ("cells", "spatial")
    assert recipe.rate(0, 100) == pytest.approx(1e-6)
    assert recipe.rate(99, 100) == pytest.approx(5e-7)
    assert recipe.weight_decay == 0.01


def test_neighbours_are_those_asked_for_or_of_the_model_gone_on_from_or_of_the_preset():
    small, paper, asked = (
        PretrainConfig(), PretrainConfig(preset="paper"), PretrainConfig(neighbors=2)
    )  # fmt: skip
    assert [pretrain_recipe_of(one).neighbors for one in (small, paper, asked)] == [4, 9, 2]
    assert [pretrain_recipe_of(one, 7).neighbors for one in (small, paper, asked)] == [7, 7, 2]
    assert pretrain_recipe_of(small, 0).neighbors == 4  # that one has learned from cells alone


@pytest.mark.parametrize(
    "wrong", [{"preset": "large"}, {"stage": "x"}, {"epochs": 0}, {"validation": 1.0}, {"seed": -1}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        PretrainConfig(**wrong)
