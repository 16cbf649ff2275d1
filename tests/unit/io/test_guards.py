"""Other writers, network addresses, full disks, cancels: nothing of anybody's is lost."""

import errno
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.provenance import Provenance
from tagscope.core.results import Annotation, AnnotationResult, GeneScores
from tagscope.errors import InputError, OutputError
from tagscope.io import atomic
from tagscope.io.lock import locked
from tagscope.io.preflight import check
from tagscope.io.readers import open_section
from tagscope.io.store import read_table, write_results
from tagscope.jobs import JobCancelled, JobContext

STAGES = ("writing MB", "verifying MB", "files onto the disk", "swapping")


def section(tiny, folder, name):
    """A store or an ``.h5ad`` on disk."""
    path = folder / name
    if path.suffix == ".h5ad":
        tiny.table().write_h5ad(path)
        return path
    return tiny.store(path)


def adding(key):
    """Add a result under a key."""

    def write(table):
        table.obs[key] = pd.Categorical(["a", "b"] * (table.n_obs // 2))

    return write


def result_of(opened, width=3):
    """What a model finds, over the section's cells and genes."""
    cells, genes = len(opened.section), len(opened.section.cells.panel)
    rng = np.random.default_rng(0)
    annotation = Annotation(
        opened.section.ids,
        LabelSet(("T", "B")),
        np.tile(np.float32([0.25, 0.75]), (cells, 1)),
        rng.random((cells, width), dtype=np.float32),
    )
    scores = sp.csc_matrix(np.ones((cells, genes), np.float32))
    panel = GenePanel(opened.section.cells.panel.symbols)
    gene_scores = GeneScores(opened.section.ids, panel, scores)
    return AnnotationResult(
        "cellmemory", annotation, gene_scores, None, Provenance("annotate", "cellmemory")
    )


@pytest.mark.parametrize("name", ["x.zarr", "x.h5ad"])
def test_what_another_program_changed_is_not_overwritten(tiny, tmp_path, name):
    path = section(tiny, tmp_path, name)
    opened = open_section(path)
    write_results(open_section(path).source, adding("theirs"), path)
    with pytest.raises(OutputError, match=r"changed by another program.*Open the section again"):
        write_results(opened.source, adding("ours"), path)
    assert "theirs" in read_table(path).obs
    assert "ours" not in read_table(path).obs
    out = write_results(opened.source, adding("ours"), tmp_path / f"copy-{name}")
    assert {"theirs", "ours"} <= set(read_table(out).obs)
    write_results(open_section(path).source, adding("ours"), path)
    assert {"theirs", "ours"} <= set(read_table(path).obs)


@pytest.mark.parametrize("name", ["x.zarr", "x.h5ad"])
def test_ones_own_change_is_known(tiny, tmp_path, name):
    path = section(tiny, tmp_path, name)
    source = open_section(path).source
    for key in ("first", "second", "third"):
        write_results(source, adding(key), path)
    assert {"first", "second", "third"} <= set(read_table(path).obs)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: (path / "tables/table/X/data/c/0").unlink(),
        lambda path: os.utime(path / "tables/table/obs/zarr.json", ns=(1, 1)),
        lambda path: (path / "tables/table/uns/new").mkdir() or touch(path, "uns/new/zarr.json"),
    ],
)
def test_any_change_of_a_file_is_noticed(tiny, tmp_path, change):
    path = tiny.store(tmp_path / "x.zarr")
    source = open_section(path).source
    change(path)
    with pytest.raises(OutputError, match="changed by another program"):
        write_results(source, adding("ours"), path)


def touch(path, name):
    (path / "tables" / "table" / name).touch()


def test_another_table_or_element_may_change(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr")
    source = open_section(path).source
    os.utime(path / "shapes" / "cells" / "shapes.parquet")
    write_results(source, adding("ours"), path)
    assert "ours" in read_table(path).obs


@pytest.mark.parametrize("name", ["x.zarr", "x.h5ad"])
def test_a_change_while_saving_is_noticed(tiny, tmp_path, name):
    path = section(tiny, tmp_path, name)
    source = open_section(path).source

    def write(table):
        adding("ours")(table)
        os.utime(path / "images/image/zarr.json" if path.is_dir() else path, ns=(1, 1))

    with pytest.raises(OutputError, match="changed by another program"):
        write_results(source, write, path)
    assert "ours" not in read_table(path).obs
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["x.zarr", "x.h5ad", "new.zarr"])
def test_of_two_writers_one_wins_and_the_other_is_refused(tiny, tmp_path, name):
    path = section(tiny, tmp_path, name.replace("new", "x"))
    first, second = open_section(path).source, open_section(path).source
    inside, done, refused = threading.Event(), threading.Event(), []

    def write(table):
        adding("first")(table)
        inside.set()
        done.wait(20)

    def save():
        write_results(first, write, tmp_path / name)

    thread = threading.Thread(target=save)
    thread.start()
    assert inside.wait(20)
    try:
        with pytest.raises(OutputError, match=rf"is being written by process {os.getpid()} on"):
            write_results(second, adding("second"), tmp_path / name)
    finally:
        done.set()
        thread.join()
    assert "first" in read_table(tmp_path / name).obs
    assert "second" not in read_table(tmp_path / name).obs
    assert not list(tmp_path.glob(".*")), refused


def test_the_lock_of_a_dead_process_counts_for_nothing(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr")
    code = f"""
import os, signal
from pathlib import Path
from tagscope.io.lock import locked
with locked(Path({str(path)!r})):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert (tmp_path / ".x.zarr.lock").exists()
    (tmp_path / f".x.zarr.lock.break.{2**22 + 1}.abc").touch()  # of one killed while taking over
    write_results(open_section(path).source, adding("ours"), path)
    assert "ours" in read_table(path).obs
    assert [p.name for p in tmp_path.iterdir()] == ["x.zarr"]


@pytest.mark.parametrize("content", ["", "17"])
def test_the_lock_of_a_process_killed_before_it_was_named(tiny, tmp_path, content):
    path = tiny.store(tmp_path / "x.zarr")
    (tmp_path / ".x.zarr.lock").write_text(content)
    write_results(open_section(path).source, adding("ours"), path)
    assert "ours" in read_table(path).obs
    assert [p.name for p in tmp_path.iterdir()] == ["x.zarr"]


def test_the_lock_of_another_machine_counts(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr")
    with locked(path):
        content = (tmp_path / ".x.zarr.lock").read_text()
    elsewhere = content.replace(socket.gethostname(), "node-17")
    (tmp_path / ".x.zarr.lock").write_text(elsewhere)
    with pytest.raises(OutputError, match=rf"process {os.getpid()} on node-17.*remove .*\.lock"):
        write_results(open_section(path).source, adding("ours"), path)


@pytest.mark.parametrize("url", ["https://example.org/x.zarr", "s3://bucket/x.zarr"])
def test_addresses_on_the_network(tiny, tmp_path, url, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tiny.store(tmp_path / "x.zarr")
    with pytest.raises(InputError, match=rf"{url} is an address.*Download it"):
        open_section(url)
    assert f"{url} is an address" in check(type(path)(url)).findings[0].found
    for out in (url, type(path)(url)):
        with pytest.raises(OutputError, match=rf"{url} is an address.*Write to a local"):
            write_results(open_section(path).source, adding("ours"), out)
    assert [p.name for p in tmp_path.iterdir()] == ["x.zarr"]


@pytest.mark.parametrize("name", ["x.zarr", "x.h5ad", "copy.zarr", "copy.h5ad"])
def test_progress_and_cancel(tiny, tmp_path, name):
    path = section(tiny, tmp_path, f"x{name[name.index('.') :]}")
    steps = []
    context = JobContext(steps.append)
    opened = open_section(path)
    write_results(
        opened.source, result_of(opened, 200_000).write_to, tmp_path / name, context=context
    )
    assert list(dict.fromkeys(step.stage for step in steps)) == list(STAGES)
    assert steps[-1].fraction == 1
    assert len({(step.stage, step.done) for step in steps}) > 6
    before = read_table(tmp_path / name)

    def cancel_half_way(progress):
        if progress.total > 1 and progress.done > progress.total / 2:
            context.cancel()

    context = JobContext(cancel_half_way)
    with pytest.raises(JobCancelled):
        write_results(
            opened.source,
            lambda table: table.obsm.__setitem__(
                "X_new", np.random.default_rng(0).random((12, 200_000))
            ),
            tmp_path / name,
            overwrite=True,
            context=context,
        )
    assert set(read_table(tmp_path / name).obsm) == set(before.obsm)
    assert not list(tmp_path.glob(".*"))


def content(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("name", ["x.zarr", "x.h5ad"])
def test_a_cancel_in_any_stage_leaves_what_was_there(tiny, tmp_path, name, stage):
    path = section(tiny, tmp_path, name)
    before = content(tmp_path)

    def cancel(progress):
        if progress.stage == stage:
            context.cancel()

    context = JobContext(cancel)
    opened = open_section(path)
    with pytest.raises(JobCancelled) as caught:
        write_results(opened.source, result_of(opened, 200_000).write_to, path, context=context)
    assert caught.value.args == (stage,)
    assert content(tmp_path) == before
    assert sorted(os.listdir(tmp_path)) == [name]


def test_a_cancel_after_the_swap_is_too_late(tiny, tmp_path):
    path = tiny.store(tmp_path / "x.zarr")
    context = JobContext()
    exchange = atomic.put_in_place

    def exchange_and_cancel(new, old):
        exchange(new, old)
        context.cancel()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "put_in_place", exchange_and_cancel)
        write_results(open_section(path).source, adding("ours"), path, context=context)
    assert "ours" in read_table(path).obs


def test_a_cancel_does_not_wait_for_the_device(tiny, tmp_path, monkeypatch):
    path = tiny.store(tmp_path / "x.zarr")
    let_go = threading.Event()
    monkeypatch.setattr(atomic, "_sync", lambda file: let_go.wait(20))
    context = JobContext(lambda progress: progress.stage == STAGES[2] and context.cancel())
    began = time.monotonic()
    with pytest.raises(JobCancelled):
        write_results(open_section(path).source, adding("ours"), path, context=context)
    assert time.monotonic() - began < 10
    let_go.set()
    assert os.listdir(tmp_path) == ["x.zarr"]
    assert "ours" not in read_table(path).obs


def test_a_device_that_fails_is_reported(tiny, tmp_path, monkeypatch):
    path = tiny.store(tmp_path / "x.zarr")
    before = content(tmp_path)

    def fail(file):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(file))

    monkeypatch.setattr(atomic, "_sync", fail)
    with pytest.raises(OutputError, match=r"x\.zarr could not be written: the device reported"):
        write_results(open_section(path).source, adding("ours"), path)
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", ["x.zarr", "x.h5ad"])
def test_after_a_full_disk_the_result_can_be_saved_elsewhere(tiny, small_disk, tmp_path, name):
    path = section(tiny, small_disk, name)
    opened = open_section(path)
    result = result_of(opened, width=100_000)
    with pytest.raises(OutputError, match="no space left"):
        write_results(opened.source, result.write_to, path)
    assert os.listdir(small_disk) == [name]
    assert "cellmemory" not in opened.table.obs
    out = write_results(opened.source, result.write_to, tmp_path / f"elsewhere-{name}")
    table = read_table(out)
    np.testing.assert_array_equal(table.obsm["X_cellmemory"], result.annotation.embedding)
    assert table.layers["cellmemory_attention"].nnz == 60


@pytest.mark.parametrize(("name", "most"), [("x.zarr", 1 << 20), ("x.h5ad", 130_000)])
def test_a_disk_that_is_full_at_any_moment(tiny, small_disk, name, most):
    """Every size of what else lies on the disk makes another write the one that fails."""
    path = section(tiny, small_disk, name)
    source = open_section(path).source
    embedding = np.random.default_rng(0).random((12, 100))

    def write(table):
        adding("ours")(table)
        table.obsm["X_ours"] = embedding
        table.layers["ours"] = sp.csr_matrix(np.ones(table.shape, np.float32))

    free = shutil.disk_usage(small_disk).free
    full, saved = 0, 0
    for left in np.linspace(0, min(free, most), 24, dtype=int):
        (small_disk / "filling").write_bytes(bytes(free - left))
        before = read_table(path)
        try:
            write_results(source, write, path)
            saved += 1
        except OutputError as error:
            assert "no space left" in str(error)  # noqa: PT017
            full += 1
            assert set(read_table(path).obs) == set(before.obs)
        assert sorted(os.listdir(small_disk)) == ["filling", name]
    assert full > 3
    assert saved


@pytest.mark.parametrize(("name", "odd"), [("x.h5ad", "x.h5"), ("x.zarr", "x.h5ad")])
def test_in_place_a_name_tells_nothing(tiny, tmp_path, name, odd):
    path = section(tiny, tmp_path, name).rename(tmp_path / odd)
    before = path.is_dir()
    write_results(open_section(path).source, adding("ours"), path)
    assert path.is_dir() == before
    assert "ours" in read_table(path).obs


def test_a_file_system_without_exchange(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "exchange", lambda first, second: False)
    path = tiny.store(tmp_path / "x.zarr")
    write_results(open_section(path).source, adding("ours"), path)
    assert "ours" in read_table(path).obs
    assert os.listdir(tmp_path) == ["x.zarr"]
