"""CellPatch as a person runs it: labels, attention, embeddings, pretraining."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from anndata import read_h5ad

from tagscope import api
from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.training import pretrain_recipe

QUICK = ("--model", "cellpatch", "--epochs", 2, "--device", "cpu")


@pytest.fixture(scope="module")
def cellpatch(sample_data: Path, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("cellpatch") / "bundle"
    config = api.TrainConfig(folds=1, epochs=2, device="cpu")
    network = api.network_for(config, "cellpatch", patches=8)
    reference = sample_data / "reference.h5ad"
    api.train(reference, "cell_type", "cellpatch", out=out, config=config, model_config=network)
    return out


def test_training_says_how_well(tagscope, sample_data, tmp_path):
    out = tmp_path / "bundle"
    ran = tagscope("train", sample_data / "reference.h5ad", "--label", "cell_type", *QUICK,
                   "--folds", 1, "--patches", 4, "--recipe", "paper", "--out", out)  # fmt: skip
    assert ran.code == 0, ran.err
    assert "cellpatch: " in ran.out
    record = json.loads(tagscope("info", out).out)
    assert record["config"]["patches"] == 4
    assert record["preprocessing"]["steps"] == "rounded"
    assert record["capabilities"] == ["annotate", "embed", "gene_scores"]


def test_labels_attention_and_tags(tagscope, section, cellpatch, tmp_path):
    out = tmp_path / "out.h5ad"
    ran = tagscope("annotate", section, "--bundle", cellpatch, "--attention", "--out", out)
    assert ran.code == 0, ran.err
    written = read_h5ad(out)
    assert {"cellpatch", "cellpatch_confidence", "cellpatch_novelty"} <= set(written.obs)
    assert written.obsm["X_cellpatch"].shape == (60, 100)
    ran = tagscope("tags", out, "--key", "cellpatch", "--out", tmp_path / "tags.csv")
    assert ran.code == 0, ran.err
    ran = tagscope(
        "faithfulness",
        out,
        "--bundle",
        cellpatch,
        "--key",
        "cellpatch",
        "--cells-per-type",
        2,
        "--draws",
        1,
        "--out",
        tmp_path / "report.csv",
    )
    assert ran.code == 0, ran.err
    ran = tagscope("check", section, "--bundle", cellpatch)
    assert "estimate" in ran.out


def test_pretraining_and_what_goes_on_from_it(
    tagscope, section, sample_data, tmp_path, monkeypatch
):
    network = CellPatchConfig(width=8, patches=4, layers=1, projection=2)
    monkeypatch.setitem(pretrain_recipe._SMALL_PATCHES, "network", network)
    first = tmp_path / "first"
    ran = tagscope("pretrain", section, *QUICK, "--out", first)
    assert ran.code == 0, ran.err
    assert "54 cells (cells)" in ran.out
    ran = tagscope("embed", section, "--bundle", first, "--out", tmp_path / "embedded.h5ad")
    assert ran.code == 0, ran.err
    assert read_h5ad(tmp_path / "embedded.h5ad").obsm["X_cellpatch"].shape == (60, 4 * 2)
    ran = tagscope("train", sample_data / "reference.h5ad", "--label", "cell_type", *QUICK,
                   "--folds", 1, "--init", first, "--out", tmp_path / "labels")  # fmt: skip
    assert ran.code == 0, ran.err
    ran = tagscope("pretrain", section, *QUICK, "--neighbors", 3, "--out", tmp_path / "no")
    assert ran.code == 2
    assert "--neighbors" in ran.err


def test_patches_and_their_gene_sets(tagscope, section, cellpatch, tmp_path):
    out = tmp_path / "patches"
    ran = tagscope("patches", section, "--bundle", cellpatch, "--top", 6, "--device", "cpu",
                   "--out", out)  # fmt: skip
    assert ran.code == 0, ran.err
    assert "8 patches of network 0 (of 1) over" in ran.out
    programs = pd.read_csv(out / "patch_programs.csv")
    assert programs.groupby("patch").size().tolist() == [6] * 8
    labels = api.annotate(section, cellpatch, api.AnnotateConfig(device="cpu")).annotation
    types = pd.read_csv(out / "patch_by_type.csv")
    assert set(types["group"]) == {name for name, _ in labels.counts()}
    again = api.patches(section, cellpatch, api.PatchConfig(top=6, device="cpu"), by=labels)
    pd.testing.assert_frame_equal(programs, again.programs, rtol=1e-4, check_dtype=False)
    sets = tmp_path / "sets.gmt"
    sets.write_text("first\t\t" + "\t".join(programs["gene"].head(5)) + "\n")
    ran = tagscope("enrich", out / "patch_programs.csv", "--gene-sets", sets,
                   "--out", tmp_path / "enriched.csv")  # fmt: skip
    assert ran.code == 0, ran.err
    assert pd.read_csv(tmp_path / "enriched.csv").iloc[0][["patch", "overlap"]].tolist() == [0, 5]


def test_patches_are_of_cellpatch_and_of_groups(tagscope, section, cellpatch, bundle, tmp_path):
    out = tmp_path / "patches"
    ran = tagscope("patches", section, "--bundle", bundle, "--out", out)
    assert (ran.code, out.exists()) == (2, False)
    assert "Patches are CellPatch's" in ran.err
    ran = tagscope("patches", section, "--bundle", cellpatch, "--by", "nothing", "--out", out)
    assert ran.code == 2
    assert "--by" in ran.err


def test_gene_embeddings_are_the_tokens(tagscope, section, cellpatch, tmp_path):
    out = tmp_path / "genes"
    ran = tagscope("genes", section, "--bundle", cellpatch, "--out", out, "--nearest", "Nothing1")
    assert ran.code == 2
    assert "'Nothing1' is not among" in ran.err
    gene = api.open_section(section).section.panel.symbols[3]
    ran = tagscope("genes", section, "--bundle", cellpatch, "--out", out, "--overwrite",
                   "--nearest", gene)  # fmt: skip
    assert ran.code == 0, ran.err
    assert f"like {gene}: " in ran.out
    found = pd.read_parquet(out / "embeddings.parquet")
    loaded = api.load_bundle(cellpatch)
    weights = loaded.state()["genes.weight"].numpy()
    row = loaded.panel.position(gene)
    assert (found.loc[gene].to_numpy() == weights[row]).all()
    places = pd.read_csv(out / "map.csv")
    assert places["gene"].tolist() == found.index.tolist()
    assert (out / "map.png").stat().st_size
    ran = tagscope("genes", section, "--bundle", cellpatch, "--label", "cell_type",
                   "--out", tmp_path / "other")  # fmt: skip
    assert ran.code == 2
    assert "without --label" in ran.err
