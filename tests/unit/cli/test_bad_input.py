"""Whatever is wrong with the input: one clear message, the right exit code, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import spatialdata


def _left_beside(out: Path) -> list[str]:
    return sorted(p.name for p in out.parent.iterdir() if out.stem in p.name)


def _assert_refused(ran, out: Path, *said: str, code: int = 1) -> None:
    assert ran.code == code, ran.err
    lines = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, ran.err
    assert "Traceback" not in ran.err
    for words in said:
        assert words.lower() in lines[0].lower()
    assert _left_beside(out) == []


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "annotated.h5ad"


def test_a_file_that_is_not_a_store(tagscope, bundle, tmp_path, out):
    path = tmp_path / "notes.txt"
    path.write_text("not a section")
    ran = tagscope("annotate", path, "--bundle", bundle, "--out", out)
    _assert_refused(ran, out, "notes.txt")


def test_a_damaged_h5ad(tagscope, bundle, section, out):
    section.write_bytes(section.read_bytes()[:5000])
    ran = tagscope("annotate", section, "--bundle", bundle, "--out", out)
    _assert_refused(ran, out, "section.h5ad")


def test_a_path_that_is_not_there(tagscope, bundle, tmp_path, out):
    ran = tagscope("annotate", tmp_path / "absent.zarr", "--bundle", bundle, "--out", out)
    _assert_refused(ran, out, "absent.zarr")


def test_a_store_without_a_table(tagscope, bundle, tmp_path, out):
    path = tmp_path / "empty.zarr"
    spatialdata.SpatialData().write(path)
    ran = tagscope("annotate", path, "--bundle", bundle, "--out", out)
    _assert_refused(ran, out, "empty.zarr", "table")


def test_a_table_without_cells(tagscope, bundle, table, tmp_path, out):
    path = tmp_path / "nobody.h5ad"
    table[:0].copy().write_h5ad(path)
    ran = tagscope("annotate", path, "--bundle", bundle, "--out", out)
    _assert_refused(ran, out, "cells")


def test_a_table_without_coordinates(tagscope, bundle, table, tmp_path, out):
    del table.obsm["spatial"]
    path = tmp_path / "dissociated.h5ad"
    table.write_h5ad(path)
    ran = tagscope("annotate", path, "--bundle", bundle, "--out", out)
    _assert_refused(ran, out, "spatial")


def test_log_normalised_values(tagscope, bundle, table, tmp_path, out):
    table.X.data = np.log1p(table.X.data)
    path = tmp_path / "lognorm.h5ad"
    table.write_h5ad(path)
    ran = tagscope("annotate", path, "--bundle", bundle, "--out", out)
    _assert_refused(ran, out, "counts", "--normalised")


def test_log_normalised_values_are_read_when_meant(tagscope, bundle, table, tmp_path, out):
    table.X.data = np.log1p(table.X.data)
    path = tmp_path / "lognorm.h5ad"
    table.write_h5ad(path)
    ran = tagscope("annotate", path, "--bundle", bundle, "--out", out, "--normalised")
    assert ran.code == 0, ran.err


def test_no_shared_genes(tagscope, bundle, table, tmp_path, out):
    table.var.index = [f"Other{i}" for i in range(table.n_vars)]
    table.var = table.var[[]]
    path = tmp_path / "other_genes.h5ad"
    table.write_h5ad(path)
    ran = tagscope("annotate", path, "--bundle", bundle, "--out", out)
    _assert_refused(ran, out, "genes")


@pytest.mark.filterwarnings("ignore:Observation names are not unique:UserWarning")
def test_duplicate_cell_ids(tagscope, bundle, table, tmp_path, out):
    table.obs_names = ["same", "same", *table.obs_names[2:]]
    path = tmp_path / "twins.h5ad"
    table.write_h5ad(path)
    ran = tagscope("annotate", path, "--bundle", bundle, "--out", out)
    _assert_refused(ran, out, "same")


@pytest.mark.parametrize("part", ["weights.safetensors", "panel.json", "labels.json"])
def test_a_bundle_with_a_changed_byte(tagscope, bundle, section, tmp_path, out, part):
    copy = tmp_path / "changed"
    copy.mkdir()
    for file in bundle.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    content = bytearray((copy / part).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / part).write_bytes(content)
    ran = tagscope("annotate", section, "--bundle", copy, "--out", out)
    _assert_refused(ran, out, part)


def test_an_output_that_exists(tagscope, bundle, section, out):
    out.write_text("somebody's work")
    ran = tagscope("annotate", section, "--bundle", bundle, "--out", out)
    assert ran.code == 1
    assert "exists" in ran.err
    assert "--overwrite" in ran.err
    assert out.read_text() == "somebody's work"
    assert _left_beside(out) == [out.name]


def test_a_key_that_is_taken(tagscope, bundle, section, out):
    assert tagscope("annotate", section, "--bundle", bundle, "--out", out).code == 0
    before = out.read_bytes()
    again = out.with_name("again.h5ad")
    ran = tagscope("annotate", out, "--bundle", bundle, "--out", again)
    _assert_refused(ran, again, "--overwrite", "--key", code=2)
    assert out.read_bytes() == before


# in the child's own code: forking a process in which another test has started JAX is warned about
LIMITED = """
import resource, sys
from tagscope.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
sys.exit(main())
"""


@pytest.mark.skipif(os.name != "posix", reason="limits on file size are a POSIX feature")
def test_no_room_for_the_output(bundle, section, out):
    """A limit on file size fails a write as a full disk does; the full disk is tried in io."""
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED, "annotate", section, "--bundle", bundle, "--out", out],
        capture_output=True,
        text=True,
        check=False,
    )
    ran.code, ran.err = ran.returncode, ran.stderr
    _assert_refused(ran, out, "could not be written")


@pytest.mark.parametrize(
    "words",
    [
        ("annotate",),
        ("annotate", "x.zarr", "--bundle", "b", "--out", "o", "--batch-size", "0"),
        ("annotate", "x.zarr", "--bundle", "b", "--out", "o", "--precision", "int8"),
        ("nonsense",),
    ],
)
def test_wrong_arguments_exit_with_two(tagscope, words):
    ran = tagscope(*words)
    assert ran.code == 2
    assert "error: " in ran.err


def test_a_wrong_value_exits_with_two(tagscope, bundle, section, out):
    ran = tagscope("annotate", section, "--bundle", bundle, "--out", out, "--min-confidence", "7")
    _assert_refused(ran, out, "--min-confidence", code=2)
    ran = tagscope("annotate", section, "--bundle", bundle, "--out", out, "--where", "nobody > 3")
    _assert_refused(ran, out, "nobody", code=2)


@pytest.mark.parametrize(
    "command",
    [
        "simulate",
        "check",
        "info",
        "train",
        "annotate",
        "tags",
        "evaluate",
        "distances",
        "export",
        "view",
    ],
)
def test_help_has_an_example(tagscope, command):
    ran = tagscope(command, "--help")
    assert ran.code == 0
    assert f"tagscope {command}" in ran.out.split("example:")[1]


def test_a_reader_that_leaves_is_no_error_of_ours(sample_data):
    """As in ``tagscope info … | head``."""
    words = [sys.executable, "-m", "tagscope", "info", str(sample_data / "section.zarr")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ran:
        assert ran.stdout is not None
        assert ran.stderr is not None
        ran.stdout.close()
        said = ran.stderr.read().decode()
        assert ran.wait(60) == 1
    assert said == ""
