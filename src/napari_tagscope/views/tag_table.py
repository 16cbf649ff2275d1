"""The TAG table: genes of a type, each quantity as a number beside a small bar."""

from __future__ import annotations

import math
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QRectF, QSortFilterProxyModel, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter
from qtpy.QtWidgets import (
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from napari_tagscope.controllers.tag_rows import FOLLOWS, TagRow
from napari_tagscope.views.plain_rows import ROW_HEIGHT, as_plain_rows
from napari_tagscope.views.theme import Colors

GENE, ATTENTION, EXPRESSION, SPECIFICITY, AUC = range(5)
HEADERS = ("gene", "attention", "expression", "spec.", "AUC")
FIELDS = ("gene", "attention", "expression", "specificity", "auc")
TIPS = (
    "Gene, in the order of mean attention",
    "Mean attention score over all cells of the type",
    "Mean expression over the type, ln(1 + counts per 10,000)",
    "Specificity: mean attention here, divided by the highest in any other type",
    "Probability that a cell of the type has a higher attention score than one outside",
)
SORT_ROLE = Qt.ItemDataRole.UserRole
BAR_ROLE = Qt.ItemDataRole.UserRole + 1
MARK_ROLE = Qt.ItemDataRole.UserRole + 2
WIDEST = {ATTENTION: "0.0000", EXPRESSION: "0.00"}  # number beside a bar
MARK = "≈"
MARK_TIP = f"{MARK} merely follows expression (rho ≥ {FOLLOWS:g})"
_Role = Qt.ItemDataRole


class TagModel(QAbstractTableModel):
    """Rows of one type."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: tuple[TagRow, ...] = ()
        self._most = (1.0, 1.0)

    def show_rows(self, rows: tuple[TagRow, ...]) -> None:
        """Show another type's genes."""
        self.beginResetModel()
        self.rows = rows
        self._most = (
            max((row.attention for row in rows), default=1.0) or 1.0,
            max((row.expression for row in rows), default=1.0) or 1.0,
        )
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: ARG002 - Qt's
        return len(HEADERS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = _Role.DisplayRole
    ) -> Any:
        if orientation == Qt.Orientation.Horizontal:
            if role == _Role.DisplayRole:
                return HEADERS[section]
            if role == _Role.ToolTipRole:
                return TIPS[section]
        return None

    def data(self, index: QModelIndex, role: int = _Role.DisplayRole) -> Any:
        row, column = self.rows[index.row()], index.column()
        value = getattr(row, FIELDS[column])
        if role == _Role.DisplayRole:
            return shown(column, value)
        if role == SORT_ROLE:
            return row.rank if column == GENE else value
        if role == BAR_ROLE and column in (ATTENTION, EXPRESSION):
            return value / self._most[column - ATTENTION]
        if role == _Role.TextAlignmentRole and column in (SPECIFICITY, AUC):
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if role == MARK_ROLE and column == GENE:
            return row.merely_expression
        if role == _Role.ToolTipRole:
            told = f"{row.gene}: click to paint it\n{HEADERS[column]}: {shown(column, value)}"
            return told + following(row)
        if role == _Role.AccessibleTextRole and column == GENE:
            return row.gene + following(row)
        return None


def shown(column: int, value: Any) -> str:
    """A quantity as people read it."""
    if column == GENE:
        return str(value)
    if math.isnan(value):
        return "–"
    if column == ATTENTION:
        return f"{value:.4f}" if value < 0.01 else f"{value:.3f}"
    if column == SPECIFICITY:
        return "only here" if math.isinf(value) else f"{value:.1f}×"
    return f"{value:.2f}"


def following(row: TagRow) -> str:
    """How far attention follows expression, on a line of its own; nothing while not known."""
    if row.follows_level is None:
        return ""
    rho = f"\nSpearman's rho with expression, where expressed: {row.follows_level:.2f}"
    return f"{rho}\n{MARK_TIP}" if row.merely_expression else rho


class BarDelegate(QStyledItemDelegate):
    """Draws attention and expression as a bar with its number, and marks what merely follows."""

    def __init__(self, table: QTableView) -> None:
        super().__init__(table)
        self._table = table
        self.colors = {ATTENTION: QColor("#e69f00"), EXPRESSION: QColor("#56b4e9")}
        self.mark_color = QColor("#e69f00")

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        share, marked = index.data(BAR_ROLE), index.data(MARK_ROLE)
        if painter is None or (share is None and not marked):
            super().paint(painter, option, index)
            return
        option = QStyleOptionViewItem(option)
        self.initStyleOption(option, index)
        if marked:
            self._paint_marked(painter, option)
        else:
            self._paint_bar(painter, option, index.column(), float(share))

    def _paint_marked(self, painter: QPainter, option: QStyleOptionViewItem) -> None:
        """The gene, elided where it would reach the mark at the right."""
        metrics, rect = self._table.fontMetrics(), option.rect
        room = rect.width() - metrics.horizontalAdvance(MARK) - 12
        option.text = metrics.elidedText(option.text, Qt.TextElideMode.ElideRight, room)
        self._paint_ground(painter, option)
        painter.save()
        painter.setPen(self.mark_color)
        side = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRectF(rect).adjusted(0, 0, -4, 0), int(side), MARK)
        painter.restore()

    def _paint_ground(self, painter: QPainter, option: QStyleOptionViewItem) -> None:
        style = self._table.style()
        assert style is not None
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, option, painter, self._table)

    def _paint_bar(
        self, painter: QPainter, option: QStyleOptionViewItem, column: int, share: float
    ) -> None:
        text, option.text = option.text, ""
        color = self.colors[column]
        self._paint_ground(painter, option)
        rect = QRectF(option.rect)
        bar = rect.width() - self._table.fontMetrics().horizontalAdvance(WIDEST[column]) - 14
        painter.save()
        painter.setPen(self._table.palette().text().color())
        beside = rect.adjusted(bar + 8, 0, -2, 0)
        painter.drawText(beside, int(Qt.AlignmentFlag.AlignVCenter), text)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        ground = QColor(color)
        ground.setAlpha(50)
        box = QRectF(rect.left() + 3, rect.center().y() - 3, bar, 6)
        painter.setBrush(ground)
        painter.drawRoundedRect(box, 3, 3)
        box.setWidth(max(2.0, bar * share))
        painter.setBrush(color)
        painter.drawRoundedRect(box, 3, 3)
        painter.restore()


class TagTableView(QTableView):
    """The sortable table; choosing a row by mouse or arrow keys chooses its gene."""

    gene_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.tags = TagModel()
        self.proxy = QSortFilterProxyModel()
        self.proxy.setSourceModel(self.tags)
        self.proxy.setSortRole(SORT_ROLE)
        self.proxy.setFilterKeyColumn(GENE)
        self.proxy.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.setModel(self.proxy)
        self.bars = BarDelegate(self)
        self.setItemDelegate(self.bars)
        header = as_plain_rows(self, "Top attention genes")
        self.setSortingEnabled(True)
        self.sortByColumn(GENE, Qt.SortOrder.AscendingOrder)
        header.setMinimumSectionSize(40)
        header.setStretchLastSection(False)
        header.setSectionResizeMode(GENE, QHeaderView.ResizeMode.Stretch)
        em = self.fontMetrics().horizontalAdvance("0")
        for column, digits in ((ATTENTION, 10), (EXPRESSION, 10), (SPECIFICITY, 6), (AUC, 5)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            header.resizeSection(column, em * digits)
        self.setMinimumHeight(ROW_HEIGHT * 7)
        self.clicked.connect(self._on_click)
        self._refreshing = False
        self._moved = False  # by the press that a click began with
        selection = self.selectionModel()
        assert selection is not None
        selection.currentRowChanged.connect(self._on_current)

    def show_rows(self, rows: tuple[TagRow, ...], gene: str) -> None:
        """Show a type's genes and mark the chosen one, if it is among them."""
        self._refreshing = True
        if rows != self.tags.rows:
            self.tags.show_rows(rows)
        self._mark(gene)
        self._refreshing = False

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.bars.colors = {ATTENTION: colors.attention, EXPRESSION: colors.expression}
        self.bars.mark_color = colors.warning
        viewport = self.viewport()
        if viewport is not None:
            viewport.update()

    def _mark(self, gene: str) -> None:
        current = self.currentIndex()
        if current.isValid() and current.siblingAtColumn(GENE).data() == gene:
            return
        position = next((i for i, row in enumerate(self.tags.rows) if row.gene == gene), -1)
        index = self.proxy.mapFromSource(self.tags.index(position, GENE))
        if not index.isValid():  # not in the table, or filtered out
            self.clearSelection()
            self.setCurrentIndex(QModelIndex())
            return
        self.selectRow(index.row())
        self.scrollTo(index)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        before = self.currentIndex().row()
        super().mousePressEvent(event)
        self._moved = self.currentIndex().row() != before

    def _on_click(self, index: QModelIndex) -> None:
        """Choose the current gene again; another one was chosen by the press."""
        if not self._moved:
            self._choose(index)

    def _on_current(self, current: QModelIndex, _: QModelIndex) -> None:
        if not self._refreshing and current.isValid():
            self._choose(current)

    def _choose(self, index: QModelIndex) -> None:
        self.gene_chosen.emit(str(index.siblingAtColumn(GENE).data()))
