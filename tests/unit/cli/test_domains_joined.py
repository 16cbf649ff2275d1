"""tagscope domains by CellPatch and STAGATE joined, and what scanpy's PAGA takes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scanpy as sc
from anndata import read_h5ad

from tagscope import api
from tagscope.io.store import read_table

QUICK = ("--n-domains", 5, "--starts", 2)
LEARNING = ("--model", "cellpatch-stagate", "--epochs", 4, "--hidden", 16, "--width", 8,
            "--device", "cpu")  # fmt: skip
SMALL = ("--patches", 4, "--patch-width", 8)


@pytest.fixture(scope="module")
def store(sample_data: Path) -> Path:
    return sample_data / "section.zarr"


@pytest.fixture(scope="module")
def file(store: Path, tmp_path_factory) -> Path:
    opened = api.open_section(store)
    table = opened.table[::3].copy()
    table.obsm["spatial"] = opened.section.xy[::3]
    path = tmp_path_factory.mktemp("file") / "section.h5ad"
    table.write_h5ad(path)
    return path


def test_domains_with_a_map(tagscope, store, tmp_path):
    out = tmp_path / "domains.zarr"
    ran = tagscope("domains", store, *LEARNING, *SMALL, "--map", "--out", out, *QUICK)
    assert ran.code == 0, ran.err
    table, key = read_table(out), "cellpatch-stagate_domain"
    record = json.loads(table.uns["tagscope"][key])["extra"]["features"]["parameters"]
    assert (record["model"], record["patches"], record["concatenate"]) == (
        "cellpatch-stagate", 4, True
    )  # fmt: skip
    assert table.obsm[f"X_{key}"].shape == (table.n_obs, 8)
    assert table.obsm[f"X_{key}_umap"].shape == (table.n_obs, 2)
    sc.tl.paga(table, groups=key, neighbors_key=key)
    assert table.uns["paga"]["connectivities"].shape == (5, 5)
    again = tagscope("domains", out, *LEARNING, *SMALL, "--map", "--out", out, *QUICK)
    assert (again.code, "already has obs" in again.err) == (2, True)


def test_a_map_follows_the_features_and_the_seed(tagscope, file, tmp_path):
    """Each cell's neighbours in the graph are its nearest among the features."""
    outs = [tmp_path / f"{number}.h5ad" for number in range(2)]
    for out in outs:
        ran = tagscope("domains", file, "--map", "--out", out, *QUICK)
        assert ran.code == 0, ran.err
    one, other = map(read_h5ad, outs)
    for name in ("X_smoothed_domain", "X_smoothed_domain_umap"):
        np.testing.assert_array_equal(one.obsm[name], other.obsm[name])
    features, graph = one.obsm["X_smoothed_domain"], one.obsp["smoothed_domain_distances"]
    row = graph[7]
    apart = np.linalg.norm(features - features[7], axis=1)
    np.testing.assert_allclose(row.data, apart[row.indices], rtol=1e-4)
    assert set(row.indices) <= set(np.argsort(apart)[:16])


def test_from_the_weights_of_a_bundle(tagscope, file, tmp_path):
    bundle, out = tmp_path / "patches", tmp_path / "out.h5ad"
    ran = tagscope("pretrain", file, "--model", "cellpatch", "--epochs", 1, "--out", bundle)
    assert ran.code == 0, ran.err
    ran = tagscope("domains", file, *LEARNING, "--bundle", bundle, "--out", out, *QUICK)
    assert ran.code == 0, ran.err
    record = json.loads(read_h5ad(out).uns["tagscope"]["cellpatch-stagate_domain"])
    assert record["inputs"]["bundle"] == str(bundle)


def test_from_python_it_is_that_of_the_command(tagscope, file, tmp_path):
    out = tmp_path / "out.h5ad"
    ran = tagscope("domains", file, *LEARNING, *SMALL, "--no-concatenate", "--seed", 2, "--out",
                   out, *QUICK)  # fmt: skip
    assert ran.code == 0, ran.err
    union = api.UnionConfig(
        epochs=4, hidden=16, width=8, patches=4, patch_width=8, concatenate=False, seed=2,
        device="cpu",
    )  # fmt: skip
    config = api.DomainConfig(n_domains=5, starts=2, seed=2)
    found = api.delineate_domains(file, "cellpatch-stagate", config=config, union=union)
    assert found.names().tolist() == read_h5ad(out).obs["cellpatch-stagate_domain"].tolist()


def test_recipes_are_of_the_union_alone(tagscope, file, tmp_path):
    out = tmp_path / "out.h5ad"
    ran = tagscope("domains", file, *LEARNING, *SMALL, "--recipe", "paper", "--out", out, *QUICK)
    assert ran.code == 0, ran.err
    record = json.loads(read_h5ad(out).uns["tagscope"]["cellpatch-stagate_domain"])
    learned = record["extra"]["features"]["parameters"]
    assert (learned["learning_rate"], learned["clip_norm"], learned["dropout"]) == (1e-4, 0.1, 0.1)
    other = tmp_path / "other.h5ad"
    ran = tagscope("domains", file, "--model", "stagate", "--recipe", "paper", "--out", other)
    assert ran.code == 2
    assert "For the model stagate no recipe can be given" in ran.err
    assert not other.exists()


def test_a_bundle_of_another_model(tagscope, file, bundle, tmp_path):
    ran = tagscope("domains", file, *LEARNING, "--bundle", bundle, "--out", tmp_path / "out.h5ad")
    assert ran.code == 2
    assert "is a model of kind 'cellmemory'" in ran.err
