"""The dock's one table: sorting, filtering, choosing, copying."""

from __future__ import annotations

import math

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_tagscope.views.table import BAR_ROLE, MARK_ROLE, UNKNOWN, Column, Row, Table

COLUMNS = (
    Column("gene", "Gene, best first", ranked=True),
    Column("score", "Its score", 8, "{:.2f}".format, "score", "attention"),
    Column("cells", "Cells", 6, "{:,}".format),
)
ROWS = (
    Row(("Mbp", 0.5, 1200), "Mbp: click it", mark="≈"),
    Row(("Gad1", 0.25, None), color="#56b4e9"),
    Row(("Aqp4", math.nan, 7)),
)


@pytest.fixture
def table(qtbot):
    made = Table("Genes", COLUMNS, most_rows=2, sortable=True)
    qtbot.addWidget(made)
    made.resize(400, 200)
    made.show_rows(ROWS)
    made.activateWindow()  # or no key is a shortcut
    qtbot.waitUntil(made.isActiveWindow)
    return made


@pytest.fixture
def chosen(table):
    told = []
    table.row_chosen.connect(told.append)
    return told


def column(table, place, role=Qt.ItemDataRole.DisplayRole):
    model = table.model()
    return [model.index(row, place).data(role) for row in range(model.rowCount())]


def click(table, row):
    at = table.visualRect(table.model().index(row, 0)).center()
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=at)


def test_values_are_written_and_told(table):
    assert column(table, 1) == ["0.50", "0.25", UNKNOWN]
    assert column(table, 2) == ["1,200", UNKNOWN, "7"]
    assert column(table, 1, Qt.ItemDataRole.ToolTipRole)[0] == "Mbp: click it\nscore: 0.50"
    assert column(table, 0, MARK_ROLE) == ["≈", "", ""]
    assert table.accessibleName() == "Genes"


def test_bars_are_shares_of_the_largest_of_their_scale(table):
    assert column(table, 1, BAR_ROLE) == [
        (1.0, "0.50", "attention"),
        (0.5, "0.50", "attention"),
        None,
    ]
    assert column(table, 2, BAR_ROLE) == [None] * 3


def test_what_is_unknown_is_sorted_as_the_least(table):
    table.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    assert column(table, 0) == ["Aqp4", "Gad1", "Mbp"]
    table.sortByColumn(2, Qt.SortOrder.DescendingOrder)
    assert column(table, 0) == ["Mbp", "Aqp4", "Gad1"]
    table.sortByColumn(0, Qt.SortOrder.AscendingOrder)
    assert column(table, 0) == ["Mbp", "Gad1", "Aqp4"]


def test_rows_are_chosen_by_their_place_among_those_given(table, chosen):
    table.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    click(table, 0)
    click(table, 0)
    QTest.keyClick(table, Qt.Key.Key_Down)
    QTest.keyClick(table, Qt.Key.Key_Return)
    assert chosen == [2, 2, 1, 1]


def test_nobody_is_told_of_a_mark_a_filter_or_the_focus(table, chosen):
    table.setFocus(Qt.FocusReason.TabFocusReason)
    table.mark(1)
    assert table.selectionModel().isRowSelected(1)
    table.proxy.setFilterFixedString("MB")
    assert column(table, 0) == ["Mbp"]
    table.mark(1)  # filtered out
    assert not table.selectionModel().hasSelection()
    assert chosen == []


def test_it_is_as_high_as_its_rows_and_hidden_without(table):
    two = table.height()
    table.show_rows(ROWS[:1])
    assert table.height() == two - table.rowHeight(0)
    table.show_rows(())
    assert not table.isVisible()


def test_what_is_shown_is_copied(table):
    table.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    table.setColumnHidden(2, True)
    table.setFocus()
    QTest.keyClick(table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QApplication.clipboard().text() == "gene\tscore\nAqp4\t\nGad1\t0.25\nMbp\t0.5"
