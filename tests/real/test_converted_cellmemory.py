"""Checkpoints as the original CellMemory leaves them, run through the public verbs."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

import tagscope as ts
from tagscope.cli.main import main
from tagscope.errors import InputError

CASES = {"cellmemory_fast": "hypo_fast", "cellmemory_full": "mpfc_full"}
EVERYTHING = ts.AnnotateConfig(attention=True, slots=True, device="cpu")
# Those of the reference numbers' own account: logits and CLS, probabilities, scores, TAG ties.
CLOSE = {"atol": 1e-4, "rtol": 1e-4}
PROBABILITY, SCORE, TIE = 2e-5, 5e-6, 1e-7


@dataclass(frozen=True)
class Case:
    """One project, converted and run on the query it came with."""

    folder: Path
    project: Path
    section: Path
    settings: dict[str, Any]
    expected: dict[str, np.ndarray]
    bundle: ts.Bundle
    result: ts.AnnotationResult
    annotated: Path


def placed(query: Path, out: Path) -> Path:
    """The query with coordinates, which it lacks and a section has."""
    table = ad.read_h5ad(query)
    table.obsm["spatial"] = np.column_stack((np.arange(table.n_obs) * 10.0, np.zeros(table.n_obs)))
    table.write_h5ad(out)
    return out


@pytest.fixture(scope="module", params=CASES)
def case(request, shared: Path, tmp_path_factory) -> Case:
    folder = shared / "parity" / "e2e" / request.param
    out = tmp_path_factory.mktemp(request.param)
    section = placed(folder / "query.h5ad", out / "section.h5ad")
    bundle = ts.convert(folder / CASES[request.param], out=out / "bundle")
    result = ts.annotate(section, bundle, EVERYTHING, out=out / "annotated.h5ad", normalised=True)
    return Case(
        folder, folder / CASES[request.param], section,
        json.loads((folder / "settings.json").read_text()),
        load_file(folder / "expected" / "expected.safetensors"),
        bundle, result, out / "annotated.h5ad",
    )  # fmt: skip


def test_what_was_read_is_recorded(case: Case) -> None:
    inputs = case.result.provenance.inputs
    assert inputs["values"] == "log-normalised"
    assert inputs["bundle_digest"] == case.bundle.digest


def dense(matrix: Any) -> np.ndarray:
    return np.asarray(matrix.todense())


def test_sizes_are_read_from_the_checkpoint(case: Case) -> None:
    config, settings = case.bundle.config, case.settings
    assert config["mode"] == {"fast": "expressed", "full": "full"}[settings["mode"]]
    for ours, theirs in {
        "width": "h_dim", "ffn": "ffn_dim", "heads": "num_heads", "slots": "mem_slots",
        "layers": "num_layers", "max_bin": "max_bin",
    }.items():  # fmt: skip
        assert config[ours] == settings[theirs]
    assert (config["encoding"], config["compat"]) == ("bins", "published")
    assert len(case.bundle.panel) == settings["genes"]
    assert len(case.bundle.labels) == settings["classes"]
    record = case.bundle.training
    assert record["provenance"]["verb"] == "convert"
    assert len(record["converted"]["sha256"]) == 64
    assert f"converted from {case.project.name}_ckpt.pth (epoch " in case.bundle.to_text()


def test_labels_probabilities_and_embedding(case: Case) -> None:
    annotation, expected = case.result.annotation, case.expected
    np.testing.assert_allclose(annotation.embedding, expected["cls"], **CLOSE)
    np.testing.assert_allclose(
        annotation.probabilities, expected["probabilities"], atol=PROBABILITY, rtol=0
    )
    best = np.sort(expected["probabilities"], axis=1)
    told = pd.read_csv(case.folder / "expected" / "labels.csv", index_col=0)
    plain = best[:, -1] - best[:, -2] > 1e-4
    assert plain.sum() > 290
    np.testing.assert_array_equal(annotation.names()[plain], told["cm_pred"].to_numpy()[plain])
    np.testing.assert_allclose(annotation.confidence, told["cm_pred_prob"], atol=6e-5)


def gene_scores(case: Case) -> np.ndarray:
    """Expected scores of genes, each with its own gene."""
    corrected = case.expected.get("gene_scores_corrected")
    return case.expected["gene_scores_upstream"] if corrected is None else corrected


def test_gene_scores(case: Case) -> None:
    found = dense(case.result.gene_scores.scores)
    np.testing.assert_allclose(found, gene_scores(case), atol=SCORE, rtol=0)


def test_slot_scores_of_forty_cells(case: Case) -> None:
    found = np.stack([dense(s[:40]) for s in case.result.slot_scores.scores], axis=2)
    expected = case.expected["slot_scores_first40"]
    if "gene_ids" in case.expected:  # tokens are a cell's expressed genes, from 1, then padding
        genes = case.expected["gene_ids"][:40].astype(int) - 1
        rows, tokens = np.nonzero(genes < len(case.bundle.panel))
        found = found[rows, genes[rows, tokens]]
        expected = expected[rows, tokens]
    assert expected.size > 5000
    np.testing.assert_allclose(found, expected, atol=SCORE, rtol=0)


def test_tags(case: Case) -> None:
    """Genes in the order of their mean score; the original's own table where it is not shifted."""
    found = ts.tags(case.annotated, top=len(case.bundle.panel))
    labels = case.result.annotation.names()
    genes = np.array(case.bundle.panel.symbols)
    assert set(found.frame["group"]) == set(labels)
    for label in np.unique(labels):
        means = gene_scores(case)[labels == label].mean(axis=0, dtype=np.float64)
        rows = found.of(label)
        assert len(rows) == (means > 0).sum()
        by_gene = dict(zip(genes, means, strict=True))
        listed = np.array([by_gene[gene] for gene in rows["gene"]])
        np.testing.assert_allclose(rows["attention"], listed, atol=SCORE)
        assert np.diff(listed).max(initial=0.0) < TIE
        if case.settings["mode"] == "full":
            told = pd.read_csv(case.folder / "expected" / "tag_table.csv")[label]
            assert len(told) == 100
            others = np.array([by_gene[gene] for gene in told])
            differ = told.to_numpy() != rows["gene"].head(100).to_numpy()
            np.testing.assert_allclose(listed[:100][differ], others[differ], atol=TIE, rtol=0)
            assert differ.mean() < 0.05


@pytest.fixture(scope="module")
def fast(shared: Path, tmp_path_factory) -> tuple[Path, Path]:
    folder = shared / "parity" / "e2e" / "cellmemory_fast"
    out = tmp_path_factory.mktemp("fast")
    ts.convert(folder / "hypo_fast", out=out / "bundle")
    return out / "bundle", placed(folder / "query.h5ad", out / "section.h5ad")


def test_padding_is_that_of_all_cells_read(fast: tuple[Path, Path], shared: Path) -> None:
    """Some cells alone are padded less, and answered otherwise, unless the length is given."""
    bundle, section = fast
    folder = shared / "parity" / "e2e" / "cellmemory_fast"
    expected = load_file(folder / "expected" / "expected.safetensors")["probabilities"]
    length = json.loads((folder / "settings.json").read_text())["padded_length"]
    some = {"where": "index < 10", "normalised": True}
    alone = ts.annotate(section, bundle, **some).annotation.probabilities
    assert np.abs(alone - expected[:10]).max() > 1e-3
    config = ts.ConvertConfig(pad_to=length)
    given = ts.convert(folder / "hypo_fast", out=bundle.with_name("padded"), config=config)
    padded = ts.annotate(section, given, **some).annotation.probabilities
    np.testing.assert_allclose(padded, expected[:10], atol=PROBABILITY, rtol=0)


def test_counts_will_do_for_bins(fast: tuple[Path, Path], tmp_path: Path) -> None:
    """Bins see the order of a cell's values alone, so whole numbers in that order do as well."""
    bundle, section = fast
    table = ad.read_h5ad(section)
    for start, end in zip(table.X.indptr[:-1], table.X.indptr[1:], strict=True):
        table.X.data[start:end] = np.unique(table.X.data[start:end], return_inverse=True)[1] + 1
    table.write_h5ad(tmp_path / "counts.h5ad")
    counts = ts.annotate(tmp_path / "counts.h5ad", bundle).annotation
    logged = ts.annotate(section, bundle, normalised=True).annotation
    np.testing.assert_array_equal(counts.probabilities, logged.probabilities)


def test_without_padding(fast: tuple[Path, Path], shared: Path) -> None:
    """The same weights, padding masked, give what each cell gives when it is read alone."""
    bundle, section = fast
    expected = load_file(
        shared / "parity" / "e2e" / "cellmemory_fast" / "expected" / "no_padding.safetensors"
    )
    loaded = ts.load_bundle(bundle)
    masked = replace(loaded, config={**loaded.config, "compat": "none"})
    found = ts.annotate(section, masked, EVERYTHING, normalised=True).annotation
    np.testing.assert_allclose(
        found.probabilities, expected["probabilities_no_padding"], atol=PROBABILITY, rtol=0
    )
    padded = ts.annotate(section, bundle, normalised=True).annotation
    assert (found.codes != padded.codes).sum() == 12


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_from_the_command_line(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared / "parity" / "e2e" / "cellmemory_full"
    bundle, out = tmp_path / "bundle", tmp_path / "annotated.h5ad"
    code, said, _ = run(capsys, "convert", folder / "mpfc_full", "--mode", "full", "--out", bundle)
    assert code == 0
    assert "15 labels, 166 genes; converted from mpfc_full_ckpt.pth" in said
    section = placed(folder / "query.h5ad", tmp_path / "section.h5ad")
    asked = ("annotate", section, "--bundle", bundle, "--out", out, "--attention")
    code, _, error = run(capsys, *asked)
    assert code == 1
    assert "--normalised" in error
    assert run(capsys, *asked, "--normalised")[0] == 0
    assert run(capsys, "tags", out, "--out", tmp_path / "tags.csv")[0] == 0
    told = pd.read_csv(folder / "expected" / "labels.csv", index_col=0)["cm_pred"]
    assert (ad.read_h5ad(out).obs["cellmemory"].astype(str) == told).mean() > 0.99


def test_another_query(shared: Path, tmp_path: Path, fast: tuple[Path, Path]) -> None:
    """Cells of the same panel that came without a reference; coordinates must be added."""
    query = shared / "data" / "queries" / "cellmemory_full_query.h5ad"
    with pytest.raises(InputError, match="no coordinates"):
        ts.annotate(query, fast[0], normalised=True)
    section = placed(query, tmp_path / "section.h5ad")
    assert ts.check(section, fast[0], normalised=True).ok
    found = ts.annotate(section, fast[0], normalised=True).annotation
    assert len(found.ids) == 257
    assert len(found.counts()) > 3
    assert found.confidence.mean() > 0.5
