"""The table of cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tagscope.core.section import SideBySide
from tagscope.errors import ArgumentError
from tagscope.exporters.csv import cells_frame


def test_a_row_per_cell_with_position_label_and_alternatives(section, table, result):
    frame = cells_frame(section, table)
    assert list(frame.columns) == [
        "cell_id",
        "x_um",
        "y_um",
        "cellmemory",
        "cellmemory_confidence",
        "cellmemory_alternative_1",
        "cellmemory_alternative_1_probability",
        "cellmemory_alternative_2",
        "cellmemory_alternative_2_probability",
    ]
    assert list(frame["cell_id"]) == list(section.ids)
    np.testing.assert_allclose(frame[["x_um", "y_um"]], section.xy)
    for cell, row in frame.iterrows():
        ranked = result.annotation.alternatives(cell)
        assigned = ranked[0][1] >= 0.5
        expected = ranked[1:] if assigned else ranked[:2]
        assert row["cellmemory"] == (ranked[0][0] if assigned else "Unassigned")
        for place, (name, probability) in enumerate(expected, 1):
            assert row[f"cellmemory_alternative_{place}"] == name
            assert row[f"cellmemory_alternative_{place}_probability"] == pytest.approx(probability)
    assert (frame["cellmemory"] == "Unassigned").any()


def test_of_sections_side_by_side_each_cell_keeps_its_own_place(section, table):
    codes = np.arange(60) % 2
    pieces = SideBySide(("left", "right"), codes, np.array([[0.0, 0.0], [900.0, 0.0]]))
    moved = replace(section, xy=section.xy + pieces.moves, pieces=pieces)
    frame = cells_frame(moved, table)
    np.testing.assert_allclose(frame[["x_um", "y_um"]], section.xy)
    assert frame["section"].tolist() == ["left", "right"] * 30


def test_an_unknown_unit_is_not_called_micrometres(section, table):
    frame = cells_frame(replace(section, unit="unknown"), table)
    assert list(frame.columns[1:3]) == ["x", "y"]


def test_labels_of_another_tool_have_no_alternatives(section, table):
    table.obs["leiden"] = "3"
    assert list(cells_frame(section, table, "leiden").columns[3:]) == ["leiden"]


def test_an_annotation_that_is_not_there_is_said(section, table):
    with pytest.raises(ArgumentError, match="no annotation 'other'"):
        cells_frame(section, table, "other")
