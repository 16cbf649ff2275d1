"""The dock's tables: typed columns, numbers beside bars, rows chosen by mouse or keys."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QRectF, QSortFilterProxyModel, Qt, Signal
from qtpy.QtGui import QAction, QColor, QKeyEvent, QKeySequence, QPainter
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from napari_tagscope.views.theme import Colors, colors_of

ROW_HEIGHT = 20
BAR_HEIGHT = 6
SHORTEST_BAR = 12
SORT_ROLE = Qt.ItemDataRole.UserRole
BAR_ROLE = Qt.ItemDataRole.UserRole + 1
MARK_ROLE = Qt.ItemDataRole.UserRole + 2
UNKNOWN = "–"
_Role = Qt.ItemDataRole
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
Value = str | int | float | None


@dataclass(frozen=True)
class Column:
    """A column: its ``header``, what it means (``tip``), and how a value is ``written``.

    ``digits`` is its width in digits, 0 for what is left. Bars of columns with the same ``scale``
    can be compared; without one a column has no bars, and stands at the right where it has a
    width. ``color`` is that of its bars. A ``ranked`` column sorts rows as they were given.
    """

    header: str
    tip: str
    digits: int = 0
    written: Callable[[Any], str] = str
    scale: str = ""
    color: Literal["attention", "expression", "muted"] = "expression"
    ranked: bool = False

    def text(self, value: Value) -> str:
        """A value as people read it, a dash where there is none."""
        return UNKNOWN if _unknown(value) else self.written(value)


@dataclass(frozen=True)
class Row:
    """One value per column; ``tip`` over all of it, ``color`` of the square before the first.

    ``mark`` is a sign at the right of the first column.
    """

    values: tuple[Value, ...]
    tip: str = ""
    color: str = ""
    mark: str = ""


class Bar(NamedTuple):
    """``share`` of the largest value of its scale, whose longest text is ``longest``."""

    share: float
    longest: str
    color: str


class RowModel(QAbstractTableModel):
    """Rows under columns."""

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        self.columns = tuple(columns)
        self.rows: tuple[Row, ...] = ()
        self._scales: dict[str, tuple[float, str]] = {}

    def show_rows(self, rows: tuple[Row, ...]) -> None:
        """Show other rows."""
        self.beginResetModel()
        self.rows = rows
        self._scales = {}
        for row in rows:
            for column, value in zip(self.columns, row.values, strict=True):
                if column.scale and isinstance(value, int | float) and not math.isnan(value):
                    most, longest = self._scales.get(column.scale, (0.0, ""))
                    longest = max(longest, column.text(value), key=len)
                    self._scales[column.scale] = (max(most, value), longest)
        self.endResetModel()

    def set_column(self, place: int, column: Column) -> None:
        """Let a column of the same kind of values mean something else."""
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
            return column.text(value)
        if role in (_Role.ToolTipRole, _Role.AccessibleTextRole):
            return f"{row.tip}\n{column.header}: {column.text(value)}".strip()
        if role == SORT_ROLE:
            return index.row() if column.ranked else -math.inf if _unknown(value) else value
        if role == BAR_ROLE:
            return self._bar(column, value)
        if role == _Role.TextAlignmentRole and column.digits and not column.scale:
            return int(_RIGHT)
        return None if index.column() else _before_and_after(row, role)

    def _bar(self, column: Column, value: Value) -> Bar | None:
        if not column.scale or isinstance(value, str) or value is None or math.isnan(value):
            return None
        most, longest = self._scales[column.scale]
        return Bar(value / (most or 1.0), longest, column.color)


def _unknown(value: Value) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _before_and_after(row: Row, role: int) -> Any:
    """What stands beside the text of a row's first column."""
    if role == _Role.DecorationRole and row.color:
        return QColor(row.color)
    return row.mark if role == MARK_ROLE else None


class CellDelegate(QStyledItemDelegate):
    """Draws a number behind its bar, and a row's mark behind its name."""

    def __init__(self, table: QTableView) -> None:
        super().__init__(table)
        self._table = table
        self.colors = colors_of("dark")

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        bar, mark = index.data(BAR_ROLE), index.data(MARK_ROLE)
        if painter is None or not (bar or mark):
            super().paint(painter, option, index)
            return
        option = QStyleOptionViewItem(option)
        self.initStyleOption(option, index)
        painter.save()
        if mark:
            self._paint_marked(painter, option, mark)
        else:
            self._paint_bar(painter, option, bar)
        painter.restore()

    def _paint_marked(self, painter: QPainter, option: QStyleOptionViewItem, mark: str) -> None:
        """The name, elided where it would reach the mark at the right."""
        metrics, rect = self._table.fontMetrics(), option.rect
        room = rect.width() - metrics.horizontalAdvance(mark) - 12
        option.text = metrics.elidedText(option.text, Qt.TextElideMode.ElideRight, room)
        self._paint_ground(painter, option)
        painter.setPen(self.colors.warning)
        painter.drawText(QRectF(rect).adjusted(0, 0, -4, 0), int(_RIGHT), mark)

    def _paint_bar(self, painter: QPainter, option: QStyleOptionViewItem, bar: Bar) -> None:
        text, option.text = option.text, ""
        self._paint_ground(painter, option)
        rect = QRectF(option.rect)
        number = self._table.fontMetrics().horizontalAdvance(bar.longest)
        width = max(SHORTEST_BAR, rect.width() - number - 14)
        painter.setPen(self._table.palette().text().color())
        beside = rect.adjusted(width + 8, 0, -2, 0)
        painter.drawText(beside, int(Qt.AlignmentFlag.AlignVCenter), text)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        color: QColor = getattr(self.colors, bar.color)
        ground = QColor(color)
        ground.setAlpha(50)
        box = QRectF(rect.left() + 3, rect.center().y() - BAR_HEIGHT / 2, width, BAR_HEIGHT)
        for fill, length in ((ground, width), (color, max(2.0, width * bar.share))):
            box.setWidth(length)
            painter.setBrush(fill)
            painter.drawRoundedRect(box, BAR_HEIGHT / 2, BAR_HEIGHT / 2)

    def _paint_ground(self, painter: QPainter, option: QStyleOptionViewItem) -> None:
        style = self._table.style()
        assert style is not None
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, option, painter, self._table)


class Table(QTableView):
    """As high as its rows, ``most_rows`` of them at most, and hidden without any.

    Where ``most_rows`` is None, the layout says how high it is. ``proxy`` filters by the first
    column. Ctrl+C copies what is shown.
    """

    row_chosen = Signal(int)
    """A row was clicked, or gone to by keys: its place among those that were given."""

    def __init__(
        self,
        name: str,
        columns: Sequence[Column],
        *,
        most_rows: int | None = 24,
        sortable: bool = False,
    ) -> None:
        super().__init__()
        self._most_rows = most_rows
        self._model = RowModel(columns)
        self.proxy = QSortFilterProxyModel(self)
        self.proxy.setSourceModel(self._model)
        self.proxy.setSortRole(SORT_ROLE)
        self.proxy.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.setModel(self.proxy)
        self._cells = CellDelegate(self)
        self.setItemDelegate(self._cells)
        header = as_plain_rows(self, name)
        _lay_out(header, columns, self.fontMetrics().horizontalAdvance("0"))
        header.setSectionsClickable(sortable)
        if sortable:
            self.setSortingEnabled(True)
            self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.clicked.connect(self._choose)
        self._offer_copying()

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows as they were given."""
        return self._model.rows

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Show other rows."""
        if tuple(rows) != self.rows:
            self._model.show_rows(tuple(rows))
            if self._most_rows is not None:
                header = self.horizontalHeader()
                assert header is not None
                lines = min(len(rows), self._most_rows)
                self.setFixedHeight(header.sizeHint().height() + ROW_HEIGHT * lines + 4)
        self.setVisible(bool(rows))

    def set_column(self, place: int, column: Column) -> None:
        """Let a column of the same kind of values mean something else."""
        self._model.set_column(place, column)

    def mark(self, row: int) -> None:
        """Mark a row by its place among those given, −1 for none; nobody is told."""
        index, selection = (
            self.proxy.mapFromSource(self._model.index(row, 0)),
            self.selectionModel(),
        )
        assert selection is not None
        if not index.isValid():  # none, or filtered out
            self.clearSelection()
        elif not selection.isRowSelected(index.row(), QModelIndex()):
            self.selectRow(index.row())
            self.scrollTo(index)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._cells.colors = colors
        viewport = self.viewport()
        assert viewport is not None
        viewport.update()

    def as_text(self) -> str:
        """What is shown as tab-separated text with a header, for a spreadsheet."""
        shown = [n for n in range(len(self._model.columns)) if not self.isColumnHidden(n)]
        lines = [[self._model.columns[n].header for n in shown]]
        for row in range(self.proxy.rowCount()):
            values = self.rows[self._place(self.proxy.index(row, 0))].values
            lines.append([_exact(values[n]) for n in shown])
        return "\n".join("\t".join(line) for line in lines)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        before = self.currentIndex().row()
        super().keyPressEvent(event)
        current, keys = self.currentIndex(), (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        moved = current.row() != before or (event is not None and event.key() in keys)
        if moved and current.isValid():
            self._choose(current)

    def _choose(self, index: QModelIndex) -> None:
        self.row_chosen.emit(self._place(index))

    def _place(self, index: QModelIndex) -> int:
        return self.proxy.mapToSource(index).row()

    def _offer_copying(self) -> None:
        action = QAction("Copy table", self)
        action.setShortcut(QKeySequence.StandardKey.Copy)
        action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        action.triggered.connect(self._copy)
        self.addAction(action)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self.as_text())


def as_plain_rows(table: QTableView, name: str) -> QHeaderView:
    """Let whole rows be chosen, without grid or row numbers; the horizontal header.

    ``name`` is the table's accessible name.
    """
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


def _lay_out(header: QHeaderView, columns: Sequence[Column], digit: int) -> None:
    """Give columns their widths; ``digit`` is that of one digit, in pixels."""
    header.setMinimumSectionSize(32)
    header.setStretchLastSection(False)
    for place, column in enumerate(columns):
        mode = QHeaderView.ResizeMode.Fixed if column.digits else QHeaderView.ResizeMode.Stretch
        header.setSectionResizeMode(place, mode)
        if column.digits:
            header.resizeSection(place, digit * column.digits)


def _exact(value: Value) -> str:
    if _unknown(value):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
