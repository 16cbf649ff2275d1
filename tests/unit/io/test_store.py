"""Results are written whole, verified, and harm nothing."""

import errno
import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import spatialdata
import zarr
from anndata.tests.helpers import assert_equal

from tagscope.errors import ArgumentError, OutputError
from tagscope.io import store as stores
from tagscope.io.readers import open_section
from tagscope.io.slots import Changes
from tagscope.io.store import read_table, write_results

HERE = Path(__file__).parent


def add_results(table):
    """What a model writes: a label, its colours, an embedding, a sparse layer, provenance."""
    codes = np.arange(table.n_obs) % 2
    table.obs["cellmemory"] = pd.Categorical.from_codes(codes, categories=["T", "B"])
    table.uns["cellmemory_colors"] = np.array(["#e69f00", "#56b4e9"])
    table.obsm["X_cellmemory"] = np.ones((table.n_obs, 3), np.float32)
    table.layers["cellmemory_attention"] = sp.random_array(
        table.shape, density=0.5, format="csr", dtype=np.float32, rng=0
    )
    table.uns["tagscope"] = {"cellmemory": json.dumps({"verb": "annotate"})}


def digests(folder):
    """sha256 of every file of a folder, by relative path."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def elements(folder):
    """Digests of everything but the tables and the root's metadata."""
    return {
        name: d for name, d in digests(folder).items() if name.split("/")[0] in ("images", "shapes")
    }


def listing(folder):
    return sorted(p.name for p in folder.iterdir())


def mapped(path):
    """A table read through the root's consolidated metadata."""
    return zarr.open_group(path, mode="r")["tables/table"]


def refuse(table):
    raise ValueError("the model has failed")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_new_store_is_a_copy_with_results(tiny, tmp_path, zarr_format):
    path = tiny.store(tmp_path / "x.zarr", attrs={"study": "one"}, zarr_format=zarr_format)
    before = digests(path)
    opened = open_section(path)
    out = write_results(opened.source, add_results, tmp_path / "new" / "y.zarr")
    assert digests(path) == before
    assert elements(out) == elements(path)
    with stores.quietly():
        written = spatialdata.read_zarr(out)
    table = written["table"]
    assert table.obs["cellmemory"].cat.categories.tolist() == ["T", "B"]
    assert table.uns["spatialdata_attrs"] == opened.table.uns["spatialdata_attrs"]
    assert_equal(read_table(path), strip(table))
    assert zarr.open_group(out, mode="r").metadata.zarr_format == zarr_format
    assert "cellmemory" in mapped(out)["obs"]
    if zarr_format == 3:
        assert written.attrs["study"] == "one"
    np.testing.assert_array_equal(open_section(out).section.xy, opened.section.xy)


def strip(table):
    """The table without what ``add_results`` added."""
    table = table.copy()
    del table.obs["cellmemory"], table.obsm["X_cellmemory"], table.layers["cellmemory_attention"]
    del table.uns["cellmemory_colors"], table.uns["tagscope"]
    return table


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_in_place_everything_else_stays_byte_for_byte(tiny, tmp_path, zarr_format):
    path = tiny.store(tmp_path / "x.zarr", zarr_format=zarr_format)
    before, old = elements(path), read_table(path)
    assert len(before) > 4
    inode = (path / "shapes" / "cells" / "shapes.parquet").stat().st_ino
    write_results(open_section(path).source, add_results, path)
    assert elements(path) == before
    assert (path / "shapes" / "cells" / "shapes.parquet").stat().st_ino == inode, "linked"
    assert (path / "shapes" / "cells" / "shapes.parquet").stat().st_nlink == 1
    assert_equal(old, strip(read_table(path)))
    assert "cellmemory" in mapped(path)["obs"], "consolidated metadata tells of it"
    assert listing(tmp_path) == ["x.zarr"]
    write_results(open_section(path).source, lambda table: table.obs.pop("cellmemory"), path)
    assert "cellmemory" not in read_table(path).obs


def test_without_links_files_are_copied(tiny, tmp_path, monkeypatch):
    link = os.link  # zarr makes links too

    def no_links(source, target, **named):
        if named:
            raise OSError(errno.ENOTSUP, "Operation not supported")
        link(source, target)

    path = tiny.store(tmp_path / "x.zarr")
    before = elements(path)
    monkeypatch.setattr(os, "link", no_links)
    write_results(open_section(path).source, add_results, path)
    assert elements(path) == before
    assert "cellmemory" in read_table(path).obs
    assert listing(tmp_path) == ["x.zarr"]


def test_an_h5ad_in_place_and_anew(tiny, tmp_path):
    path = tmp_path / "x.h5ad"
    tiny.table().write_h5ad(path)
    source = open_section(path).source
    out = write_results(source, add_results, tmp_path / "y.h5ad")
    write_results(source, add_results, path)
    for written in (read_table(path), read_table(out)):
        assert_equal(tiny.table(), strip(written))
    assert listing(tmp_path) == ["x.h5ad", "y.h5ad"]


def test_an_h5ad_becomes_a_store(tiny, tmp_path):
    tiny.table(uns={"source": {"um_per_unit": 0.5}}).write_h5ad(tmp_path / "x.h5ad")
    opened = open_section(tmp_path / "x.h5ad")
    out = write_results(opened.source, add_results, tmp_path / "y.zarr")
    again = open_section(out)
    np.testing.assert_allclose(again.section.xy, opened.section.xy)
    assert (again.section.unit, again.um_per_unit) == ("µm", 0.5)
    assert again.section.ids.tolist() == opened.section.ids.tolist()
    assert spatialdata.read_zarr(out).shapes["cells"]["radius"].iloc[0] == 5.0
    assert again.notes[0].code == "converted"


def test_a_store_becomes_an_h5ad_with_coordinates(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr", scale=2.0, attrs={"um_per_unit": 0.25})
    opened = open_section(path)
    again = open_section(write_results(opened.source, add_results, tmp_path / "y.h5ad"))
    np.testing.assert_allclose(again.section.xy, opened.section.xy)
    np.testing.assert_allclose(again.section.xy, tiny.centres() / 2)
    assert again.section.unit == "µm"


def test_a_part_goes_to_a_new_store_alone(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr", regions=("left", "right"))
    before = digests(path)
    source = open_section(path, region="right", where='cell_type == "B"').source
    with pytest.raises(ArgumentError, match=r"4 of the table's 24 rows.*Write elsewhere"):
        write_results(source, add_results, path)
    assert digests(path) == before
    out = write_results(source, add_results, tmp_path / "y.zarr")
    again = open_section(out)
    assert again.section.ids.tolist() == ["right-1", "right-4", "right-7", "right-10"]
    assert again.table.uns["spatialdata_attrs"]["region"] == "right"
    assert set(again.sdata.shapes) == {"left", "right"}


def test_existing_outputs(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr")
    source = open_section(path).source
    out = write_results(source, add_results, tmp_path / "y.zarr")
    before = digests(out)
    with pytest.raises(OutputError, match="exists already"):
        write_results(source, refuse, out)
    assert digests(out) == before
    write_results(source, lambda table: None, out, overwrite=True)
    assert "cellmemory" not in read_table(out).obs
    with pytest.raises(OutputError, match="inside the section's own folder"):
        write_results(source, add_results, path / "y.zarr")


@pytest.mark.parametrize("name", ["x.zarr", "y.zarr", "y.h5ad"])
def test_a_failure_leaves_everything_as_it_was(tiny, tmp_path, name):
    path = tiny.store(tmp_path / "x.zarr")
    before = digests(tmp_path)
    with pytest.raises(ValueError, match="the model has failed"):
        write_results(open_section(path).source, refuse, tmp_path / name)
    assert digests(tmp_path) == before


def test_what_is_not_read_back_the_same_is_not_kept(tiny, tmp_path, monkeypatch):
    path = tiny.store(tmp_path / "x.zarr")
    before = digests(tmp_path)
    write_truly = stores.write_changes

    def write_wrongly(group, table, changed, step):
        wrong = {**changed.written, ("obsm", "X_cellmemory"): np.zeros((12, 3), np.float32)}
        write_truly(group, table, Changes(wrong, ()), step)

    monkeypatch.setattr(stores, "write_changes", write_wrongly)
    with pytest.raises(OutputError, match=r"the same: obsm\['X_cellmemory'\] differs"):
        write_results(open_section(path).source, add_results, path)
    assert digests(tmp_path) == before


@pytest.mark.skipif(sys.platform != "linux", reason="audit of Linux's exchange of two names")
def test_a_kill_at_any_moment_leaves_the_old_or_the_new(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr")
    with subprocess.Popen(
        [sys.executable, HERE / "killed_writer.py", path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:

        def save(value, moment=0, after=0):
            writer.stdin.write(f"{value} {moment} {after}\n")
            writer.stdin.flush()
            return json.loads(writer.stdout.readline())

        whole = save(0)
        assert whole["signal"] == 0
        others = elements(path)
        early = random.Random(0).sample(range(1, whole["before"]), 8)
        late = [1, 2, 3, whole["after"] - 1]
        kept, outcomes = 0, []
        moments = [(moment, 0) for moment in early] + [(0, after) for after in late]
        for value, (moment, after) in enumerate(moments, start=1):
            assert save(value, moment, after)["signal"] == 9
            found = set(spatialdata.read_zarr(path)["table"].obs["run"])
            assert found in ({kept}, {value})
            assert set(mapped(path)["obs/run"][:]) == found
            assert elements(path) == others
            outcomes.append(found == {value})
            kept = found.pop()
        assert outcomes == [False] * 9 + [True] * 3, "the exchange is the moment"
        assert save(99)["signal"] == 0
        writer.stdin.close()
    assert set(read_table(path).obs["run"]) == {99}
    assert listing(tmp_path) == ["x.zarr"], "remains of the killed are swept"


@pytest.mark.parametrize("name", ["x.zarr", "y.zarr", "y.h5ad"])
def test_a_full_disk(tiny, small_disk, name):
    path = tiny.store(small_disk / "x.zarr")
    source = open_section(path).source
    before = digests(small_disk)

    def add_much(table):
        table.obsm["X_cellmemory"] = np.random.default_rng(0).random((table.n_obs, 30_000))

    with pytest.raises(OutputError, match="no space left"):
        write_results(source, add_much, small_disk / name)
    assert digests(small_disk) == before
    assert listing(small_disk) == ["x.zarr"]
    assert len(open_section(path).section) == 12


def test_a_read_only_disk(tiny, small_disk):
    path = tiny.store(small_disk / "x.zarr")
    before = digests(path)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(OutputError, match="read-only"):
        write_results(open_section(path).source, add_results, path)
    assert digests(path) == before


@pytest.mark.skipif(os.name != "posix", reason="file size limits are a POSIX thing")
@pytest.mark.parametrize("name", ["x.zarr", "y.h5ad"])
def test_a_write_that_the_system_refuses(tiny, tmp_path, name):
    path = tiny.store(tmp_path / "x.zarr")
    before = digests(tmp_path)
    code = f"""
import resource, signal
import numpy as np
from tagscope.errors import OutputError
from tagscope.io.readers import open_section
from tagscope.io.store import write_results

def add_much(table):
    table.obsm["X_cellmemory"] = np.random.default_rng(0).random((table.n_obs, 30_000))

source = open_section({str(path)!r}).source
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    write_results(source, add_much, {str(tmp_path / name)!r})
except OutputError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "larger than the system allows" in ran.stdout
    assert digests(tmp_path) == before
