"""Selecting cells by an area: tools, what is added and taken away, and the count."""

from __future__ import annotations

import numpy as np
import pytest

from napari_tagscope.controllers.selecting import SelectionController

LEFT = np.array([[-5.0, -5], [15, -5], [15, 45], [-5, 45]])  # the two columns at x = 0 and 10
TOP = np.array([[-5.0, -5], [55, -5], [55, 5], [-5, 5]])  # the first six cells


class RecordingTools:
    def __init__(self):
        self.used = []

    def listen(self, drawn, wanted):
        self.drawn, self.wanted = drawn, wanted

    def use(self, tool):
        self.used.append(tool)


@pytest.fixture
def tools():
    return RecordingTools()


@pytest.fixture
def selecting(state, runner, tools, opened):
    controller = SelectionController(state, runner, tools)
    state.set_section(opened)
    return controller


def test_nothing_can_be_drawn_before_a_section_is_open(state, runner, tools):
    controller = SelectionController(state, runner, tools)
    tools.wanted("lasso")
    assert not controller.state.usable
    assert tools.used == []


def test_a_key_takes_a_tool_up_as_the_button_does(selecting, tools):
    selecting.choose("lasso")
    tools.wanted("polygon")
    assert tools.used[-2:] == ["lasso", "polygon"]
    assert selecting.state.tool == "polygon"
    tools.wanted("click")
    assert selecting.state.tool == "click"


def test_cells_inside_are_selected_and_counted(selecting, state, tools):
    state.select_cell(7)
    tools.drawn(LEFT, "replace")
    assert state.rows.tolist() == [0, 1, 6, 7, 12, 13, 18, 19, 24, 25]
    assert state.cell is None
    assert selecting.state.cells == 10
    tools.drawn(TOP, "replace")
    assert state.rows.tolist() == [0, 1, 2, 3, 4, 5]


def test_areas_add_and_take_away(selecting, state, tools):
    tools.drawn(TOP, "replace")
    tools.drawn(LEFT, "add")
    assert len(state.rows) == 14
    tools.drawn(TOP, "remove")
    assert state.rows.tolist() == [6, 7, 12, 13, 18, 19, 24, 25]
    selecting.clear()
    assert len(state.rows) == 0
    assert selecting.state.cells == 0


def test_a_later_area_supersedes_an_earlier_one(selecting, state, runner, tools):
    runner.held = True
    tools.drawn(LEFT, "replace")
    tools.drawn(TOP, "replace")
    runner.run()
    assert state.rows.tolist() == [0, 1, 2, 3, 4, 5]


def test_another_section_puts_the_tool_down(selecting, state, tools):
    selecting.choose("lasso")
    tools.drawn(TOP, "replace")
    state.set_section(None)
    assert selecting.state.tool == "click"
    assert tools.used[-1] == "click"
    assert selecting.state.cells == 0
    assert not selecting.state.usable
