"""tagscope domains as a person runs it, into a store and into a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
import spatialdata
from anndata import read_h5ad

from small_omnicell import small_omnicell
from tagscope import api
from tagscope.io.h5ad import quietly
from tagscope.io.store import read_table
from tagscope.jobs import JobContext

QUICK = ("--n-domains", 5, "--starts", 2)


@pytest.fixture(scope="module")
def store(sample_data: Path) -> Path:
    return sample_data / "section.zarr"


@pytest.fixture
def file(store: Path, tmp_path: Path) -> Path:
    """The sample as .h5ad, its coordinates in µm."""
    opened = api.open_section(store)
    table = opened.table[::3].copy()
    table.obsm["spatial"] = opened.section.xy[::3]
    table.write_h5ad(tmp_path / "section.h5ad")
    return tmp_path / "section.h5ad"


def test_into_a_store_with_outlines(tagscope, store, tmp_path):
    out = tmp_path / "domains.zarr"
    ran = tagscope("domains", store, "--out", out, *QUICK)
    assert ran.code == 0, ran.err
    assert "Domain 5" in ran.out
    with quietly():
        written = spatialdata.read_zarr(out)
    table, outlines = written["table"], written.shapes["smoothed_domains"]
    assert_outlined(out)
    names = [f"Domain {number}" for number in range(1, 6)]
    assert table.obs["smoothed_domain"].cat.categories.tolist() == names
    assert table.obs["smoothed_domain"].value_counts(sort=False).is_monotonic_decreasing
    assert len(table.uns["smoothed_domain_colors"]) == 5
    record = json.loads(table.uns["tagscope"]["smoothed_domain"])
    assert record["verb"] == "domains"
    assert record["inputs"]["section"] == str(store)
    assert outlines["domain"].tolist() == names
    assert outlines["cells"].tolist() == table.obs["smoothed_domain"].value_counts().tolist()
    ran = tagscope("evaluate", out, "--prediction", "smoothed_domain",
                   "--truth", store.parent / "truth.json")  # fmt: skip
    assert ran.code == 0, ran.err


def test_from_a_file_into_either(tagscope, file, tmp_path):
    for name in ("out.h5ad", "out.zarr"):
        ran = tagscope("domains", file, "--out", tmp_path / name, *QUICK, "--refine")
        assert ran.code == 0, ran.err
    of_file, of_store = (read_table(tmp_path / name) for name in ("out.h5ad", "out.zarr"))
    assert of_file.obs["smoothed_domain"].tolist() == of_store.obs["smoothed_domain"].tolist()


def test_python_gives_the_same_and_clusters_again(tagscope, file, tmp_path):
    tagscope("domains", file, "--out", tmp_path / "out.h5ad", *QUICK)
    config = api.DomainConfig(n_domains=5, starts=2)
    section = api.read_section(file)
    features = api.domain_features(section, config=config)
    found = api.delineate_domains(section, config=config, embedding=features)
    assert (
        found.names().tolist() == read_h5ad(tmp_path / "out.h5ad").obs["smoothed_domain"].tolist()
    )
    stages = []
    context = JobContext(lambda progress: stages.append(progress.stage))
    other = api.DomainConfig(n_domains=3, starts=2)
    again = api.delineate_domains(section, config=other, embedding=features, context=context)
    assert len(again.domains) == 3
    assert set(stages) == {"clustering"}


def test_in_place_and_once_more(tagscope, file):
    before = read_h5ad(file)
    assert tagscope("domains", file, "--out", file, *QUICK).code == 0
    ran = tagscope("domains", file, "--out", file, *QUICK)
    assert ran.code == 2
    assert "already has obs['smoothed_domain']" in ran.err
    assert tagscope("domains", file, "--out", file, *QUICK, "--key", "mine").code == 0
    assert tagscope("domains", file, "--out", file, "--n-domains", 3, "--overwrite").code == 0
    after = read_h5ad(file)
    assert after.obs["smoothed_domain"].nunique() == 3
    assert after.obs["mine_domain"].nunique() == 5
    assert set(after.uns["tagscope"]) == {"smoothed_domain", "mine_domain"}
    assert len(after.uns["smoothed_domain_colors"]) == 3
    assert (after.X != before.X).nnz == 0


def test_of_a_vendors_folder_and_of_a_part(tagscope, tmp_path):
    api.simulate(
        tmp_path / "run", api.SimulateConfig(cells=600, reference_cells=1000), layout="merscope"
    )
    folder, out = tmp_path / "run" / "section", tmp_path / "whole.zarr"
    ran = tagscope("domains", folder, "--out", out, *QUICK)
    assert ran.code == 0, ran.err
    assert_outlined(out)
    part = tmp_path / "part.zarr"
    ran = tagscope("domains", out, "--out", part, "--key", "part", *QUICK,
                   "--where", "smoothed_domain != 'Domain 1'")  # fmt: skip
    assert ran.code == 0, ran.err
    assert_outlined(part, "part")
    assert read_table(part).n_obs < read_table(out).n_obs


def assert_outlined(store: Path, key: str = "smoothed") -> None:
    """Nearly every cell lies within the outline of its domain."""
    opened = api.open_section(store)
    shapes = opened.sdata.shapes[f"{key}_domains"].geometry.to_numpy()
    own = opened.table.obs[f"{key}_domain"].cat.codes.to_numpy()
    units = opened.section.xy / (opened.um_per_unit or 1.0)
    away = shapely.distance(shapes[own], shapely.points(units))
    assert np.quantile(away, 0.99) < 1e-6


def test_leiden_tells_its_resolution(tagscope, file, tmp_path):
    ran = tagscope("domains", file, "--out", tmp_path / "out.h5ad", "--cluster", "leiden",
                   "--resolution", 0.7)  # fmt: skip
    assert ran.code == 0, ran.err
    assert "Leiden's resolution: 0.7" in ran.out
    assert "were asked for" not in ran.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--model", "omnicell"], 2, "No bundle was given for the model omnicell"),
        (["--resolution", 1], 2, "Options: --cluster leiden, --n-domains"),
        (["--cluster", "ward"], 2, "invalid choice"),
        (["--epochs", 5], 2, "For the model smoothed no epochs can be given"),
        (["--model", "stagate", "--graph", "radius"], 2, "Options: --radius, --graph nearest"),
        (["--model", "stagate", "--hidden", 0], 2, "Hidden is 0. A number from 1 on is needed."),
    ],
)
def test_what_is_wrong_is_told(tagscope, file, tmp_path, words, code, said):
    ran = tagscope("domains", file, "--out", tmp_path / "out.h5ad", *words)
    assert ran.code == code
    assert said in ran.err
    assert not (tmp_path / "out.h5ad").exists()


def test_a_bundle_of_another_model(tagscope, file, bundle, tmp_path):
    ran = tagscope("domains", file, "--out", tmp_path / "out.h5ad", "--model", "omnicell",
                   "--bundle", bundle)  # fmt: skip
    assert ran.code == 2
    assert "is a model of kind 'cellmemory'" in ran.err


@pytest.fixture(scope="module")
def omnicell(store, tmp_path_factory) -> Path:
    """A narrow OmniCell that has learned nothing."""
    panel = api.open_section(store).section.panel
    out = tmp_path_factory.mktemp("omnicell") / "bundle"
    return small_omnicell(out, panel).path


@pytest.mark.parametrize(
    ("pooling", "words", "neighbors"),
    [("expressed", [], 9), ("genes", [], 0), ("genes", ["--read-with", 2], 2)],
)
def test_how_many_cells_are_read_together(
    tagscope, store, table, tmp_path, pooling, words, neighbors
):
    """As published by a converted network, each alone by one that was pretrained here."""
    table.uns["source"] = {"spatial_unit": "um"}
    table.write_h5ad(tmp_path / "section.h5ad")
    bundle = small_omnicell(tmp_path / "bundle", api.open_section(store).section.panel, pooling)
    ran = tagscope("domains", tmp_path / "section.h5ad", "--model", "omnicell", "--bundle",
                   bundle.path, "--cluster", "kmeans", "--n-domains", 3, *words,
                   "--out", tmp_path / "out.h5ad")  # fmt: skip
    assert ran.code == 0, ran.err
    record = json.loads(read_h5ad(tmp_path / "out.h5ad").uns["tagscope"]["omnicell_domain"])
    assert record["extra"]["features"]["parameters"]["neighbors"] == neighbors


def test_domains_of_an_embedding(tagscope, table, omnicell, tmp_path):
    table.uns["source"] = {"spatial_unit": "um"}
    table.write_h5ad(tmp_path / "section.h5ad")
    out = tmp_path / "out.h5ad"
    ran = tagscope("domains", tmp_path / "section.h5ad", "--model", "omnicell", "--bundle",
                   omnicell, "--cluster", "kmeans", "--n-domains", 3, "--out", out)  # fmt: skip
    assert ran.code == 0, ran.err
    written = read_h5ad(out)
    assert written.obs["omnicell_domain"].nunique() == 3
    record = json.loads(written.uns["tagscope"]["omnicell_domain"])
    assert record["inputs"]["bundle"] == str(omnicell)
    features = record["extra"]["features"]["parameters"]
    assert features["expression"] == 20


def test_fewer_than_no_cells_read_together(tagscope, store, tmp_path):
    ran = tagscope("domains", store, "--read-with=-1", "--out", tmp_path / "out.zarr")
    assert ran.code == 2
    assert "--read-with: -1 is not a number of cells, 0 or more" in ran.err


LEARNING = ("--epochs", 20, "--hidden", 32, "--width", 8, "--device", "cpu")


def test_by_a_stagate_that_learns_from_the_section(tagscope, store, file, tmp_path):
    out = tmp_path / "domains.zarr"
    ran = tagscope("domains", store, "--model", "stagate", *LEARNING, "--out", out, *QUICK)
    assert ran.code == 0, ran.err
    assert_outlined(out, "stagate")
    record = json.loads(read_table(out).uns["tagscope"]["stagate_domain"])
    assert "bundle" not in record["inputs"]
    learned = record["extra"]["features"]
    assert learned["dimensions"] == 8
    assert learned["parameters"] == {
        "model": "stagate", "graph": "nearest", "nearest": 6, "radius": None, "most_genes": 3000,
        "hidden": 32, "width": 8, "epochs": 20, "learning_rate": 1e-3, "weight_decay": 1e-4,
        "clip_norm": 5.0, "batch_size": None, "compat": "none", "seed": 0, "device": "cpu",
    }  # fmt: skip


def test_a_stagate_from_python_is_that_of_the_command(tagscope, file, tmp_path):
    out = tmp_path / "out.h5ad"
    ran = tagscope("domains", file, "--model", "stagate", *LEARNING, "--graph", "delaunay",
                   "--batch-size", 200, "--seed", 3, "--out", out, *QUICK)  # fmt: skip
    assert ran.code == 0, ran.err
    config = api.DomainConfig(n_domains=5, starts=2, seed=3)
    learning = api.StagateConfig(
        epochs=20, hidden=32, width=8, graph="delaunay", batch_size=200, seed=3, device="cpu"
    )
    section = api.open_section(file)
    features = api.domain_features(section, "stagate", config=config, stagate=learning)
    again = api.delineate_domains(section, "stagate", config=config, embedding=features)
    assert again.names().tolist() == read_h5ad(out).obs["stagate_domain"].tolist()
    assert again.key == "stagate"
    api.write_result(section, features, tmp_path / "embedded.h5ad")
    np.testing.assert_array_equal(
        read_h5ad(tmp_path / "embedded.h5ad").obsm["X_stagate"], features.values
    )
