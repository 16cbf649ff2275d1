"""scIB's metrics on blood cells of three technologies, before and after a crude correction."""

from __future__ import annotations

import json
from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

from tagscope.errors import ArgumentError, InputError
from tagscope.evaluation.embedded import embedded_cells, joined
from tagscope.evaluation.integration import IntegrationConfig, score_integration, score_mixing

LABELS = ("B", "Mono_CD14", "T_CD4")


@pytest.fixture(scope="module")
def blood(shared):
    """240 cells of three types and three technologies, with two embeddings."""
    table = ad.read_h5ad(shared / "data/annotation/pbmc_3tech.h5ad")
    table = table[table.obs["cell_type"].isin(LABELS)]
    rows = np.random.default_rng(0).choice(table.n_obs, 240, replace=False)
    table = table[np.sort(rows)].to_memory()
    counts = table.X.toarray()
    values = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    raw = PCA(10, random_state=0).fit_transform(values)
    batch = table.obs["batch"].astype(str).to_numpy()
    table.obsm["X_raw"] = raw.astype(np.float32)
    means = {name: raw[batch == name].mean(axis=0) for name in np.unique(batch)}
    table.obsm["X_centred"] = (raw - [means[name] for name in batch]).astype(np.float32)
    return table


def _cells(table, embedding):
    batch = table.obs["batch"].astype(str).to_numpy()
    return embedded_cells(table, table.obs["cell_type"], embedding=embedding, batch=batch)


@pytest.fixture(scope="module")
def reports(blood):
    pytest.importorskip("jax")
    return {name: score_integration(_cells(blood, f"X_{name}")) for name in ("raw", "centred")}


@pytest.mark.slow
def test_centring_the_batches_is_seen(reports):
    raw, centred = reports["raw"], reports["centred"]
    assert centred.batch > raw.batch + 0.1
    assert centred.total > raw.total
    assert raw.metrics["value"].between(0, 1).all()
    assert raw.metrics["kind"].value_counts().to_dict() == {"biology": 5, "batch": 5}


@pytest.mark.slow
def test_the_aggregates_are_scibs(reports, blood):
    report = reports["centred"]
    values = report.metrics["value"]
    assert report.biology == pytest.approx(values.iloc[:5].mean())
    assert report.batch == pytest.approx(values.iloc[5:].mean())
    assert report.total == pytest.approx(0.6 * report.biology + 0.4 * report.batch)
    silhouette = silhouette_score(blood.obsm["X_centred"], blood.obs["cell_type"])
    assert values["silhouette of labels"] == pytest.approx((silhouette + 1) / 2, abs=1e-4)


@pytest.mark.slow
def test_mixing_needs_no_labels(reports, blood):
    values = reports["raw"].metrics["value"]
    table = blood.copy()
    table.obs["cell_type"] = None
    mixing = score_mixing(_cells(table, "X_raw"))
    assert mixing == pytest.approx({name: values[name] for name in ("iLISI", "PCR comparison")})
    table.obs["batch"] = "3pv1"
    with pytest.raises(ArgumentError, match="one batch"):
        score_mixing(_cells(table, "X_raw"))


@pytest.mark.slow
def test_a_report_is_written_as_json_csv_and_text(reports, tmp_path):
    report = reports["raw"]
    folder = report.write(tmp_path / "integration")
    said = json.loads((folder / "integration.json").read_text())
    assert said["total"] == report.total
    assert said["cells_scored"] == sum(said["cells_per_batch"].values()) == 240
    table = pd.read_csv(folder / "integration.csv", index_col=0)
    assert table.loc["total", "value"] == pytest.approx(report.total, rel=1e-4)
    assert len(table) == 13
    assert f"{report.total:.3f}" in report.to_text()


def test_a_draw_of_cells_follows_the_seed(blood, monkeypatch):
    pytest.importorskip("jax")
    drawn = []

    def nothing(_library, cells, _seed):
        drawn.append(cells.embedding)
        return {"one": ("biology", lambda: 1.0), "nil": ("batch", lambda: 0.0)}

    monkeypatch.setattr("tagscope.evaluation.integration._measures", nothing)
    cells = _cells(blood, "X_raw")
    for seed in (3, 3, 4):
        report = score_integration(cells, IntegrationConfig(cells=120, seed=seed))
        assert (report.n_cells, report.n_labelled, report.total) == (120, 240, 0.6)
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_query_and_reference_are_joined_over_shared_genes(blood):
    query, reference = _cells(blood[:100, :900], "X_raw"), _cells(blood[100:, 600:], "X_raw")
    both = joined(query, reference)
    assert both.expression.values.shape == (240, 300)
    np.testing.assert_array_equal(both.embedding, blood.obsm["X_raw"])
    np.testing.assert_array_equal(both.labels, blood.obs["cell_type"].astype(str))
    narrow = replace(reference, embedding=reference.embedding[:, :4])
    with pytest.raises(ArgumentError, match="widths 10 and 4"):
        joined(query, narrow)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"batch": "3pv1"}, "one batch"),
        ({"cell_type": "B"}, "one label"),
        ({"cell_type": None}, "Only 0 cells"),
    ],
)
def test_nothing_to_integrate_is_refused(blood, change, said):
    table = blood.copy()
    for column, value in change.items():
        table.obs[column] = value
    with pytest.raises(ArgumentError, match=said):
        score_integration(_cells(table, "X_raw"))


def test_labels_that_occur_in_one_batch_each_are_refused(blood):
    table = blood.copy()
    table.obs["cell_type"] = table.obs["batch"].astype(str)
    with pytest.raises(ArgumentError, match="No label occurs in two batches"):
        score_integration(_cells(table, "X_raw"))


def test_an_embedding_that_is_not_there_or_not_finite_is_refused(blood):
    with pytest.raises(ArgumentError, match="X_raw"):
        _cells(blood, "X_absent")
    table = blood.copy()
    table.obsm["X_raw"][3, 0] = np.nan
    with pytest.raises(InputError, match="finite"):
        _cells(table, "X_raw")


def test_without_the_library_the_message_names_the_extra(blood, monkeypatch):
    def absent(name, *args):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("tagscope.evaluation.integration.import_module", absent)
    with pytest.raises(ArgumentError, match=r'pip install "tagscope\[metrics\]"'):
        score_integration(_cells(blood, "X_raw"))
