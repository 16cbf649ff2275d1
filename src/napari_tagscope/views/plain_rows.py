"""How the dock's tables look alike: whole rows are chosen, no grid, no row numbers."""

from __future__ import annotations

from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

ROW_HEIGHT = 20


def as_plain_rows(table: QTableView, name: str) -> QHeaderView:
    """Let a table show plain rows under its accessible name; its horizontal header."""
    table.setAccessibleName(name)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setShowGrid(False)
    table.setWordWrap(False)
    table.setTabKeyNavigation(False)
    header, side = table.horizontalHeader(), table.verticalHeader()
    assert header is not None
    assert side is not None
    side.hide()
    side.setDefaultSectionSize(ROW_HEIGHT)
    side.setMinimumSectionSize(ROW_HEIGHT)
    return header
