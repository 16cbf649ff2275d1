"""train --model omnicell as a person runs it, and what is done with its bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from anndata import read_h5ad

from small_omnicell import small_omnicell
from tagscope import api

QUICK = ("--folds", "1", "--epochs", "12", "--device", "cpu")


@pytest.fixture(scope="module")
def omnicell(sample_data: Path, tmp_path_factory) -> Path:
    panel = api.read_reference(sample_data / "reference.h5ad", "cell_type").cells.panel
    return small_omnicell(tmp_path_factory.mktemp("omnicell") / "small", panel).path


@pytest.fixture(scope="module")
def labels(sample_data: Path, omnicell: Path, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("labels") / "labels"
    config = api.TrainConfig(folds=1, epochs=12, device="cpu")
    api.train(sample_data / "reference.h5ad", "cell_type", "omnicell", out=out, config=config,
              init=omnicell)  # fmt: skip
    return out


def test_training_says_how_well(tagscope, sample_data, omnicell, tmp_path):
    out = tmp_path / "labels"
    ran = tagscope("train", sample_data / "reference.h5ad", "--label", "cell_type", "--model",
                   "omnicell", "--init", omnicell, "--most-genes", 30, *QUICK,
                   "--out", out)  # fmt: skip
    assert ran.code == 0, ran.err
    assert "omnicell: " in ran.out
    assert "30 genes" in ran.out
    assert "logistic regression" in ran.out
    ran = tagscope("info", out)
    assert ran.code == 0
    record = json.loads(ran.out)
    assert record["capabilities"] == ["annotate", "embed"]
    assert record["training"]["provenance"]["inputs"]["init"] == str(omnicell)


def test_a_section_is_annotated_checked_and_embedded(tagscope, section, labels, tmp_path):
    out = tmp_path / "out.h5ad"
    ran = tagscope("annotate", section, "--bundle", labels, "--out", out, "--min-confidence", 0.2)
    assert ran.code == 0, ran.err
    written = read_h5ad(out)
    assert {"omnicell", "omnicell_confidence", "omnicell_novelty"} <= set(written.obs)
    assert written.obsm["X_omnicell"].shape == (60, 16)
    assert "omnicell_attention" not in written.layers
    ran = tagscope("evaluate", out, "--prediction", "omnicell", "--truth", "cell_type")
    assert ran.code == 0, ran.err
    ran = tagscope("check", section, "--bundle", labels)
    assert "of the model's" in ran.out
    assert "estimate" in ran.out
    again = tmp_path / "embedded.h5ad"
    ran = tagscope("embed", section, "--bundle", labels, "--neighbors", 0, "--out", again)
    assert ran.code == 0, ran.err


def test_attention_is_refused(tagscope, section, labels, tmp_path):
    out = tmp_path / "out.h5ad"
    ran = tagscope("annotate", section, "--bundle", labels, "--attention", "--out", out)
    assert ran.code == 2
    assert "cannot give: gene_scores" in ran.err
    assert "without --attention" in ran.err
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--model", "omnicell"), "--init"),
        (("--init", "OMNICELL"), "--model omnicell"),
        (("--model", "omnicell", "--init", "LABELS"), "knows labels already"),
        (("--model", "omnicell", "--init", "CELLMEMORY"), "'cellmemory'"),
        (("--model", "omnicell", "--init", "OMNICELL", "--mode", "full"), "without --mode"),
        (("--model", "omnicell", "--init", "OMNICELL", "--encoding", "bins"), "--encoding"),
        (("--most-genes", "30"), "without --most-genes"),
        (("--model", "omnicell", "--init", "OMNICELL", "--most-genes", "0"), "most_genes"),
    ],
)
def test_what_cannot_be(
    tagscope, sample_data, omnicell, labels, bundle, tmp_path, options, said
):  # fmt: skip
    paths = {"OMNICELL": omnicell, "LABELS": labels, "CELLMEMORY": bundle}
    words = [paths.get(word, word) for word in options]
    ran = tagscope("train", sample_data / "reference.h5ad", "--label", "cell_type", *words,
                   "--out", tmp_path / "m", *QUICK)  # fmt: skip
    assert ran.code == 2, ran.err
    assert said in ran.err
    assert not (tmp_path / "m").exists()


def test_an_omnicell_without_labels_cannot_annotate(tagscope, section, omnicell, tmp_path):
    ran = tagscope("annotate", section, "--bundle", omnicell, "--out", tmp_path / "out.h5ad")
    assert ran.code == 1
    assert "which cannot annotate" in ran.err
