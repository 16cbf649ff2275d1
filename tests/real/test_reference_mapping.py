"""A query mapped onto a reference: mouse hypothalamus, animal 1 onto animal 7, MERFISH.

The reference lacks ependymal cells and astrocytes, so that the query has unseen types.
"""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from tagscope import api
from tagscope.cli.main import main
from tagscope.core.reliability import expected_calibration_error, reliability_curve
from tagscope.errors import ArgumentError
from tagscope.models.calibration import fit_temperature, negative_log_likelihood, softmax
from tagscope.models.device import choose_device
from tagscope.models.novelty import NoveltyModel
from tagscope.models.registry import load_model
from tagscope.training.recipe import recipe_of
from tagscope.training.splits import splits

GONE = ("Ependymal", "Astrocyte")
CONFIG = api.TrainConfig(folds=1, epochs=8, batch_size=16, learning_rate=3e-3, device="cpu")


@pytest.fixture(scope="module")
def mapped(shared, tmp_path_factory):
    """A small network, and the two animals annotated with it: paths."""
    folder = tmp_path_factory.mktemp("mapped")
    table = ad.read_h5ad(shared / "data/annotation/merfish_hypothalamus_3samples.h5ad")
    rng = np.random.default_rng(0)
    animal = table.obs["animal"].astype(str).to_numpy()
    known = ~table.obs["cell_type"].isin(GONE).to_numpy()
    rows = {
        "reference": rng.choice(np.flatnonzero((animal == "7") & known), 900, replace=False),
        "query": rng.choice(np.flatnonzero(animal == "1"), 600, replace=False),
    }
    neuron = table.obs["cell_type"].isin(["Excitatory", "Inhibitory"])
    oligo = table.obs["cell_type"].astype(str).str.startswith("OD")
    table.obs["class"] = np.select([neuron, oligo], ["neuron", "oligodendrocyte"], "other")
    for name, chosen in rows.items():
        table[np.sort(chosen)].to_memory().write_h5ad(folder / f"{name}.h5ad")
    bundle = api.train(
        folder / "reference.h5ad", "cell_type", out=folder / "model", config=CONFIG,
        model_config=api.CellMemoryConfig(width=32, ffn=64, layers=2, slots=4, encoding="round"),
    )  # fmt: skip
    for name in rows:
        out = folder / f"{name}_annotated.h5ad"
        api.annotate(folder / f"{name}.h5ad", bundle, api.AnnotateConfig(device="cpu"), out=out)
    return SimpleNamespace(
        folder=folder, bundle=folder / "model", raw=folder / "reference.h5ad",
        query=folder / "query_annotated.h5ad", reference=folder / "reference_annotated.h5ad",
    )  # fmt: skip


@pytest.fixture(scope="module")
def held_out(mapped):
    """Training and held-out rows of the reference; embedding and logits of all cells."""
    reference = api.read_reference(mapped.raw, "cell_type")
    uncalibrated = replace(api.load_bundle(mapped.bundle), calibration={})
    model = load_model(uncalibrated, choose_device("cpu"))
    tokens = model.tokenise(reference.cells)
    said = model(tokens.batch(np.arange(len(reference))))
    (part,) = splits(reference.codes, recipe_of(CONFIG), CONFIG.validation, CONFIG.seed)
    return SimpleNamespace(
        rows=part.training, held=part.validation, codes=reference.codes,
        embedding=said.embedding.numpy(), logits=said.logits.numpy(),
    )  # fmt: skip


def test_groups_of_the_query_are_nearest_to_their_own_type(mapped, tmp_path, capsys):
    out = tmp_path / "distances"
    words = ["distances", mapped.query, "--reference", mapped.reference, "--by", "cell_type",
             "--label", "cell_type", "--out", out, "--bootstraps", "50"]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    assert "nearest" in capsys.readouterr().out
    groups = pd.read_csv(out / "groups.csv", index_col="group")
    common = groups[(groups["cells"] >= 20) & ~groups.index.isin(GONE)]
    assert len(common) >= 4
    assert (common["nearest"] == common.index).mean() >= 0.75
    assert set(GONE) <= set(groups.index)
    assert not set(GONE) & set(pd.read_csv(out / "types.csv")["type"])


def test_a_reference_without_embedding_is_embedded_with_the_bundle(mapped):
    chosen = {"by": "cell_type", "label": "cell_type", "config": api.DistanceConfig(bootstraps=2)}
    annotated = api.distances(mapped.query, mapped.reference, **chosen)
    embedded = api.distances(mapped.query, mapped.raw, bundle=mapped.bundle, **chosen)
    np.testing.assert_allclose(embedded.matrix(), annotated.matrix(), atol=1e-4)
    with pytest.raises(ArgumentError, match="give the bundle"):
        api.distances(mapped.query, mapped.raw, **chosen)
    with pytest.raises(ArgumentError, match="not both"):
        api.distances(mapped.query, mapped.raw, bundle=mapped.bundle, embedding="X_pca", **chosen)
    with pytest.raises(ArgumentError, match="'nobody'"):
        api.distances(mapped.query, mapped.raw, by="nobody", label="cell_type")


@pytest.mark.slow
def test_query_and_reference_are_scored_together(mapped):
    pytest.importorskip("jax")
    report = api.integration(mapped.query, mapped.reference, label="class")
    assert report.cells_per_batch == {"query": 600, "reference": 900}
    assert report.n_types == 3
    assert 0.4 < report.total < 1
    assert report.metrics.loc["cLISI", "value"] > 0.7


def test_evaluate_scores_integration_where_asked_to(mapped, tmp_path, capsys, monkeypatch):
    pytest.importorskip("jax")
    scored = []

    def one(_library, cells, _seed):
        scored.append(cells)
        return {"one": ("biology", lambda: 1.0), "nil": ("batch", lambda: 0.0)}

    monkeypatch.setattr("tagscope.evaluation.integration._measures", one)
    out = tmp_path / "evaluation"
    words = ["evaluate", mapped.query, "--prediction", "cellmemory", "--truth", "cell_type",
             "--reference", mapped.raw, "--bundle", mapped.bundle, "--cells", "700",
             "--out", out]  # fmt: skip
    assert main([str(word) for word in words]) == 0, capsys.readouterr().err
    assert "integration of 700 cells" in capsys.readouterr().out
    said = json.loads((out / "integration.json").read_text())
    assert set(said["cells_per_batch"]) == {"query", "reference"}
    assert (said["cells_labelled"], said["total"]) == (1500, 0.6)
    assert (out / "reliability.png").is_file()
    assert scored[0].expression.values.shape == (700, 135)


def test_a_batch_of_the_query_alone_needs_two(mapped, capsys):
    words = ["evaluate", mapped.query, "--prediction", "cellmemory", "--truth", "cell_type"]
    assert main([str(word) for word in [*words, "--batch", "animal"]]) == 2
    assert "one batch" in capsys.readouterr().err


def test_a_temperature_fitted_on_held_out_cells_serves_others(held_out):
    first, second = held_out.held[::2], held_out.held[1::2]
    logits, codes = held_out.logits, held_out.codes
    found = fit_temperature(logits[first], codes[first])
    plain = negative_log_likelihood(logits[second], codes[second])
    assert negative_log_likelihood(logits[second], codes[second], found) < plain

    def error(temperature):
        odds = softmax(logits[second], temperature)
        return expected_calibration_error(
            reliability_curve(odds.max(axis=1), odds.argmax(axis=1) == codes[second])
        )

    assert error(found) < error(1.0)


def test_unseen_types_are_more_novel(mapped, held_out):
    embedding, codes = held_out.embedding, held_out.codes
    model = NoveltyModel.fit(
        embedding[held_out.rows], codes[held_out.rows], embedding[held_out.held]
    )
    assert (model.score(embedding[held_out.held]) > 0.9).mean() == pytest.approx(0.1, abs=0.02)
    query = api.read_table(mapped.query)
    unseen = query.obs["cell_type"].isin(GONE).to_numpy()
    novelty = model.score(query.obsm["X_cellmemory"])
    doubt = 1 - query.obs["cellmemory_confidence"].to_numpy()
    assert unseen.sum() > 50
    assert roc_auc_score(unseen, novelty) > max(0.8, roc_auc_score(unseen, doubt))
