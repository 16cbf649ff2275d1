"""CellPatch as a person runs it: labels, attention, embeddings, pretraining."""

from __future__ import annotations

import json
from pathlib import Path

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
