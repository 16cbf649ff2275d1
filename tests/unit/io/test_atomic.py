"""Outputs that appear whole or not at all."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from tagscope.errors import InputError, OutputError
from tagscope.io import atomic
from tagscope.io.atomic import beside, recover, written_whole


def write_folder(folder, text):
    folder.mkdir()
    (folder / "bundle.json").write_text(text)


def write_folder_and_raise(out, error):
    with written_whole(out, overwrite=True) as partial:
        write_folder(partial, "half")
        raise error


def must_not_write(out):
    with written_whole(out):
        raise AssertionError("the body must not run")


def listing(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_file_appears_with_its_suffix_and_nothing_beside_it(tmp_path):
    out = tmp_path / "new" / "table.csv"
    with written_whole(out) as partial:
        assert partial.suffix == ".csv"
        assert partial.parent == out.parent
        partial.write_text("a,b")
        assert not out.exists()
    assert out.read_text() == "a,b"
    assert listing(out.parent) == ["table.csv"]


def test_an_existing_output_is_not_replaced_unasked(tmp_path):
    out = tmp_path / "table.csv"
    out.write_text("old")
    with pytest.raises(OutputError, match=r"table\.csv exists already.*ask for it to be replaced"):
        must_not_write(out)
    assert out.read_text() == "old"
    with written_whole(out, overwrite=True) as partial:
        partial.write_text("new")
    assert out.read_text() == "new"


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_is_replaced_by_one_of_its_kind(tmp_path, monkeypatch, can_exchange):
    if not can_exchange:
        monkeypatch.setattr(atomic, "exchange", lambda first, second: False)
    out = tmp_path / "model"
    write_folder(out, "old")
    with written_whole(out, overwrite=True) as partial:
        write_folder(partial, "new")
    assert (out / "bundle.json").read_text() == "new"
    assert listing(tmp_path) == ["model"]


def test_a_folder_of_other_things_is_never_replaced(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    with (
        pytest.raises(OutputError, match="other contents"),
        written_whole(tmp_path / "home", overwrite=True) as partial,
    ):
        write_folder(partial, "new")
    assert (tmp_path / "home" / "thesis.txt").read_text() == "years of work"
    assert listing(tmp_path) == ["home"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("x"), InputError("x")])
def test_any_exception_leaves_things_as_they_were(tmp_path, error):
    out = tmp_path / "new" / "model"
    with pytest.raises(type(error)):
        write_folder_and_raise(out, error)
    assert listing(tmp_path) == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space left"),
        (OSError("Can't write data (file write failed, errno = 28, error ...)"), "no space left"),
        (OSError(errno.EROFS, "Read-only file system"), "read-only"),
        (OSError(errno.EDQUOT, "Quota exceeded"), "quota"),
    ],
)
def test_failures_to_write_are_said_in_words(tmp_path, error, reason):
    with pytest.raises(OutputError, match=reason) as caught:
        write_folder_and_raise(tmp_path / "model", error)
    assert caught.value.__cause__ is error
    assert listing(tmp_path) == []


def test_an_unreadable_input_is_not_called_an_output(tmp_path):
    denied = PermissionError(errno.EACCES, "denied", "/elsewhere/input.h5ad")
    with pytest.raises(PermissionError):
        write_folder_and_raise(tmp_path / "model", denied)


def test_a_parent_that_is_a_file_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="a part of the path is a file"):
        must_not_write(tmp_path / "file" / "table.csv")


def test_a_set_aside_folder_is_put_back(tmp_path):
    out = tmp_path / "model[1]"
    write_folder(beside(out, "replaced"), "old")
    recover(out)
    assert (out / "bundle.json").read_text() == "old"
    assert listing(tmp_path) == ["model[1]"]


def test_leftovers_of_a_killed_writer_are_swept(tmp_path):
    out = tmp_path / "table.csv"
    code = f"""
import os, signal
from pathlib import Path
from tagscope.io.atomic import written_whole
with written_whole(Path({str(out)!r})) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    assert len(listing(tmp_path)) == 1
    with written_whole(out) as partial:
        partial.write_text("whole")
    assert listing(tmp_path) == ["table.csv"]


def test_a_link_keeps_pointing_to_the_replaced_file(tmp_path):
    (tmp_path / "real.csv").write_text("old")
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "real.csv")
    with written_whole(link, overwrite=True) as partial:
        partial.write_text("new")
    assert link.is_symlink()
    assert (tmp_path / "real.csv").read_text() == "new"


@pytest.mark.skipif(os.name != "posix", reason="file size limits are a POSIX thing")
def test_a_real_write_failure_of_the_system(tmp_path):
    code = f"""
import resource, signal
from pathlib import Path
from tagscope.errors import OutputError
from tagscope.io.atomic import written_whole
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with written_whole(Path({str(tmp_path / "big.csv")!r})) as partial:
        partial.write_bytes(b"0" * 5000)
except OutputError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "larger than the system allows" in ran.stdout
    assert listing(tmp_path) == []
