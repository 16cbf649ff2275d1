"""Whole exports of a file, with their manifest."""

from __future__ import annotations

import hashlib
import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from tagscope.errors import ArgumentError, OutputError
from tagscope.exporters import ExportConfig, export


def _manifest(folder):
    return json.loads((folder / "manifest.json").read_text())["files"]


def test_csv(store, tmp_path, section):
    out = export(store, "csv", tmp_path / "out" / "cells.csv")
    frame = pd.read_csv(out)
    assert list(frame["cell_id"]) == list(section.ids)
    assert {"cellmemory", "cellmemory_alternative_1"} <= set(frame)


def test_h5ad(store, tmp_path, table):
    copy = ad.read_h5ad(export(store, "h5ad", tmp_path / "out" / "copy.h5ad"))
    pd.testing.assert_series_equal(copy.obs["cellmemory"], table.obs["cellmemory"])
    np.testing.assert_array_equal(copy.X.toarray(), table.X.toarray())
    np.testing.assert_array_equal(
        copy.layers["cellmemory_attention"].toarray(),
        table.layers["cellmemory_attention"].toarray(),
    )


def test_figures(store, tmp_path):
    for name, options in {
        "labels.png": {},
        "layers.svg": {"color": "layer"},
        "attention.pdf": {"gene": "Gfap"},
        "expression.png": {"gene": "Gfap", "what": "expression"},
    }.items():
        out = export(store, "figure", tmp_path / "out" / name, dpi=60, **options)
        assert out.stat().st_size > 2000
    assert set(_manifest(tmp_path / "out")) == {
        "labels.png",
        "layers.svg",
        "attention.pdf",
        "expression.png",
    }


def test_the_manifest_says_how_the_file_came_to_be(store, tmp_path):
    export(store, "csv", tmp_path / "out" / "cells.csv")
    entry = _manifest(tmp_path / "out")["cells.csv"]
    content = (tmp_path / "out" / "cells.csv").read_bytes()
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert entry["provenance"]["cellmemory"]["parameters"] == {"seed": 3}
    assert (entry["format"], entry["cells"], entry["source"]) == ("csv", 60, str(store))


def test_an_existing_file_is_replaced_only_when_asked(store, tmp_path):
    out = tmp_path / "cells.csv"
    out.write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        export(store, "csv", out)
    assert out.read_text() == "mine"
    assert not (tmp_path / "manifest.json").exists()
    export(store, "csv", out, overwrite=True)
    assert out.read_text().startswith("cell_id,")


@pytest.mark.parametrize("content", ['{"name": "another tool"}', "[]", "no json"])
def test_the_manifest_of_another_tool_is_not_touched(store, tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(OutputError, match="not written by TAGscope"):
        export(store, "csv", tmp_path / "cells.csv", overwrite=True)
    assert (tmp_path / "manifest.json").read_text() == content
    assert not (tmp_path / "cells.csv").exists()


@pytest.mark.parametrize(
    ("to", "name", "options", "said"),
    [
        ("figure", "a.gif", {}, "must end in .png or .svg or .pdf"),
        ("csv", "a.xlsx", {}, "must end in .csv"),
        ("xlsx", "a.xlsx", {}, "h5ad, csv, figure"),
        ("figure", "a.png", {"color": "nothing"}, "no column 'nothing'"),
        ("figure", "a.png", {"gene": "Sox2"}, "not measured"),
        ("figure", "a.png", {"gene": "Gfap", "color": "layer"}, "one of them"),
        ("figure", "a.png", {"gene": "Gfap", "what": "slots"}, "attention, expression"),
        ("figure", "a.png", {"dpi": 3}, "dots per inch"),
        ("figure", "a.png", {"colour": "layer"}, "'colour'"),
        ("csv", "a.csv", {"key": "other"}, "no annotation 'other'"),
    ],
)
def test_wrong_requests_leave_nothing_behind(store, tmp_path, to, name, options, said):
    with pytest.raises(ArgumentError, match=said):
        export(store, to, tmp_path / "out" / name, **options)
    assert not (tmp_path / "out").exists()


def test_a_config_does_as_options_do(store, tmp_path):
    one = export(store, "figure", tmp_path / "1" / "a.png", ExportConfig(color="layer", dpi=60))
    other = export(store, "figure", tmp_path / "2" / "a.png", color="layer", dpi=60)
    assert one.read_bytes() == other.read_bytes()
