"""Damaged stores and odd shapes: each is named, and nothing on disk or in memory is harmed."""

import json
import re

import geopandas as gpd
import numpy as np
import pytest
import shapely
import zarr

from tagscope.errors import InputError
from tagscope.io.preflight import check
from tagscope.io.readers import open_section
from tagscope.io.store import read_table, write_results

TABLE = "tables/table"


def whole(tiny, folder, zarr_format=3):
    """A store with something in every kind of element."""

    def edit(table):
        table.obsm["spatial"] = tiny.centres()
        table.layers["log"] = table.X.copy()
        table.obs["score"] = np.linspace(1, 2, 12)

    path = tiny.store(
        folder / "x.zarr", edit=edit, attrs={"spatial_unit": "um"}, zarr_format=zarr_format
    )
    zarr.open_array(path / image_level(path), mode="r+")[...] = 7
    return path


def image_level(path):
    """Path of the full-size array of the image, which formats name differently."""
    return next(f"images/image/{n}" for n in ("s0", "0") if (path / "images/image" / n).is_dir())


def chunk_of(path, array):
    """The only chunk of a small array, in either format."""
    files = (p for p in (path / array).rglob("*") if p.is_file())
    (chunk,) = (p for p in files if p.name != "zarr.json" and not p.name.startswith(".z"))
    return chunk


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def said(path):
    """All that is said of a section, as an error or as findings."""
    try:
        notes = open_section(path).notes
    except InputError as error:
        return [str(error)]
    return [f"{note.severity}: {note.found}" for note in notes]


def snapshot(path):
    return {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("array", "expected"),
    [
        ("X/data", "pieces of 'X' are missing"),
        ("X/indices", "pieces of 'X' are missing"),
        ("X/indptr", "pieces of 'X' are missing"),
        ("layers/log/indices", "pieces of 'layers/log' are missing"),
        ("obsm/spatial", "warning: Pieces of 'obsm/spatial' in the table 'table' are not on disk"),
        ("obs/score", "warning: Pieces of 'obs/score' in the table 'table' are not on disk"),
        ("obs/_index", "cell ids occur more than once"),
    ],
)
def test_missing_chunks(tiny, tmp_path, zarr_format, array, expected):
    path = whole(tiny, tmp_path, zarr_format)
    chunk_of(path, f"{TABLE}/{array}").unlink()
    before = snapshot(path)
    assert any(expected in text for text in said(path))
    assert snapshot(path) == before


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    "array",
    [
        "X/data",
        "X/indptr",
        "layers/log/data",
        "obsm/spatial",
        "obs/score",
        "obs/cell_type/codes",
        "obs/_index",
        "var/_index",
    ],
)
def test_chunks_cut_short(tiny, tmp_path, zarr_format, array):
    path = whole(tiny, tmp_path, zarr_format)
    cut(chunk_of(path, f"{TABLE}/{array}"))
    before = snapshot(path)
    (text,) = said(path)
    assert f"{TABLE}/{array}: " in text
    assert "Copy or download it again" in text
    assert snapshot(path) == before


@pytest.mark.parametrize(
    ("array", "change", "expected"),
    [
        ("X/data", {"data_type": "int32", "fill_value": 0}, "warning: X holds counts up to 1,0"),
        ("X/data", {"shape": [20]}, "X in .* contradicts itself"),
        ("X/indices", {"data_type": "float32", "fill_value": 0.0}, "X in .* contradicts itself"),
        ("layers/log/indptr", {"shape": [9]}, r"layers\['log'\] in .* contradicts itself"),
        ("obs/cell_type/codes", {"data_type": "int32"}, "damaged"),
        ("obs/score", {"shape": [15]}, "damaged"),
        ("obsm/spatial", {"shape": [15, 2]}, "damaged"),
    ],
)
def test_metadata_that_does_not_fit_its_chunks(tiny, tmp_path, array, change, expected):
    path = whole(tiny, tmp_path)
    tiny.forget_consolidated(path)
    metadata = path / TABLE / array / "zarr.json"
    metadata.write_text(json.dumps(json.loads(metadata.read_text()) | change))
    texts = said(path)
    assert any(re.search(expected, text) for text in texts), texts


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_shapes_and_pictures_cut_short(tiny, tmp_path, zarr_format):
    path = whole(tiny, tmp_path, zarr_format)
    cut(path / "shapes" / "cells" / "shapes.parquet")
    cut(chunk_of(path, image_level(path)))
    before = snapshot(path)
    opened = open_section(path)
    damaged = [note.found for note in opened.notes if note.code == "damaged-element"]
    assert {text.split(" ")[0] for text in damaged} == {"shapes/cells", "images/image"}
    assert not opened.sdata.images
    np.testing.assert_array_equal(opened.section.xy, tiny.centres())
    assert snapshot(path) == before
    write_results(opened.source, lambda table: table.obs.insert(0, "new", 1), path)
    assert "new" in read_table(path).obs
    after = snapshot(path)
    kept = {p: content for p, content in before.items() if p.suffix == ".parquet"}
    assert kept.items() <= after.items(), "damaged elements are left as they are"


def test_labels_cut_short(tiny, tmp_path):
    path = tiny.label_store(tmp_path / "x.zarr")
    for level in sorted(p for p in (path / "labels" / "cells").iterdir() if p.is_dir()):
        cut(chunk_of(path, level.relative_to(path)))
    with pytest.raises(InputError, match="'cells', which is not among the store's"):
        open_section(path)
    assert any("labels/cells cannot be read" in f.found for f in check(path).findings)


def test_labels_without_rows_and_rows_without_labels(tiny, tmp_path):
    path = tiny.label_store(tmp_path / "x.zarr", instances=[*range(100, 110), 500, 501])
    before = snapshot(path)
    with pytest.raises(InputError, match="2 cells of the table have no shape in the label image"):
        open_section(path)
    codes = {f.code: f.found for f in check(path).findings}
    assert "2" in codes["shapes-without-rows"]
    assert snapshot(path) == before


def odd_shapes(tiny):
    """Every kind of polygon that a segmentation may leave."""
    frame = tiny.squares()
    shapes = list(frame.geometry)
    x, y = tiny.centres()[0]
    bow_tie = [(x - 4, y - 4), (x + 4, y + 4), (x + 4, y - 4), (x - 4, y + 4)]
    shapes[0] = shapely.Polygon(bow_tie)
    x, y = tiny.centres()[1]
    outer, hole = shapely.box(x - 4, y - 4, x + 4, y + 4), shapely.box(x - 1, y - 1, x + 1, y + 1)
    far = shapely.box(x + 5, y, x + 6, y + 1)
    shapes[1] = shapely.MultiPolygon([outer.difference(hole), far])
    x, y = tiny.centres()[2]
    shapes[2] = shapely.Polygon([(x - 1, y), (x + 1, y), (x, y)])
    return gpd.GeoDataFrame(geometry=shapes, index=frame.index)


def test_polygons_of_every_kind(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr", attrs={"spatial_unit": "um"})
    frame = gpd.read_parquet(path / "shapes" / "cells" / "shapes.parquet")
    frame.geometry = odd_shapes(tiny).geometry.to_numpy()
    frame.to_parquet(path / "shapes" / "cells" / "shapes.parquet")
    before = (path / "shapes" / "cells" / "shapes.parquet").read_bytes()
    opened = open_section(path)
    section = opened.section
    assert np.isfinite(section.xy).all()
    assert np.abs(section.xy - tiny.centres()).max() < 1
    assert np.diff(section.outlines.offsets).tolist()[:3] == [5, 5, 4]
    write_results(opened.source, lambda table: table.obs.insert(0, "new", 1), path)
    assert (path / "shapes" / "cells" / "shapes.parquet").read_bytes() == before
    assert "new" not in opened.table.obs


def test_an_empty_polygon_is_named(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr", attrs={"spatial_unit": "um"})
    frame = gpd.read_parquet(path / "shapes" / "cells" / "shapes.parquet")
    shapes = frame.geometry.to_numpy().copy()
    shapes[3] = shapely.Polygon()
    frame.geometry = shapes
    frame.to_parquet(path / "shapes" / "cells" / "shapes.parquet")
    with pytest.raises(InputError, match=r"1 of 12 cells have no coordinates \(NaN or infinite\)"):
        open_section(path)


def test_a_store_with_one_cell_is_saved(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr", cells=1)
    opened = open_section(path)
    assert len(opened.section) == 1
    write_results(opened.source, lambda table: table.obs.insert(0, "new", 1), path)
    assert read_table(path).obs["new"].tolist() == [1]


def test_ids_that_occur_twice_in_a_store(tiny, tmp_path):
    def edit(table):
        table.obs_names = ["a", "a", *table.obs_names[2:]]

    path = tiny.store(tmp_path / "x.zarr", edit=edit)
    before = snapshot(path)
    with pytest.raises(InputError, match=r"1 cell ids occur more than once \('a'\)"):
        open_section(path)
    assert snapshot(path) == before
