"""The set-up script, as far as it can be tried without setting up."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "src" / "bootstrap.py"


@pytest.fixture
def bootstrap(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    root = tmp_path / "a project"
    root.mkdir()
    (root / "pyproject.toml").write_text("[project]\nname = 'tagscope'\n")
    monkeypatch.setattr(module, "ROOT", root)
    monkeypatch.setattr(module, "VENV", root / ".venv")
    return module


def test_it_uses_the_standard_library_alone():
    code = f"import runpy; runpy.run_path({str(SCRIPT)!r}, run_name='bootstrap')"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, timeout=60)


def test_the_stamp_changes_with_pyproject_extra_and_place(bootstrap, monkeypatch, tmp_path):
    first = bootstrap.fingerprint("gui")
    assert bootstrap.fingerprint("gui") == first
    assert bootstrap.fingerprint("dev") != first
    (bootstrap.ROOT / "pyproject.toml").write_text("[project]\nname = 'tagscope'\nversion = '2'\n")
    second = bootstrap.fingerprint("gui")
    assert second != first
    moved = tmp_path / "moved"
    bootstrap.ROOT.rename(moved)
    monkeypatch.setattr(bootstrap, "ROOT", moved)
    assert bootstrap.fingerprint("gui") != second


def test_a_finished_set_up_is_not_done_again(bootstrap, monkeypatch):
    done: list[tuple[str, ...]] = []
    monkeypatch.setattr(bootstrap, "install_system_packages", lambda: None)
    monkeypatch.setattr(bootstrap, "pip", lambda *words, cwd=None: done.append(words))
    monkeypatch.setattr(bootstrap, "environment_works", lambda: True)
    bootstrap.VENV.mkdir()
    bootstrap.set_up("gui")
    assert [words[-1] for words in done] == [bootstrap.TORCH, f"{bootstrap.ROOT}[gui]"]
    bootstrap.set_up("gui")
    assert len(done) == 2


def test_two_set_ups_at_once_take_turns(bootstrap):
    inside: list[str] = []

    def hold(name: str) -> None:
        with bootstrap.locked(bootstrap.ROOT / ".lock"):
            inside.append(f"{name} in")
            time.sleep(0.1)
            inside.append(f"{name} out")

    threads = [threading.Thread(target=hold, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [word.split()[1] for word in inside] == ["in", "out", "in", "out"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="system packages are Linux's")
def test_without_rights_the_exact_command_is_printed(bootstrap, monkeypatch, capsys):
    monkeypatch.setattr(bootstrap, "missing_system_packages", lambda: ["xvfb", "libgl1"])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    bootstrap.install_system_packages()
    said = capsys.readouterr().err
    assert "sudo apt-get install --yes --no-install-recommends xvfb libgl1" in said


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Xvfb is Linux's")
def test_a_virtual_screen_comes_and_goes(bootstrap, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    assert not bootstrap.has_display() or os.environ.get("WAYLAND_DISPLAY")
    with bootstrap.virtual_screen() as one, bootstrap.virtual_screen() as other:
        assert one["DISPLAY"] != other["DISPLAY"]
        sockets = [Path(f"/tmp/.X11-unix/X{e['DISPLAY'][1:]}") for e in (one, other)]
        assert all(socket.exists() for socket in sockets)
    assert not any(socket.exists() for socket in sockets)


def test_the_demo_takes_no_further_arguments(bootstrap):
    with pytest.raises(SystemExit) as stop:
        bootstrap.main(["demo", "--fast"])
    assert stop.value.code == 2


@pytest.mark.parametrize("broken", [None, "tests/qt/test_window.py", "tests/test_rest.py"])
def test_windows_are_tested_beside_all_else(bootstrap, monkeypatch, capfd, broken):
    """One that fails on either side fails the whole, and what both say is shown."""
    monkeypatch.setattr(bootstrap, "venv_python", lambda: Path(sys.executable))
    monkeypatch.setattr(bootstrap.os, "cpu_count", lambda: 2)
    for name in ("tests/qt/test_window.py", "tests/test_rest.py"):
        path = bootstrap.ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"def test_{path.stem}(): assert {name != broken}\n")
    code = bootstrap.run_pytest([], dict(os.environ))
    said = capfd.readouterr().out
    assert bool(code) == (broken is not None)
    assert said.count("1 passed") == (1 if broken else 2)
    assert said.count("1 failed") == (1 if broken else 0)
    assert "== pytest tests/qt" in said


def test_tests_that_are_chosen_run_in_one_process(bootstrap, monkeypatch):
    ran = []
    monkeypatch.setattr(bootstrap, "run", lambda *words, environment: ran.append(words) or 3)
    assert bootstrap.run_pytest(["tests/qt", "-x"], {}) == 3
    assert ran == [("-m", "pytest", "tests/qt", "-x")]
