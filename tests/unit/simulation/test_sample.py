"""The sample in the repository is what the simulator makes now, small, and of honest difficulty."""

from __future__ import annotations

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import spatialdata
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from tagscope.simulation import SimulateConfig, simulate_tissue
from tagscope.simulation.write import reference_table, section_store

LARGEST = 5_000_000  # bytes
MOST_FILES = 100


@pytest.fixture(scope="module")
def truth(sample_data):
    return json.loads((sample_data / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def section(sample_data):
    return spatialdata.read_zarr(sample_data / "section.zarr")


@pytest.fixture(scope="module")
def reference(sample_data):
    return ad.read_h5ad(sample_data / "reference.h5ad")


def test_the_sample_is_what_the_simulator_makes_now(sample_data, truth, section, reference):
    made = simulate_tissue(SimulateConfig(cells=3000, seed=7))
    assert truth == made.truth()
    store, labelled = section_store(made), reference_table(made)
    for kept, new in ((section["table"], store["table"]), (reference, labelled)):
        assert np.array_equal(kept.X.toarray(), new.X.toarray())
        assert kept.var.equals(new.var)
        pd.testing.assert_frame_equal(kept.obs, new.obs, check_dtype=False, check_categorical=False)
    assert section["table"].obsm["spatial"] == pytest.approx(store["table"].obsm["spatial"])
    assert section["transcripts"].compute().equals(store["transcripts"].compute())
    kept, new = section["cell_boundaries"].geometry, store["cell_boundaries"].geometry
    assert kept.geom_equals_exact(new, tolerance=1e-6).all()
    assert np.array_equal(section["morphology"].values, store["morphology"].values)


def test_the_sample_says_how_it_was_made(sample_data, truth):
    parameters = truth["parameters"]
    command = f"--cells {parameters['cells']} --seed {parameters['seed']}"
    assert command in (sample_data / "README.md").read_text(encoding="utf-8")
    given = SimulateConfig(cells=parameters["cells"], seed=parameters["seed"])
    assert given == SimulateConfig(**parameters)


def test_the_sample_is_small(sample_data):
    files = [path for path in sample_data.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LARGEST
    assert len(files) <= MOST_FILES


def test_logistic_regression_finds_most_types_and_doubts_the_unseen(section, reference, truth):
    """Baseline: shared genes, reference's median total, log1p, z-scores of the reference."""
    table = section["table"]
    genes = [gene for gene in table.var_names if gene in set(reference.var_names)]
    query, known = table[:, genes].X.toarray(), reference[:, genes].X.toarray()
    depth = np.median(known.sum(axis=1))
    query, known = (
        np.log1p(x / np.maximum(x.sum(axis=1, keepdims=True), 1) * depth) for x in (query, known)
    )
    mean, spread = known.mean(axis=0), known.std(axis=0) + 1e-9
    query, known = (np.clip((x - mean) / spread, -10, 10) for x in (query, known))
    model = LogisticRegression(C=0.1, max_iter=500).fit(
        known, reference.obs["cell_type"].astype(str)
    )
    chances = model.predict_proba(query)
    types = table.obs_names.map(truth["types"]).to_numpy()
    unseen = np.isin(types, truth["unseen_types"])
    right = model.classes_[chances.argmax(axis=1)] == types
    assert 0.85 <= right[~unseen].mean() <= 0.95
    assert roc_auc_score(unseen, -chances.max(axis=1)) > 0.8
