"""Only what changed is written, in any format, and everything else keeps its very bytes."""

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import spatialdata
import zarr
from anndata.tests.helpers import assert_equal

from tagscope.io import hdf5
from tagscope.io import slots as module
from tagscope.io.compare import first_unlike_copy
from tagscope.io.h5ad import quietly
from tagscope.io.readers import SectionSource, open_section
from tagscope.io.slots import (
    changes,
    first_unlike,
    is_current,
    open_table,
    untouched,
    write_changes,
)
from tagscope.io.store import read_table, write_results

pytestmark = [
    pytest.mark.filterwarnings("ignore:Automatic shard shape inference is experimental"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
    pytest.mark.filterwarnings("ignore:Writing zarr v2 data will no longer be the default"),
]
FORMATS = ("zarr2", "zarr3", "sharded", "h5ad")


def unheard(size):
    """Progress that nobody listens to."""


def full_table(tiny):
    """A table with something in every slot."""
    made = tiny.table()
    made.obs["score"] = np.linspace(0, 1, 12)
    made.obs["note"] = [f"note {i}" for i in range(12)]
    made.obsm["frame"] = pd.DataFrame({"a": range(12)}, index=made.obs_names)
    made.varm["loadings"] = np.ones((5, 2))
    made.obsp["graph"] = sp.eye_array(12, format="csr")
    made.layers["dense"] = np.arange(60.0).reshape(12, 5)
    made.layers["columns"] = sp.csc_matrix(made.X)
    made.raw = made.copy()
    ranks = [("Sst", 1.5, np.nan), ("Vip", np.inf, 0.1)]
    made.uns["ranks"] = np.array(ranks, dtype=[("gene", "U5"), ("score", "f4"), ("p", "f8")])
    made.uns["nested"] = {"a": 1, "b": {"c": np.array(["x", "y"])}, "none": None}
    return made


def stored(table, folder, kind):
    """The table on disk, opened for reading."""
    with quietly(), ad.settings.override(auto_shard_zarr_v3=kind == "sharded"):
        if kind == "h5ad":
            table.write_h5ad(folder / "x.h5ad")
            return h5py.File(folder / "x.h5ad", "r")
        with ad.settings.override(zarr_write_format=2 if kind == "zarr2" else 3):
            table.write_zarr(folder / "x.zarr")
    return zarr.open_group(folder / "x.zarr", mode="r", use_consolidated=False)


def changed_slots(table, group, kept):
    with quietly():
        return changes(table, group, kept, lambda size: None).slots


@pytest.mark.parametrize("kind", FORMATS)
def test_a_table_is_opened_without_its_matrices(tiny, tmp_path, kind):
    group = stored(full_table(tiny), tmp_path, kind)
    assert is_current(group)
    table = open_table(group)
    kept = untouched(table)
    assert set(kept) == {
        ("obs", "_index"),
        ("var", "_index"),
        ("", "X"),
        ("layers", "dense"),
        ("layers", "columns"),
        ("obsm", "spatial"),
        ("varm", "loadings"),
        ("obsp", "graph"),
    }
    assert changed_slots(table, group, kept) == set()
    assert changed_slots(table, group, {}) == set(), "and all of it is as on disk"


EDITS = {
    ("", "X"): lambda t: setattr(t, "X", np.zeros((12, 5), np.float32)),
    ("obs", "cell_type"): lambda t: t.obs.insert(0, "cell_type", t.obs.pop("cell_type").cat.codes),
    ("obs", "score"): lambda t: t.obs["score"].to_numpy().__setitem__(3, 9.0),
    ("obs", "note"): lambda t: t.obs.pop("note"),
    ("obsm", "frame"): lambda t: t.obsm["frame"].__setitem__("a", 0),
    ("obsm", "new"): lambda t: t.obsm.__setitem__("new", np.ones((12, 2))),
    ("layers", "dense"): lambda t: t.layers.pop("dense"),
    ("uns", "nested"): lambda t: t.uns["nested"]["b"].update(c=np.array(["x", "z"])),
    ("var", "_index"): lambda t: setattr(t, "var_names", list("abcde")),
}


@pytest.mark.parametrize("kind", ["zarr3", "h5ad"])
@pytest.mark.parametrize("slot", EDITS)
def test_an_edit_is_seen_in_its_slot_alone(tiny, tmp_path, kind, slot):
    group = stored(full_table(tiny), tmp_path, kind)
    table = open_table(group)
    kept = untouched(table)
    EDITS[slot](table)
    assert changed_slots(table, group, kept) == {slot}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_table_written_in_blocks_is_read_by_anndata(tiny, tmp_path, kind, monkeypatch):
    monkeypatch.setattr(module, "_WHOLE", 16)
    monkeypatch.setattr(module, "_CHUNK", 64)
    monkeypatch.setattr("tagscope.io.compare.BLOCK", 128)
    table, sizes = full_table(tiny), []
    group = empty(tmp_path, kind)
    changed = changes(table, group, {}, lambda size: None)
    with quietly():
        write_changes(group, table, changed, sizes.append)
    assert sum(sizes) == changed.size
    assert len(sizes) > len(changed.written), "in blocks"
    assert first_unlike(group, changed, lambda size: None) is None
    if kind == "h5ad":
        group.close()
    with quietly():
        again = (ad.read_h5ad if kind == "h5ad" else ad.read_zarr)(tmp_path / "x")
    assert_equal(again, table)
    assert_equal(again.raw.to_adata(), table.raw.to_adata())


@pytest.mark.parametrize("dtype", ["?", "i1", ">i2", "u4", "f2", ">f4", "f8", "c8"])
@pytest.mark.parametrize("shape", [(0,), (1,), (35,), (64, 3), (33, 2, 2)])
def test_numbers_packed_here_are_unpacked_by_hdf5(tmp_path, dtype, shape):
    values = (np.random.default_rng(0).random(shape) * 100).astype(dtype)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        hdf5.write_array(file, "x", values, 16, lambda size: None)
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["x"][...], values)
        assert file["x"].dtype == values.dtype
        assert file["x"].shuffle


@pytest.mark.parametrize("change", ["chunk", "missing chunk", "packing", "type"])
def test_a_copy_with_a_difference_is_found(tmp_path, change):
    odd = {"packing": {"compression_opts": 2}, "type": {"dtype": "i8"}}
    usual = {"dtype": "f8", "chunks": (100_000,), "compression": "gzip"}
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, layout in (("old", usual), ("new", usual | odd.get(change, {}))):
            array = file.create_group(name).create_dataset("x", (600_000,), **layout)
            written = slice(500_000 if (change, name) == ("missing chunk", "new") else None)
            array[written] = np.arange(600_000.0)[written]
        if change == "chunk":
            file["new/x"][-1] = 0
        for one, other in (("old", "new"), ("new", "old")):
            found = first_unlike_copy(file[one], file[other], (), unheard, hdf5.is_copy)
            assert found == f"/{one}/x"
        assert first_unlike_copy(file["old"], file["old"], (), unheard, hdf5.is_copy) is None


def empty(folder, kind):
    if kind == "h5ad":
        return h5py.File(folder / "x", "w")
    return zarr.open_group(folder / "x", mode="w", zarr_format=2 if kind == "zarr2" else 3)


def inodes(folder):
    """Number and size of every chunk, by relative path."""
    files = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith((".z", "zarr")))
    return {str(p.relative_to(folder)): (p.stat().st_ino, p.stat().st_size) for p in files}


def add_layer(table):
    table.layers["attention"] = sp.csr_matrix(np.ones(table.shape, np.float32))
    table.obs["label"] = pd.Categorical(["a", "b"] * (table.n_obs // 2))


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("listed", ["root", "table too", "nowhere"])
def test_in_place_only_new_chunks_are_written(tiny, tmp_path, zarr_format, listed, sharded):
    path = tiny.store(tmp_path / "x.zarr", zarr_format=zarr_format, sharded=sharded)
    place = path / "tables" / "table"
    if listed == "nowhere":
        tiny.forget_consolidated(path)
    elif listed == "table too":
        zarr.consolidate_metadata(zarr.open_group(place, mode="r+").store)
    before = inodes(path)
    write_results(open_section(path).source, add_layer, path)
    after = inodes(path)
    assert before.items() <= after.items()
    new = {name.rsplit("table/", 1)[1].split("/")[1] for name in after.keys() - before.keys()}
    assert new == {"attention", "label"}
    found = [zarr.open_group(p, mode="r").metadata.consolidated_metadata for p in (path, place)]
    expected = {"root": [True, False], "table too": [True, True], "nowhere": [False, False]}
    assert [one is not None for one in found] == expected[listed]
    assert "attention" in zarr.open_group(path, mode="r")["tables/table/layers"]
    with quietly():
        for table in (spatialdata.read_zarr(path)["table"], ad.read_zarr(place)):
            assert table.layers["attention"].nnz == 60
            assert list(table.obs["label"]) == ["a", "b"] * 6


def test_an_h5ad_keeps_its_raw_its_compression_and_its_layout(tiny, tmp_path):
    path = tmp_path / "x.h5ad"
    rng = np.random.default_rng(0)
    table = full_table(tiny)
    table.write_h5ad(path)
    wide = rng.random((12, 20_000))
    with h5py.File(path, "r+") as file:
        file.create_dataset("obsm/wide", data=wide, chunks=(5, 7_000), compression="lzf")
        file["obsm/wide"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        file["uns/flat"] = rng.random(200_000)
        file["uns/flat"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    write_results(open_section(path).source, add_layer, path)
    with h5py.File(path, "r") as file:
        assert (file["obsm/wide"].compression, file["obsm/wide"].chunks) == ("lzf", (5, 7_000))
        assert file["uns/flat"].chunks is None
    again = read_table(path)
    assert again.layers["attention"].nnz == 60
    del again.layers["attention"], again.obs["label"]
    assert again.uns.pop("flat").shape == (200_000,)
    np.testing.assert_array_equal(again.obsm.pop("wide"), wide)
    assert_equal(again, table)
    assert_equal(again.raw.to_adata(), table.raw.to_adata())


def test_a_table_of_an_old_form_is_written_anew(tiny, tmp_path):
    path = tmp_path / "x.h5ad"
    tiny.table().write_h5ad(path)
    with h5py.File(path, "r+") as file:
        del file.attrs["encoding-type"], file.attrs["encoding-version"]
    source = SectionSource(path, "h5ad", None, None, None, None, "unknown")
    write_results(source, add_layer, path)
    assert "label" in read_table(path).obs
    with h5py.File(path, "r") as file:
        assert is_current(file)
