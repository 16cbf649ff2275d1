"""What all panels share: told once, and only when it changes."""

from __future__ import annotations

import numpy as np
import pytest

from napari_tagscope.state import ViewerState


def test_selected_cells_are_told_once_and_cannot_be_edited() -> None:
    state = ViewerState()
    heard: list[list[int]] = []
    state.rows_selected.connect(lambda rows: heard.append(rows.tolist()))
    state.select_rows([5, 2, 5])
    state.select_rows(np.array([2, 5]))
    assert heard == [[2, 5]]
    assert state.rows.tolist() == [2, 5]
    with pytest.raises(ValueError, match="read-only"):
        state.rows[0] = 1
    state.select_rows([])
    state.select_rows([])
    assert heard == [[2, 5], []]


def test_another_section_clears_the_selected_cells() -> None:
    state = ViewerState()
    state.select_rows([1])
    state.set_section(object())  # type: ignore[arg-type]
    assert len(state.rows) == 0
