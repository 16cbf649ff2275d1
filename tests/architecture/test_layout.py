"""Rules of the house that no linter checks."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = sorted((PROJECT / "src").rglob("*.py"))
GUI = ("napari", "qtpy", "PyQt6", "PySide6", "vispy", "superqt", "magicgui", "pyqtgraph")
LONGEST_FILE = 500
LONGEST_FUNCTION = 60


def _in_fresh_interpreter(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["tagscope", "tagscope.api", "tagscope.cli.main"])
def test_the_engine_loads_no_gui(module):
    code = f"import sys, {module}; print([m for m in {GUI!r} if m in sys.modules])"
    assert _in_fresh_interpreter(code) == "[]"


def test_import_is_quick():
    code = "import time; t = time.perf_counter(); import tagscope; print(time.perf_counter() - t)"
    assert float(_in_fresh_interpreter(code)) < 3.0


@pytest.mark.parametrize(
    "module",
    [
        ".".join(path.relative_to(PROJECT / "src").with_suffix("").parts)
        for path in SOURCES
        if path.name == "network.py"
    ],
)
def test_networks_import_with_torch_and_numpy_alone(module):
    code = (
        f"import sys, {module}; "
        "print([m for m in ('anndata', 'scipy', 'pandas', 'spatialdata') if m in sys.modules])"
    )
    assert _in_fresh_interpreter(code) == "[]"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PROJECT / "src")))
def test_files_and_functions_stay_small(path):
    text = path.read_text()
    assert text.count("\n") <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{node.name} has {length} lines"


def test_no_module_is_a_drawer_for_odds_and_ends():
    assert not [p for p in SOURCES if p.stem in ("utils", "helpers", "common", "misc")]


def test_the_top_level_is_the_fixed_one():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if tracked.returncode:
        pytest.skip("not a git checkout")
    top = {line.split("/")[0] for line in tracked.stdout.splitlines()}
    allowed = {"pyproject.toml", "src", "tests", "sample_data", "docs", "README.md", "LICENSE"}
    assert {name for name in top if not name.startswith(".")} <= allowed
