"""The simulator's layouts by command: a folder, its reference and its truth."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from tagscope.api import Layout
from tagscope.cli.main import main
from tagscope.core.vendors import vendor_of

LAYOUTS = [layout for layout in get_args(Layout) if layout != "spatialdata"]
NAMES = {
    "xenium": "Xenium",
    "xenium-2": "Xenium",
    "merscope": "MERSCOPE",
    "cosmx": "CosMx",
    "visium": "Visium, Visium HD",
    "visium-hd": "Visium, Visium HD",
    "stereo-seq": "Stereo-seq",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_of_every_layout_is_told_by_its_files(folder_of, layout):
    assert vendor_of(folder_of(layout)).name == NAMES[layout]


def test_the_command_writes_a_folder_that_check_takes(tmp_path, capsys):
    out = tmp_path / "tissue"
    size = ["--cells", "500", "--reference-cells", "1000"]
    assert main(["simulate", "--out", str(out), "--layout", "merscope", *size]) == 0
    assert "wrote section, reference.h5ad and truth.json" in capsys.readouterr().out
    assert {p.name for p in out.iterdir()} == {"section", "reference.h5ad", "truth.json"}
    assert len(json.loads((out / "truth.json").read_text())["types"]) == 500
    assert main(["check", str(out / "section")]) == 0
    said = capsys.readouterr().out
    assert "MERSCOPE" in said
    assert "500 (polygons, µm)" in said
