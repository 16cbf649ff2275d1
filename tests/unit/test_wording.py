"""What people read: in the window without options, on a terminal with them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tagscope
from tagscope.errors import ArgumentError, ChoiceError, options_text
from tagscope.io.findings import Finding
from tagscope.io.preflight import Preflight

READ_IN_THE_WINDOW = (
    "api", "core", "domains", "errors.py", "evaluation", "exporters", "inference", "interpret",
    "io", "models", "simulation", "training",
)  # fmt: skip


@pytest.mark.parametrize("place", READ_IN_THE_WINDOW)
def test_no_text_that_the_window_shows_speaks_of_options(place):
    root = Path(tagscope.__file__).parent
    found = root.glob(place) if place.endswith(".py") else (root / place).rglob("*.py")
    for file in found:
        code = re.sub(r'""".*?"""', "", file.read_text("utf-8"), flags=re.DOTALL)
        texts = re.findall(r'"[^"\n]*"', code)
        assert not [text for text in texts if re.search(r"(^| )--[a-z]|`tagscope ", text)], file


def test_choices_are_spelled_as_options():
    choices = {"um_per_unit": None, "region": "*", "normalised": True, "overwrite": False}
    assert options_text(choices) == "--um-per-unit, --region '*', --normalised, without --overwrite"


def test_a_finding_tells_a_terminal_its_option():
    finding = Finding("error", "choose-layer", "X.", "Y.", "Z.", {"layer": "raw counts"})
    assert "\n    Option: --layer 'raw counts'\n" in Preflight((finding,), {"path": "p"}).to_text()
    assert "--" not in str(finding)
    error = finding.to_error()
    assert isinstance(error, ArgumentError)
    assert error.choices == {"layer": "raw counts"}
    assert ChoiceError("X.", "Y.", "Z.", "table", ("a", "b")).choices == {"table": None}
