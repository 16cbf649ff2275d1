"""Shapes that a result brings are written with it, or not at all."""

from __future__ import annotations

import errno
import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
import spatialdata
import zarr
from spatialdata.transformations import get_transformation

from tagscope.errors import ArgumentError, OutputError
from tagscope.io import shapes as writing
from tagscope.io.h5ad import quietly
from tagscope.io.readers import open_section
from tagscope.io.shapes import has_one_place, placed
from tagscope.io.store import read_table, write_results

NAME = "smoothed_domains"


def frame(high=40.0):
    return geopandas.GeoDataFrame(
        {"domain": ["Domain 1", "Domain 2"]},
        geometry=[shapely.box(0, 0, 20, high), shapely.box(20, 0, 40, high)],
        index=["Domain 1", "Domain 2"],
    )


def write(table):
    table.obs["run"] = 1


def digests(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def saved(opened, out, high=40.0, **options):
    return write_results(
        opened.source, write, out, draw=lambda: {NAME: placed(frame(high), opened)}, **options
    )


def read(path):
    with quietly():
        return spatialdata.read_zarr(path)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("in_place", [False, True])
def test_a_store_gets_them_beside_its_own(tiny, tmp_path, zarr_format, in_place):
    path = tiny.store(tmp_path / "x.zarr", zarr_format=zarr_format)
    before = digests(path)
    out = saved(open_section(path), path if in_place else tmp_path / "y.zarr")
    store = read(out)
    assert set(store.shapes) == {"cells", NAME}
    found = store.shapes[NAME]
    assert shapely.equals(found.geometry.to_numpy(), frame().geometry.to_numpy()).all()
    assert found["domain"].tolist() == ["Domain 1", "Domain 2"]
    assert zarr.open_group(out, mode="r").metadata.zarr_format == zarr_format
    assert f"shapes/{NAME}" in dict(zarr.open_group(out, mode="r").members(max_depth=None))
    assert set(read_table(out).obs["run"]) == {1}
    kept = {name: d for name, d in digests(out).items() if name in before}
    assert all(kept[n] == before[n] for n in before if n.startswith(("images/", "shapes/cells")))
    assert not list(out.glob(".shapes*")), "nothing is left of what was written apart"


def test_they_lie_where_the_cells_lie(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr", scale=2.0, system="microns")
    opened = open_section(path)
    out = saved(opened, tmp_path / "y.zarr")
    moved = get_transformation(read(out).shapes[NAME], get_all=True)
    assert list(moved) == ["microns"]
    again = spatialdata.transform(read(out).shapes[NAME], to_coordinate_system="microns")
    np.testing.assert_allclose(again.total_bounds, frame().total_bounds / opened.um_per_unit)


def test_an_h5ad_becomes_a_store_with_them_and_stays_a_file_without(tiny, tmp_path):
    tiny.table().write_h5ad(tmp_path / "x.h5ad")
    opened = open_section(tmp_path / "x.h5ad")
    assert set(read(saved(opened, tmp_path / "y.zarr")).shapes) == {"cells", NAME}

    def draw():
        raise AssertionError("drawn for nobody")

    out = write_results(opened.source, write, tmp_path / "y.h5ad", draw=draw)
    assert set(read_table(out).obs["run"]) == {1}


def test_a_store_without_shapes_gets_its_first(tiny, tmp_path):
    path = tiny.label_store(tmp_path / "x.zarr")
    assert not (path / "shapes").exists()
    saved(open_section(path), path)
    assert set(read(path).shapes) == {NAME}


def test_earlier_ones_are_replaced_when_asked(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr")
    saved(open_section(path), path)
    before = digests(path)
    with pytest.raises(ArgumentError, match=f"already has shapes\\['{NAME}'\\]"):
        saved(open_section(path), path, high=10.0)
    assert digests(path) == before
    saved(open_section(path), path, high=10.0, overwrite=True)
    assert read(path).shapes[NAME].total_bounds[3] == 10


def test_a_name_that_another_element_has_is_refused(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr")
    opened = open_section(path)
    before = digests(path)
    with pytest.raises(ArgumentError, match=r"has images\['image'\]"):
        write_results(opened.source, write, path, draw=lambda: {"image": placed(frame(), opened)})
    assert digests(path) == before


@pytest.mark.parametrize("moment", ["made", "read back", "moved"])
def test_a_write_that_fails_harms_nothing(tiny, tmp_path, monkeypatch, moment):
    path = tiny.store(tmp_path / "x.zarr")
    opened, before = open_section(path), digests(path)

    def fail(*_given, **_named):
        raise OSError(errno.ENOSPC, "No space left on device")

    place, name = {
        "made": (spatialdata.SpatialData, "write"),
        "read back": (spatialdata, "read_zarr"),
        "moved": (Path, "rename"),
    }[moment]
    monkeypatch.setattr(place, name, fail)
    with pytest.raises(OutputError, match="no space left"):
        saved(opened, path)
    monkeypatch.undo()
    assert digests(path) == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.zarr"]


KILLED = """
import os, pathlib, signal, sys
import geopandas, shapely
from tagscope.io.readers import open_section
from tagscope.io.shapes import placed
from tagscope.io.store import write_results

pathlib.Path.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
opened = open_section(sys.argv[1])
frame = geopandas.GeoDataFrame(geometry=[shapely.box(0, 0, 20, 20)])
draw = lambda: {"smoothed_domains": placed(frame, opened)}
write_results(opened.source, lambda table: None, sys.argv[1], draw=draw)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_kill_on_the_way_leaves_the_old_store(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr")
    before = digests(path)
    ran = subprocess.run([sys.executable, "-c", KILLED, path], check=False, capture_output=True)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    assert digests(path) == before
    saved(open_section(path), path)
    assert set(read(path).shapes) == {"cells", NAME}
    assert [p.name for p in tmp_path.iterdir()] == ["x.zarr"], "remains are swept"


def test_what_is_not_read_back_the_same_is_refused(tiny, tmp_path, monkeypatch):
    path = tiny.store(tmp_path / "x.zarr")
    opened, before = open_section(path), digests(path)
    monkeypatch.setattr(writing.shapely, "equals_exact", lambda one, _other: np.zeros(len(one)))
    with pytest.raises(OutputError, match=f"shapes/{NAME} differs"):
        saved(opened, path)
    assert digests(path) == before


def test_sections_of_several_coordinate_systems_have_no_one_place(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr", regions=("one", "two"))
    assert has_one_place(open_section(path, region="*"))
