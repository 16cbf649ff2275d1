"""An hour of computing is not lost: what can be known is told before, what fails leaves a file."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from anndata import read_h5ad

from tagscope.api import annotation as verb
from tagscope.api import open_section
from tagscope.io import beforehand
from tagscope.io.lock import locked


@pytest.fixture
def work(tmp_path, monkeypatch):
    """An empty current folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def uncomputed(monkeypatch):
    """Computing has not begun."""

    def fail(*_given):
        raise AssertionError("computing began")

    monkeypatch.setattr(verb, "load_model", fail)


def annotate_in_place(tagscope, section, bundle, *words, out=None):
    out = section if out is None else out
    return tagscope("annotate", section, "--bundle", bundle, "--out", out, "--attention", *words)


def assert_refused(ran, *said, code=1):
    assert ran.code == code, ran.err
    (line,) = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    for words in said:
        assert words in line


@pytest.mark.usefixtures("uncomputed")
def test_a_read_only_disk_is_known_beforehand(tagscope, bundle, section, small_disk):
    path = shutil.copy(section, small_disk / "section.h5ad")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert_refused(annotate_in_place(tagscope, path, bundle), "read-only", "--out")
    ran = annotate_in_place(tagscope, path, bundle, out=small_disk / "other.h5ad")
    assert_refused(ran, "the file system is read-only", "--out")


@pytest.mark.usefixtures("uncomputed")
def test_a_read_only_file_is_known_beforehand(tagscope, bundle, section, monkeypatch):
    access = os.access  # which says yes to whoever may do everything
    monkeypatch.setattr(
        os, "access", lambda path, mode: Path(path) != section and access(path, mode)
    )
    before = section.read_bytes()
    assert_refused(annotate_in_place(tagscope, section, bundle), "section.h5ad is read-only")
    assert section.read_bytes() == before


@pytest.mark.usefixtures("uncomputed")
def test_what_the_path_forbids_is_known_beforehand(tagscope, bundle, section, tmp_path):
    ran = annotate_in_place(tagscope, section, bundle, out="s3://bucket/x.zarr")
    assert_refused(ran, "address on the network", "--out")
    (tmp_path / "there.h5ad").touch()
    ran = annotate_in_place(tagscope, section, bundle, out=tmp_path / "there.h5ad")
    assert_refused(ran, "exists already", "--overwrite")
    ran = annotate_in_place(tagscope, section, bundle, "--where", "index < 10")
    assert_refused(ran, "10 of the table's 60 rows", "Options: --out.", code=2)


@pytest.mark.usefixtures("uncomputed")
def test_another_writer_is_known_beforehand(tagscope, bundle, section):
    with locked(section):
        ran = annotate_in_place(tagscope, section, bundle)
    assert_refused(ran, f"is being written by process {os.getpid()}")


@pytest.mark.usefixtures("uncomputed")
def test_a_taken_key_is_known_beforehand(tagscope, bundle, table, tmp_path):
    table.obs["cellmemory"] = "T"
    table.write_h5ad(tmp_path / "x.h5ad")
    ran = annotate_in_place(tagscope, tmp_path / "x.h5ad", bundle)
    assert_refused(ran, "already has obs['cellmemory']", "--key", code=2)


@pytest.mark.usefixtures("uncomputed")
@pytest.mark.parametrize("name", ["section.h5ad", "copy.h5ad"])
def test_too_little_room_is_known_beforehand(tagscope, bundle, section, monkeypatch, name):
    room = shutil.disk_usage(section.parent)._replace(free=section.stat().st_size // 2)
    monkeypatch.setattr(beforehand.shutil, "disk_usage", lambda folder: room)
    ran = annotate_in_place(tagscope, section, bundle, out=section.parent / name)
    assert_refused(ran, "needs at least", "MB are free", "Free some space")


def after_computing(monkeypatch, change):
    """Let something happen while cells are annotated."""
    compute = verb._annotate

    def computed(*given, **named):
        result = compute(*given, **named)
        change()
        return result

    monkeypatch.setattr(verb, "_annotate", computed)


def assert_kept(ran, kept, original):
    assert_refused(ran, "The result is not lost", str(kept), f"tagscope view {kept}")
    opened = open_section(kept)
    assert "cellmemory" in opened.table.obs
    assert opened.table.layers["cellmemory_attention"].nnz
    assert opened.table.uns["tagscope"]["cellmemory"]
    np.testing.assert_allclose(opened.section.xy, original.section.xy)
    assert opened.section.unit == original.section.unit
    assert (opened.section.cells.values != original.section.cells.values).nnz == 0


def test_what_another_program_changed_meanwhile(tagscope, bundle, section, work, monkeypatch):
    original = open_section(section)
    after_computing(monkeypatch, lambda: os.utime(section, ns=(1, 1)))
    ran = annotate_in_place(tagscope, section, bundle)
    assert_refused(ran, "changed by another program")
    assert_kept(ran, work / "section-cellmemory.h5ad", original)
    assert "cellmemory" not in read_h5ad(section).obs
    os.utime(section)
    ran = annotate_in_place(tagscope, section, bundle)
    assert_kept(ran, work / "section-cellmemory-2.h5ad", original)


def test_a_store_that_is_gone_meanwhile(tagscope, bundle, sample_data, work, monkeypatch):
    path = shutil.copytree(sample_data / "section.zarr", work.parent / "section.zarr")
    original = open_section(path)
    after_computing(monkeypatch, lambda: shutil.rmtree(path))
    ran = annotate_in_place(tagscope, path, bundle)
    assert_kept(ran, work / "section-cellmemory.h5ad", original)
    shown = tagscope("tags", work / "section-cellmemory.h5ad", "--out", work / "tags.csv")
    assert shown.code == 0, shown.err


def test_a_lock_that_came_meanwhile(tagscope, bundle, section, work, monkeypatch):
    original = open_section(section)
    lock = locked(section)
    after_computing(monkeypatch, lock.__enter__)
    ran = annotate_in_place(tagscope, section, bundle)
    lock.__exit__(None, None, None)
    assert_refused(ran, "is being written by")
    assert_kept(ran, work / "section-cellmemory.h5ad", original)


@pytest.mark.parametrize("room_for_current", [True, False])
def test_a_disk_that_is_full_meanwhile(
    tagscope, bundle, section, small_disk, work, monkeypatch, room_for_current
):
    path = shutil.copy(section, small_disk / "section.h5ad")
    before, original = path.read_bytes(), open_section(path)
    temporary = work.parent / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    if not room_for_current:
        monkeypatch.chdir(small_disk)

    def fill():
        free = shutil.disk_usage(small_disk).free
        (small_disk / "filling").write_bytes(bytes(free - 8192))

    after_computing(monkeypatch, fill)
    ran = annotate_in_place(tagscope, path, bundle)
    assert_refused(ran, "no space left")
    assert_kept(
        ran, (work if room_for_current else temporary) / "section-cellmemory.h5ad", original
    )
    assert path.read_bytes() == before
    assert sorted(os.listdir(small_disk)) == ["filling", "section.h5ad"]


def test_no_room_anywhere(tagscope, bundle, section, small_disk, monkeypatch):
    path = shutil.copy(section, small_disk / "section.h5ad")
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    monkeypatch.chdir(small_disk)
    free = shutil.disk_usage(small_disk).free
    fill = lambda: (small_disk / "filling").write_bytes(bytes(free - 4096))  # noqa: E731
    after_computing(monkeypatch, fill)
    ran = annotate_in_place(tagscope, path, bundle)
    assert_refused(ran, "no space left", "The result is lost", "Free some space")
    assert sorted(os.listdir(small_disk)) == ["filling", "section.h5ad"]
