"""Files that cannot be used: each is refused with one message that says what to do."""

import json
import shutil

import anndata as ad
import h5py
import numpy as np
import pytest

from tagscope.core.panel import GenePanel
from tagscope.errors import InputError
from tagscope.io.preflight import check
from tagscope.io.readers import open_section, read_reference


def refused(path, pattern, **choices):
    """The section is refused so, and ``check`` says the same as a finding."""
    with pytest.raises(InputError, match=pattern) as caught:
        open_section(path, **choices)
    preflight = check(path, **choices)
    assert not preflight.ok
    errors = [f for f in preflight.findings if f.severity == "error"]
    assert caught.value.found in [f.found for f in errors]
    assert caught.value.found
    assert caught.value.needed
    assert caught.value.fix
    return preflight


def with_bytes(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("notes.h5ad", b"cell,gene\n1,2\n", "is a text file"),
        ("picture.h5ad", b"\x89PNG\r\n\x1a\n\x00\x01", "is a PNG image"),
        ("empty.h5ad", b"", "is an empty file"),
        ("store.zarr.zip", b"PK\x03\x04\x00", "is a zip archive.*Unpack it first"),
        ("noise", b"\x00\xff\xfe\x80" * 100, "is not a file that can be read"),
        ("half.h5ad", b"\x89HDF\r\n\x1a\n" + b"\x00" * 100, "damaged or was not copied completely"),
    ],
)
def test_files_that_are_something_else(tmp_path, name, content, said):
    refused(with_bytes(tmp_path / name, content), said)


def test_a_path_that_does_not_exist(tmp_path):
    refused(tmp_path / "nothing.zarr", "does not exist")


def test_folders_that_are_no_store(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    refused(folder, "is an empty folder")
    (folder / "section.zarr").mkdir()
    refused(folder, r"not a zarr store.*It holds 'section\.zarr'")
    (folder / "experiment.xenium").touch()
    refused(folder, r"experiment\.xenium is damaged")


def test_an_hdf5_file_that_is_not_anndata(tmp_path):
    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        file["matrix"] = np.zeros(3)
    refused(tmp_path / "x.h5ad", "without cells and genes.*'matrix'")


def test_a_truncated_h5ad(tiny, tmp_path):
    tiny.table().write_h5ad(tmp_path / "x.h5ad")
    content = (tmp_path / "x.h5ad").read_bytes()
    refused(with_bytes(tmp_path / "half.h5ad", content[: len(content) // 2]), "damaged")


@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")
def test_an_anndata_zarr_is_told_from_a_store(tiny, tmp_path):
    with ad.settings.override(zarr_write_format=3, auto_shard_zarr_v3=False):
        tiny.table().write_zarr(tmp_path / "x.zarr")
    refused(tmp_path / "x.zarr", r"an AnnData zarr.*write_h5ad")


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("{meta}", "without its root metadata|empty folder"),
        ("tables", "has no table"),
        ("tables/table/{meta}", "tables/table is damaged"),
        ("tables/table/obs/{meta}", "tables/table is damaged"),
        ("tables/table/X/data/{chunk}", "incomplete: pieces of 'X' are missing"),
        ("tables/table/X/indptr/{chunk}", "incomplete: pieces of 'X' are missing"),
        ("shapes/cells/shapes.parquet", "annotates 'cells', which is not among"),
    ],
)
def test_truncated_stores(tiny, tmp_path, zarr_format, lost, said):
    path = tiny.store(tmp_path / "x.zarr", zarr_format=zarr_format)
    names = {"meta": "zarr.json", "chunk": "c/0"} if zarr_format == 3 else {}
    lost = path / lost.format(**(names or {"meta": ".zgroup", "chunk": "0"}))
    assert lost.exists()
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    refused(path, said)


def test_a_chunk_cut_short(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr")
    chunk = path / "tables" / "table" / "X" / "data" / "c" / "0"
    chunk.write_bytes(chunk.read_bytes()[:10])
    refused(path, "tables/table is damaged|x.zarr is damaged")


def test_metadata_that_is_not_json(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr")
    (path / "tables" / "table" / "zarr.json").write_text('{"zarr_format": 3, "attri')
    refused(path, "damaged")
    (path / "zarr.json").write_text("{")
    refused(path, "damaged")


def test_a_damaged_image_is_lived_with(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr")
    (path / "images" / "image" / "zarr.json").unlink()
    opened = open_section(path)
    (finding,) = [f for f in opened.notes if f.code == "damaged-element"]
    assert finding.severity == "warning"
    assert "images/image" in finding.found
    assert not opened.sdata.images


def test_a_missing_region_is_lived_with_where_the_table_has_coordinates(tiny, tmp_path):
    def edit(table):
        table.obsm["spatial"] = tiny.centres()

    path = tiny.store(tmp_path / "x.zarr", attrs={"spatial_unit": "um"}, edit=edit)
    shutil.rmtree(path / "shapes" / "cells")
    listed = json.loads((path / "zarr.json").read_text())
    listed.pop("consolidated_metadata")
    (path / "zarr.json").write_text(json.dumps(listed))
    opened = open_section(path)
    assert [(f.severity, f.code) for f in opened.notes] == [("warning", "region-missing")]
    np.testing.assert_array_equal(opened.section.xy, tiny.centres())
    assert (opened.section.unit, opened.section.outlines) == ("µm", None)


@pytest.mark.parametrize("with_obsm", [True, False])
def test_rows_without_shapes(tiny, tmp_path, with_obsm):
    def edit(table):
        table.obs["instance"] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 88, 99]
        if with_obsm:
            table.obsm["spatial"] = tiny.centres()

    path = tiny.store(tmp_path / "x.zarr", edit=edit)
    if not with_obsm:
        refused(path, "2 cells of the table have no shape in cells")
        return
    opened = open_section(path)
    assert "rows-without-shapes" in {f.code for f in opened.notes}
    np.testing.assert_allclose(opened.section.xy, tiny.centres())
    assert np.diff(opened.section.outlines.offsets).tolist() == [5] * 10 + [0, 0]
    (extra,) = [f for f in check(path).findings if f.code == "shapes-without-rows"]
    assert "2 cells of 'cells'" in extra.found


def written(table, tmp_path):
    table.write_h5ad(tmp_path / "x.h5ad")
    return tmp_path / "x.h5ad"


def test_duplicate_ids(tiny, tmp_path):
    table = tiny.table()
    table.obs_names = ["a", "a", *table.obs_names[2:]]
    path = written(table, tmp_path)
    refused(path, r"1 cell ids occur more than once \('a'\).*obs_names_make_unique")
    with pytest.raises(InputError, match="more than once"):
        read_reference(path, "cell_type")


def test_no_coordinates(tiny, tmp_path):
    table = tiny.table(coordinates=False)
    refused(written(table, tmp_path), "has no coordinates.*to train on")
    table.obs["x"] = table.obs["y"] = 1.0
    refused(written(table, tmp_path), r"table\.obs\[\['x', 'y'\]\]")
    table.obsm["X_spatial"] = tiny.centres()
    refused(written(table, tmp_path), r"table\.obsm\['X_spatial'\]")


def test_coordinates_that_are_missing_for_some(tiny, tmp_path):
    table = tiny.table()
    table.obsm["spatial"][[2, 5]] = np.nan
    refused(written(table, tmp_path), "2 of 12 cells have no coordinates")


def test_a_table_without_cells(tiny, tmp_path):
    refused(written(tiny.table()[:0].copy(), tmp_path), "empty: 0 cells × 5 genes")


def test_everything_at_once(tiny, tmp_path):
    table = tiny.table(coordinates=False)
    table.X = np.log1p(table.X)
    table.layers["counts"] = tiny.counts()
    table.obs_names = ["a", "a", *table.obs_names[2:]]
    preflight = check(written(table, tmp_path), bundle_panel=GenePanel(("Actb", "Sst", "Gad1")))
    found = [(f.severity, f.code) for f in preflight.findings]
    assert found == [
        ("error", "duplicate-ids"),
        ("error", "no-coordinates"),
        ("error", "not-counts"),
        ("warning", "few-shared-genes"),
    ]
    with pytest.raises(InputError, match=r"Also to be mended: .*\. .*\.$"):
        open_section(tmp_path / "x.h5ad")
