"""A small table of ranked rows, read from left to right; a row is chosen by mouse or keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

ROW_HEIGHT = 20


@dataclass(frozen=True)
class Column:
    """``digits``: width in digits; None takes what is left."""

    title: str
    tip: str
    digits: int | None = None


class RowsTable(QTableWidget):
    """Rows of text in a fixed order; numbers, the columns with a width, stand at the right."""

    row_chosen = Signal(int)

    def __init__(self, name: str, columns: Sequence[Column], most_rows: int) -> None:
        super().__init__(0, len(columns))
        self._columns = tuple(columns)
        self._most_rows = most_rows
        self._shown: tuple[tuple[str, ...], ...] = ()
        self._refreshing = False
        self._moved = False  # by the press that a click began with
        self.setAccessibleName(name)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self._set_up_headers()
        self.cellClicked.connect(self._on_click)
        self.currentCellChanged.connect(self._on_current)

    def show_rows(self, rows: Sequence[tuple[str, ...]], tips: Sequence[str], chosen: int) -> None:
        """Show rows, a tip for each, and mark the chosen one, −1 for none."""
        self._refreshing = True
        if tuple(rows) != self._shown:
            self._shown = tuple(rows)
            self._fill(rows, tips)
        if chosen != self.currentRow():
            self.setCurrentCell(chosen, 0)
        self._refreshing = False
        self.setVisible(bool(rows))

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        before = self.currentRow()
        super().mousePressEvent(event)
        self._moved = self.currentRow() != before

    def _fill(self, rows: Sequence[tuple[str, ...]], tips: Sequence[str]) -> None:
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        self.setRowCount(len(rows))
        for number, (row, tip) in enumerate(zip(rows, tips, strict=True)):
            for place, (text, column) in enumerate(zip(row, self._columns, strict=True)):
                item = QTableWidgetItem(text)
                item.setToolTip(tip)
                if column.digits is not None:
                    item.setTextAlignment(right)
                self.setItem(number, place, item)
        self.scrollToTop()
        header = self.horizontalHeader()
        assert header is not None
        lines = min(len(rows), self._most_rows)
        self.setFixedHeight(header.sizeHint().height() + ROW_HEIGHT * lines + 4)

    def _set_up_headers(self) -> None:
        header, side = self.horizontalHeader(), self.verticalHeader()
        assert header is not None
        assert side is not None
        side.hide()
        side.setDefaultSectionSize(ROW_HEIGHT)
        side.setMinimumSectionSize(ROW_HEIGHT)
        header.setMinimumSectionSize(30)
        em = self.fontMetrics().horizontalAdvance("0")
        for place, column in enumerate(self._columns):
            item = QTableWidgetItem(column.title)
            item.setToolTip(column.tip)
            self.setHorizontalHeaderItem(place, item)
            if column.digits is None:
                header.setSectionResizeMode(place, QHeaderView.ResizeMode.Stretch)
            else:
                header.setSectionResizeMode(place, QHeaderView.ResizeMode.Fixed)
                header.resizeSection(place, em * column.digits)

    def _on_click(self, row: int) -> None:
        """Choose the current row again; another one was chosen by the press."""
        if not self._moved:
            self.row_chosen.emit(row)

    def _on_current(self, row: int, _: int, before: int, __: int) -> None:
        if not self._refreshing and row >= 0 and row != before:
            self.row_chosen.emit(row)
