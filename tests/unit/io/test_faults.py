"""Faults of files of either kind: told, and neither the disk nor what is in memory is harmed."""

from __future__ import annotations

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import spatialdata
import zarr

from tagscope.errors import InputError
from tagscope.io.readers import open_section
from tagscope.io.store import read_table, write_results


@pytest.fixture
def file(tiny, tmp_path):
    """An ``.h5ad`` of 2,000 cells in chunks, and a float column."""
    table = tiny.table(2000)
    table.obs["score"] = np.linspace(1, 2, 2000)
    table.write_h5ad(tmp_path / "x.h5ad", compression="gzip")
    return tmp_path / "x.h5ad"


def refused(path, pattern):
    before = path.read_bytes()
    with pytest.raises(InputError, match=pattern):
        open_section(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("array", ["X/data", "X/indices", "obs/score", "obsm/spatial"])
def test_noise_in_a_chunk_of_a_file(file, array):
    with h5py.File(file) as opened:
        chunk = opened[array].id.get_chunk_info(0)
    with file.open("r+b") as stream:
        stream.seek(chunk.byte_offset + chunk.size // 2)
        stream.write(b"\xff" * min(64, chunk.size // 2))
    refused(file, "x.h5ad is damaged or was not copied completely")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_file_that_ends_early(file, share):
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    refused(file, "x.h5ad is damaged or was not copied completely")


@pytest.mark.parametrize("part", ["data", "indices", "indptr"])
def test_a_chunk_that_a_file_never_got(file, part):
    replace(file, f"X/{part}", lambda values: values, written=0.5)
    refused(file, "x.h5ad is incomplete: pieces of 'X' are missing")


def test_a_chunk_of_measurements_that_a_file_never_got(file):
    replace(file, "obs/score", lambda values: values, written=0.5)
    (note,) = [n for n in open_section(file).notes if n.code == "missing-chunks"]
    assert "Pieces of 'obs/score'" in note.found
    assert note.severity == "warning"


def replace(path, name, change, written=1.0):
    """Another array under the same name, of which the first part is written."""
    with h5py.File(path, "r+") as file:
        attributes = dict(file[name].attrs)
        values = change(file[name][...])
        del file[name]
        chunks = (max(1, len(values) // 4), *values.shape[1:])
        array = file.create_dataset(name, values.shape, values.dtype, chunks=chunks)
        array[: int(len(values) * written)] = values[: int(len(values) * written)]
        array.attrs.update(attributes)


@pytest.mark.parametrize(
    ("array", "change", "said"),
    [
        ("X/data", lambda values: values.astype("S5"), "contradicts itself|damaged"),
        ("X/indices", lambda values: values.astype(float), "contradicts itself|damaged"),
        ("X/indices", lambda values: values + 9, "X in .* contradicts itself"),
        ("X/indptr", lambda values: values[::-1].copy(), "contradicts itself|damaged"),
        ("X/indptr", lambda values: values[:-3], "contradicts itself|damaged"),
        ("obs/cell_type/codes", lambda values: values + 9, "damaged"),
    ],
)
def test_parts_of_a_file_that_contradict_each_other(file, array, change, said):
    replace(file, array, change)
    refused(file, said)


def add_result(table):
    """Labels that are all the first, and numbers that are all zero."""
    table.obs["label"] = pd.Categorical(["a"] * table.n_obs, categories=["a", "b"])
    table.obs["rank"] = np.zeros(table.n_obs, np.int64)
    table.obsm["X_zero"] = np.zeros((table.n_obs, 3), np.float32)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("array", ["obs/label/codes", "obs/rank", "obsm/X_zero"])
def test_a_chunk_of_zeros_that_was_written_here_is_missed(tiny, tmp_path, zarr_format, array):
    path = tiny.store(tmp_path / "x.zarr", zarr_format=zarr_format)
    write_results(open_section(path).source, add_result, path)
    assert not [note for note in open_section(path).notes if note.code == "missing-chunks"]
    folder = path / "tables" / "table" / array
    (chunk,) = (
        p for p in folder.rglob("*") if p.is_file() and p.name[0] != "." and p.suffix != ".json"
    )
    chunk.unlink()
    (note,) = [note for note in open_section(path).notes if note.code == "missing-chunks"]
    assert (
        note.found
        == f"Pieces of '{array.removesuffix('/codes')}' in the table 'table' are missing."
    )


def test_whole_numbers_of_others_may_lack_chunks(tiny, tmp_path):
    """zarr leaves out what is all zero, and nothing tells that from a loss."""
    path = tiny.store(tmp_path / "x.zarr")
    codes = zarr.open_array(path / "tables/table/obs/region/codes", mode="r")
    assert codes.nchunks_initialized < codes.nchunks
    assert not [note for note in open_section(path).notes if note.code == "missing-chunks"]


@pytest.mark.parametrize("share", ["x.zarr", "x.h5ad"])
def test_one_cell_is_saved(tiny, tmp_path, share):
    path = tmp_path / share
    tiny.store(path, cells=1) if path.suffix == ".zarr" else tiny.table(1).write_h5ad(path)
    opened = open_section(path)
    assert opened.section.xy.shape == (1, 2)
    write_results(opened.source, add_result, path)
    for other in ("y.zarr", "y.h5ad"):
        write_results(opened.source, add_result, tmp_path / other)
        assert len(open_section(tmp_path / other).section) == 1
    assert read_table(path).obs["label"].tolist() == ["a"]


def store_of(table, path):
    """A store of a table alone, which annotates nothing."""
    del table.uns["spatialdata_attrs"]
    with ad.settings.override(auto_shard_zarr_v3=False):
        spatialdata.SpatialData(tables={"table": table}).write(path)


@pytest.mark.parametrize("name", ["x.zarr", "x.h5ad"])
def test_no_cell_is_refused(tiny, tmp_path, name):
    path = tmp_path / name
    if path.suffix == ".h5ad":
        tiny.table()[:0].copy().write_h5ad(path)
    else:
        full = spatialdata.read_zarr(tiny.store(tmp_path / "full.zarr"))
        store_of(full["table"][:0].copy(), path)
    with pytest.raises(InputError, match="is empty: 0 cells × 5 genes"):
        open_section(path)


def test_coordinates_of_a_store_that_are_not_numbers(tiny, tmp_path):
    table = spatialdata.read_zarr(tiny.store(tmp_path / "full.zarr"))["table"]
    table.obsm["spatial"] = tiny.centres()
    table.obsm["spatial"][[2, 5]] = np.nan
    store_of(table, tmp_path / "x.zarr")
    with pytest.raises(InputError, match=r"2 of 12 cells have no coordinates \(NaN or infinite\)"):
        open_section(tmp_path / "x.zarr")
