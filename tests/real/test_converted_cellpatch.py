"""Checkpoints as the original CellPatch leaves them, run through the public verbs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import scanpy as sc
import torch
from safetensors.torch import load_file
from torch import Tensor

import tagscope as ts
from tagscope.cli.main import main
from tagscope.errors import ArgumentError, InputError
from tagscope.models.base import Capability
from tagscope.models.bundle import save_bundle

CPU = ts.EmbedConfig(device="cpu")
FEATURES, LABELS = 64, 50  # cells of a batch, when the numbers were made


@dataclass(frozen=True)
class Case:
    """The folder, what the original said, and its query as it filters cells and genes."""

    folder: Path
    expected: dict[str, Tensor]
    names: dict[str, list[str]]
    query: Path
    labels: Path


@pytest.fixture(scope="module")
def case(shared: Path, tmp_path_factory) -> Case:
    folder, own = shared / "parity" / "e2e" / "cellpatch_small", tmp_path_factory.mktemp("case")
    names = json.loads((folder / "expected" / "names.json").read_text())
    query = ad.read_h5ad(folder / "query.h5ad")
    sc.pp.filter_cells(query, min_genes=200)
    sc.pp.filter_genes(query, min_cells=3)
    assert list(query.obs_names) == names["cells"]
    query.obsm["spatial"] = np.zeros((len(query), 2))
    query.write_h5ad(own / "query.h5ad")
    (own / "labels.txt").write_text("\n".join(names["classes"]))
    expected = load_file(folder / "expected" / "expected.safetensors")
    return Case(folder, expected, names, own / "query.h5ad", own / "labels.txt")


@pytest.fixture(scope="module")
def pretrained(case, tmp_path_factory) -> ts.Bundle:
    out = tmp_path_factory.mktemp("pretrained") / "bundle"
    return ts.convert(case.folder / "checkpoint.pth", out=out, padded_together=FEATURES)


@pytest.fixture(scope="module")
def annotator(case, tmp_path_factory) -> ts.Bundle:
    out = tmp_path_factory.mktemp("annotator") / "bundle"
    checkpoint = case.folder / "annotator_state.pth"
    return ts.convert(checkpoint, out=out, labels=case.labels, padded_together=LABELS)


def masked(bundle: ts.Bundle, out: Path) -> ts.Bundle:
    """The same weights without padding in attention."""
    kept = {
        name: getattr(bundle, name)
        for name in ("model", "panel", "labels", "preprocessing", "capabilities", "training")
    }
    return save_bundle(
        out, config={**bundle.config, "compat": "none"}, state=bundle.state(), **kept
    )


def close(ours: np.ndarray, theirs: Tensor) -> None:
    np.testing.assert_allclose(ours.reshape(theirs.shape), theirs.numpy(), atol=2e-5, rtol=1e-4)


def test_embeddings_are_the_published_patch_features(case, pretrained, tmp_path):
    found = ts.embed(case.query, pretrained, CPU)
    assert found.key == "cellpatch"
    close(found.values, case.expected["patch_features"])
    alone = ts.embed(case.query, masked(pretrained, tmp_path / "masked"), CPU)
    close(alone.values, case.expected["patch_features_no_padding"])


def test_batches_change_nothing(case, pretrained):
    whole = ts.embed(case.query, pretrained, CPU).values
    few = ts.embed(case.query, pretrained, replace(CPU, batch_size=7)).values
    np.testing.assert_allclose(few, whole, atol=1e-5)


def test_labels_are_the_published_ones(case, annotator, tmp_path):
    config = ts.AnnotateConfig(device="cpu")
    query = ts.open_section(case.query)
    found = ts.annotate(query, annotator, config).annotation
    close(found.probabilities, case.expected["annotator_logits"].softmax(dim=1))
    assert found.labels.names == tuple(case.names["classes"])
    alone = ts.annotate(query, masked(annotator, tmp_path / "masked"), config).annotation
    close(alone.probabilities, case.expected["annotator_logits_no_padding"].softmax(dim=1))


def test_values_that_are_normalised_already(case, annotator, tmp_path):
    """The original's own preprocessed matrix, over the genes that its dictionary has."""
    query = ad.read_h5ad(case.folder / "query_annotator.h5ad")
    query.obsm["spatial"] = np.zeros((len(query), 2))
    query.write_h5ad(tmp_path / "query.h5ad")
    config = ts.AnnotateConfig(device="cpu")
    found = ts.annotate(tmp_path / "query.h5ad", annotator, config, normalised=True).annotation
    close(found.probabilities, case.expected["annotator_logits"].softmax(dim=1))


def test_gene_scores_are_shares_of_attention(case, annotator, tmp_path):
    config = ts.AnnotateConfig(device="cpu", attention=True)
    bundle = masked(annotator, tmp_path / "masked")
    scores = ts.annotate(ts.open_section(case.query), bundle, config).gene_scores
    assert scores is not None
    sums = np.asarray(scores.scores.sum(axis=1)).ravel()
    np.testing.assert_allclose(sums, 1.0, atol=1e-4)


def test_what_bundles_can_do_and_hold(case, pretrained, annotator):
    assert pretrained.capabilities == {Capability.EMBED}
    assert Capability.ANNOTATE in annotator.capabilities
    assert pretrained.training["converted"]["epoch"] == 3
    weights = torch.load(case.folder / "checkpoint.pth", weights_only=True)["model_state_dict"]
    rows = len(weights["module.gene2vector.weight"])
    spare = pretrained.state()["spare"]
    assert len(spare) == rows - len(pretrained.panel) - 1
    assert torch.equal(spare, weights["module.gene2vector.weight"][-len(spare) :])


def test_the_commands(case, tmp_path, capsys):
    out = tmp_path / "bundle"
    words = ["convert", case.folder / "annotator_state.pth", "--labels", case.labels, "--out", out]
    assert main([str(word) for word in words]) == 0
    assert "cellpatch: 8 labels, 1626 genes" in capsys.readouterr().out
    words = ["embed", case.query, "--bundle", out, "--out", tmp_path / "embedded.h5ad"]
    assert main([str(word) for word in words]) == 0
    found = ad.read_h5ad(tmp_path / "embedded.h5ad").obsm["X_cellpatch"]
    assert found.shape == (len(case.names["cells"]), 100)


def changed(case: Case, folder: Path, change: Callable[[dict[str, Tensor]], object]) -> Path:
    """The checkpoint's folder with other weights."""
    folder.mkdir()
    for name in ("args.json", "gene2tok.json"):
        (folder / name).write_bytes((case.folder / name).read_bytes())
    weights = dict(torch.load(case.folder / "annotator_state.pth", weights_only=True))
    change(weights)
    torch.save(weights, folder / "odd.pth")
    return folder / "odd.pth"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("lp_fc1.weight"), r"1 are missing \(lp_fc1.weight\)"),
        (lambda w: w.update(other=torch.zeros(2)), r"1 are not CellPatch's \(other\)"),
        (lambda w: w.update(pathway_token=torch.zeros(1, 3, 16)), "pathway_token has shape"),
        (lambda w: w["lp_fc2.bias"].fill_(torch.nan), "not tensors of finite numbers"),
        (
            lambda w: w.update({"gene2vector.weight": w["gene2vector.weight"][:300]}),
            "the weights have 300",
        ),
    ],
)
def test_no_weight_is_left_to_chance(case, tmp_path, change, said):
    odd = changed(case, tmp_path / "odd", change)
    with pytest.raises(InputError, match=said):
        ts.convert(odd, out=tmp_path / "bundle", labels=case.labels)
    assert not (tmp_path / "bundle").exists()


def test_what_is_missing_is_named(case, tmp_path):
    out = tmp_path / "bundle"
    with pytest.raises(InputError, match="There is no checkpoint"):
        ts.convert(tmp_path / "nowhere.pth", "cellpatch", out=out)
    with pytest.raises(ArgumentError, match="tell 8 labels, whose names"):
        ts.convert(case.folder / "annotator_state.pth", out=out)
    with pytest.raises(ArgumentError, match="weights without a head"):
        ts.convert(case.folder / "checkpoint.pth", out=out, labels=case.labels)
    (tmp_path / "few.txt").write_text("B\nT\n")
    with pytest.raises(InputError, match="2 names, 2 of them different"):
        ts.convert(case.folder / "annotator_state.pth", out=out, labels=tmp_path / "few.txt")
    with pytest.raises(ArgumentError, match="not those of converting cellpatch: layers"):
        ts.convert(case.folder / "checkpoint.pth", out=out, layers=4)
    alone = tmp_path / "alone.pth"
    alone.write_bytes((case.folder / "checkpoint.pth").read_bytes())
    with pytest.raises(InputError, match=r"has 0 files \*args.json"):
        ts.convert(alone, "cellpatch", out=out)
    assert not out.exists()


def test_what_only_an_omnicell_can_be_asked_for(case, pretrained):
    with pytest.raises(ArgumentError, match="cellpatch was to embed with neighbors, project"):
        ts.embed(case.query, pretrained, replace(CPU, neighbors=4, project=True))
    with pytest.raises(ArgumentError, match="read 1 genes by name"):
        ts.embed(case.query, pretrained, CPU, gene_list=("LYZ",))
