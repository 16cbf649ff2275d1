"""Results are saved into real files: nothing else of them changes, and damage in them is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import spatialdata
from anndata.tests.helpers import assert_equal

from tagscope.io.h5ad import quietly
from tagscope.io.readers import SectionSource, open_section
from tagscope.io.store import read_table, write_results

STORE = "vendor/xenium_mouse_5k_23cells.zarr"
FILES = ("annotation/osmfish.h5ad", "annotation/merfish_hypothalamus_3samples.h5ad")


@pytest.fixture
def store(shared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shared / "data" / STORE, tmp_path / "x.zarr"))


def add_result(table: ad.AnnData) -> None:
    """A label, an embedding and a sparse layer."""
    codes = np.arange(table.n_obs) % 2
    table.obs["cellmemory"] = pd.Categorical.from_codes(codes, ["T", "B"])
    table.obsm["X_cellmemory"] = np.ones((table.n_obs, 8), np.float32)
    layer = sp.random_array(table.shape, density=0.1, format="csr", dtype=np.float32, rng=0)
    table.layers["cellmemory_attention"] = sp.csr_matrix(layer)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but metadata, by relative path."""
    metadata = {"zarr.json", ".zattrs", ".zgroup", ".zarray", ".zmetadata"}
    files = (p for p in folder.rglob("*") if p.is_file() and p.name not in metadata)
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def test_a_xenium_store_in_place(store: Path) -> None:
    before, old = contents(store), read_table(store)
    write_results(open_section(store).source, add_result, store)
    after = contents(store)
    assert before.items() <= after.items()
    with quietly():
        whole = spatialdata.read_zarr(store)
        alone = ad.read_zarr(store / "tables" / "table")
    assert whole.images
    assert whole.labels
    assert whole.points
    for table in (whole["table"], alone):
        assert table.obs["cellmemory"].cat.categories.tolist() == ["T", "B"]
        del table.obs["cellmemory"], table.obsm["X_cellmemory"]
        del table.layers["cellmemory_attention"]
    assert_equal(whole["table"], old)


@pytest.mark.parametrize("name", FILES)
def test_a_file_in_place(shared: Path, tmp_path: Path, name: str) -> None:
    path = Path(shutil.copyfile(shared / "data" / name, tmp_path / "x.h5ad"))
    old = read_table(path)
    source = SectionSource(path, "h5ad", None, None, None, None, "unknown")
    write_results(source, add_result, path)
    with h5py.File(path, "r") as file, h5py.File(shared / "data" / name, "r") as origin:
        assert file["X/data"].compression == origin["X/data"].compression == "gzip"
        assert file["X/data"].id.get_storage_size() == origin["X/data"].id.get_storage_size()
    table = read_table(path)
    assert table.obs["cellmemory"].nunique() == 2
    del table.obs["cellmemory"], table.obsm["X_cellmemory"], table.layers["cellmemory_attention"]
    assert_equal(table, old)


def largest_file(folder: Path) -> Path:
    files = [p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(("zarr", ".z"))]
    return max(files, key=lambda p: p.stat().st_size)


def smallest_level(element: Path) -> Path:
    levels = [p for p in element.iterdir() if p.is_dir()]
    return max(levels, key=lambda p: p.name)


DAMAGE: dict[str, Callable[[Path], Path]] = {
    "images": lambda folder: largest_file(smallest_level(folder)),
    "labels": lambda folder: largest_file(smallest_level(folder)),
    "points": largest_file,
    "shapes": largest_file,
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_and_a_save_leaves_it_as_it_is(store: Path, kind: str) -> None:
    element = sorted(p for p in (store / kind).iterdir() if p.is_dir())[-1]
    damaged = DAMAGE[kind](element)
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    content = damaged.read_bytes()
    opened = open_section(store)
    said = [note.found for note in opened.notes if note.code == "damaged-element"]
    assert any(f"{kind}/{element.name} cannot be read" in text for text in said), said
    write_results(opened.source, add_result, store)
    assert damaged.read_bytes() == content
    assert "cellmemory" in read_table(store).obs
