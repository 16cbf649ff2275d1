"""A short table whose numbers stand beside small bars."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QKeyEvent, QPainter
from qtpy.QtWidgets import (
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from napari_tagscope.views.plain_rows import ROW_HEIGHT, as_plain_rows

BAR_ROLE = Qt.ItemDataRole.UserRole
BAR_SHARE = 0.42  # of its cell
BAR_HEIGHT = 6
_Role = Qt.ItemDataRole


@dataclass(frozen=True)
class BarColumn:
    """A column: its ``header``, what it means (``tip``), and how a number is ``written``.

    Bars of columns with the same ``scale`` can be compared; without one a column has no bars.
    ``digits`` is its width in digits, 0 for what is left.
    """

    header: str
    tip: str
    scale: str = ""
    digits: int = 0
    written: Callable[[Any], str] = str


@dataclass(frozen=True)
class BarRow:
    """One value per column; ``color`` of the square before the first; ``tip`` over all of it."""

    values: tuple[str | float, ...]
    tip: str = ""
    color: str = ""


class BarModel(QAbstractTableModel):
    """Rows of values."""

    def __init__(self, columns: Sequence[BarColumn]) -> None:
        super().__init__()
        self.columns = tuple(columns)
        self.rows: tuple[BarRow, ...] = ()
        self._most: dict[str, float] = {}

    def show_rows(self, rows: tuple[BarRow, ...]) -> None:
        """Show other rows."""
        self.beginResetModel()
        self.rows = rows
        self._most = {}
        for row in rows:
            for column, value in zip(self.columns, row.values, strict=True):
                if column.scale and isinstance(value, float) and not math.isnan(value):
                    self._most[column.scale] = max(self._most.get(column.scale, 0.0), value)
        self.endResetModel()

    def set_column(self, place: int, column: BarColumn) -> None:
        """Let a column of the same kind of numbers mean something else."""
        self.columns = (*self.columns[:place], column, *self.columns[place + 1 :])
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, place, place)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: ARG002 - Qt's
        return len(self.columns)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = _Role.DisplayRole
    ) -> Any:
        if orientation == Qt.Orientation.Horizontal:
            if role == _Role.DisplayRole:
                return self.columns[section].header
            if role == _Role.ToolTipRole:
                return self.columns[section].tip
        return None

    def data(self, index: QModelIndex, role: int = _Role.DisplayRole) -> Any:
        row, column = self.rows[index.row()], self.columns[index.column()]
        value = row.values[index.column()]
        if role == _Role.DisplayRole:
            return column.written(value)
        if role == BAR_ROLE and column.scale:
            return self._share(column.scale, value)
        if role == _Role.DecorationRole and row.color and index.column() == 0:
            return QColor(row.color)
        if role in (_Role.ToolTipRole, _Role.AccessibleTextRole):
            return f"{row.tip}\n{column.header}: {column.written(value)}".strip()
        return None

    def _share(self, scale: str, value: str | float) -> float | None:
        """A value's part of the largest of its scale; None where there is no number."""
        if not isinstance(value, float) or math.isnan(value):
            return None
        return value / (self._most.get(scale) or 1.0)


class BarDelegate(QStyledItemDelegate):
    """Draws a number behind its bar; ``colors`` are those of the columns."""

    def __init__(self, table: QTableView, colors: Sequence[QColor]) -> None:
        super().__init__(table)
        self._table = table
        self.colors = tuple(colors)

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        share = index.data(BAR_ROLE)
        if share is None or painter is None:
            super().paint(painter, option, index)
            return
        option = QStyleOptionViewItem(option)
        self.initStyleOption(option, index)
        text, option.text = option.text, ""
        style = self._table.style()
        assert style is not None
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, option, painter, self._table)
        rect = QRectF(option.rect)
        whole = QRectF(
            rect.left() + 3, rect.center().y() - BAR_HEIGHT / 2, rect.width() * BAR_SHARE,
            BAR_HEIGHT,
        )  # fmt: skip
        painter.save()
        painter.setPen(self._table.palette().text().color())
        beside = rect.adjusted(whole.width() + 8, 0, -2, 0)
        painter.drawText(beside, int(Qt.AlignmentFlag.AlignVCenter), text)
        self._draw_bar(painter, whole, float(share), self.colors[index.column()])
        painter.restore()

    def _draw_bar(self, painter: QPainter, whole: QRectF, share: float, color: QColor) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        ground = QColor(color)
        ground.setAlpha(50)
        for fill, width in ((ground, whole.width()), (color, max(2.0, whole.width() * share))):
            painter.setBrush(fill)
            bar = QRectF(whole.left(), whole.top(), width, BAR_HEIGHT)
            painter.drawRoundedRect(bar, BAR_HEIGHT / 2, BAR_HEIGHT / 2)


class BarTable(QTableView):
    """As high as its rows; choosing a row by mouse, arrow keys or Return tells its place."""

    row_chosen = Signal(int)

    def __init__(self, name: str, columns: Sequence[BarColumn]) -> None:
        super().__init__()
        self.bar_model = BarModel(columns)
        self.setModel(self.bar_model)
        self.bars = BarDelegate(self, [QColor("#56b4e9")] * len(columns))
        self.setItemDelegate(self.bars)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._lay_out(as_plain_rows(self, name), columns)
        self.clicked.connect(lambda index: self.row_chosen.emit(index.row()))

    def show_rows(self, rows: Sequence[BarRow]) -> None:
        """Show other rows; without any, nothing."""
        if tuple(rows) != self.bar_model.rows:
            self.bar_model.show_rows(tuple(rows))
            header = self.horizontalHeader()
            assert header is not None
            self.setFixedHeight(header.sizeHint().height() + ROW_HEIGHT * len(rows) + 2)
        self.setVisible(bool(rows))

    def mark(self, row: int) -> None:
        """Mark a row, −1 for none; nobody is told."""
        if row < 0:
            self.clearSelection()
            self.setCurrentIndex(QModelIndex())
        else:
            self.selectRow(row)

    def set_colors(self, colors: Sequence[QColor]) -> None:
        """Colours of the columns' bars."""
        self.bars.colors = tuple(colors)
        viewport = self.viewport()
        if viewport is not None:
            viewport.update()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        super().keyPressEvent(event)
        moved = (Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if event is not None and event.key() in moved and self.currentIndex().isValid():
            self.row_chosen.emit(self.currentIndex().row())

    def _lay_out(self, header: QHeaderView, columns: Sequence[BarColumn]) -> None:
        header.setMinimumSectionSize(32)
        header.setSectionsClickable(False)
        em = self.fontMetrics().horizontalAdvance("0")
        for number, column in enumerate(columns):
            fixed = (
                QHeaderView.ResizeMode.Fixed if column.digits else QHeaderView.ResizeMode.Stretch
            )
            header.setSectionResizeMode(number, fixed)
            if column.digits:
                header.resizeSection(number, em * column.digits)
