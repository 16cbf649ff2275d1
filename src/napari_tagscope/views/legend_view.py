"""Legends as tables: shown or not, colour, name, number of cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import (
    QAbstractItemModel,
    QAbstractTableModel,
    QModelIndex,
    QSortFilterProxyModel,
    Qt,
    QTimer,
    Signal,
)
from qtpy.QtGui import QColor, QContextMenuEvent, QFont, QKeyEvent, QPainter
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QMenu,
    QPushButton,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_tagscope.controllers.agreement_legend import AgreementLegend
from napari_tagscope.controllers.category_legend import (
    CategoryLegend,
    LegendRow,
    LegendState,
    Order,
)
from napari_tagscope.controllers.domain_legend import DomainLegend
from napari_tagscope.controllers.legend import LegendController
from napari_tagscope.views.card import FailureBox, bind, hint_label
from napari_tagscope.views.confidence_view import ConfidenceView
from napari_tagscope.views.table import ROW_HEIGHT, as_plain_rows

SHOWN, COLOR, NAME, COUNT = range(4)
LEAST_ROWS, MOST_ROWS = 3, 7  # at once, by the room there is
_Role = Qt.ItemDataRole
_Modifier = Qt.KeyboardModifier
COLOR_ROLE = Qt.ItemDataRole.UserRole
ORDERS: dict[Order, tuple[str, str]] = {
    "cells": ("By cells", "Most cells first"),
    "name": ("By name", "From A to Z"),
    "model": ("By model", "As the model lists them"),
    "likeness": ("By likeness", "Types that the model takes for each other side by side"),
}


class LegendModel(QAbstractTableModel):
    """Rows of the legend; checking a box is passed on, not kept."""

    shown_changed = Signal(int, bool)
    renamed = Signal(str, str)
    """A type's name and the one that was typed."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: tuple[LegendRow, ...] = ()

    def show_rows(self, rows: tuple[LegendRow, ...]) -> None:
        """Show other rows; where only contents differ, selection and scroll stay."""
        if [row.code for row in rows] == [row.code for row in self.rows]:
            self.rows = rows
            self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, COUNT))
            return
        self.beginResetModel()
        self.rows = rows
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: ARG002 - Qt's
        return 4

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if index.column() == NAME and self.rows[index.row()].code >= 0:
            return flags | Qt.ItemFlag.ItemIsEditable
        return flags | Qt.ItemFlag.ItemIsUserCheckable if index.column() == SHOWN else flags

    def data(self, index: QModelIndex, role: int = _Role.DisplayRole) -> Any:
        row, column = self.rows[index.row()], index.column()
        if role == _Role.DisplayRole:
            return {NAME: row.name, COUNT: f"{row.count:,}"}.get(column)
        if role == _Role.EditRole and column == NAME:
            return row.name
        if role == _Role.CheckStateRole and column == SHOWN:
            return Qt.CheckState.Checked if row.shown else Qt.CheckState.Unchecked
        if role == COLOR_ROLE and column == COLOR:
            return QColor(row.color)
        if role == _Role.TextAlignmentRole and column == COUNT:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if role == _Role.FontRole and row.isolated:
            font = QFont()
            font.setBold(True)
            return font
        if role in (_Role.ToolTipRole, _Role.AccessibleTextRole):
            return _tip(row, column)
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = _Role.EditRole) -> bool:
        if role == _Role.EditRole and index.column() == NAME:
            self.renamed.emit(self.rows[index.row()].name, str(value))
            return True
        if role != _Role.CheckStateRole:
            return False
        checked = Qt.CheckState(value) == Qt.CheckState.Checked
        self.shown_changed.emit(self.rows[index.row()].code, checked)
        return True


def _tip(row: LegendRow, column: int) -> str:
    if column == SHOWN:
        return f"Show or hide {row.name} (Space)"
    if column == COLOR:
        return f"Double-click to choose another colour for {row.name} (C)"
    own = f" Its own name is {row.own_name}." if row.own_name else ""
    return (
        f"{row.name}: {row.count:,} cells.{own} "
        "Click to show it alone, again to show all (Return). F2 renames it"
    )


class SwatchDelegate(QStyledItemDelegate):
    """A type's colour as it is on the tissue, also in a selected row."""

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        super().paint(painter, option, index)
        if painter is not None:
            painter.fillRect(option.rect.adjusted(2, 3, -2, -3), index.data(COLOR_ROLE))


class LegendTable(QTableView):
    """The table, with a key for everything a mouse can do."""

    isolate_wanted = Signal(int)
    color_wanted = Signal(int)

    def __init__(self, model: QAbstractItemModel, name: str) -> None:
        super().__init__()
        self.setModel(model)
        header = as_plain_rows(self, name)
        header.hide()
        for column, mode in (
            (SHOWN, QHeaderView.ResizeMode.Fixed),
            (COLOR, QHeaderView.ResizeMode.Fixed),
            (NAME, QHeaderView.ResizeMode.Stretch),
            (COUNT, QHeaderView.ResizeMode.ResizeToContents),
        ):
            header.setSectionResizeMode(column, mode)
        header.setMinimumSectionSize(16)
        header.resizeSection(SHOWN, 26)
        header.resizeSection(COLOR, 18)
        self._swatches = SwatchDelegate(self)
        self.setItemDelegateForColumn(COLOR, self._swatches)
        self.setMinimumHeight(ROW_HEIGHT * LEAST_ROWS + 2)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self._acts: dict[int, Callable[[], None]] = {
            Qt.Key.Key_Return: self._isolate,
            Qt.Key.Key_Enter: self._isolate,
            Qt.Key.Key_Space: self._switch,
            Qt.Key.Key_C: self._choose_color,
            Qt.Key.Key_F2: self._rename,
        }
        self.menu = self._make_menu()
        self.clicked.connect(self._on_click)
        self.doubleClicked.connect(self._on_double_click)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        act = None
        editing = self.state() == QAbstractItemView.State.EditingState  # its keys come here too
        if event is not None and self.currentIndex().isValid() and not editing:
            plain = event.modifiers() in (_Modifier.NoModifier, _Modifier.KeypadModifier)
            act = self._acts.get(event.key()) if plain else None
        if act is None:
            super().keyPressEvent(event)
        else:
            act()

    def contextMenuEvent(self, event: QContextMenuEvent | None) -> None:
        if event is not None and self.currentIndex().isValid():
            self.menu.exec(event.globalPos())

    def _make_menu(self) -> QMenu:
        menu = QMenu(self)
        for text, key in (
            ("Show alone\tReturn", Qt.Key.Key_Return),
            ("Show or hide\tSpace", Qt.Key.Key_Space),
            ("Colour…\tC", Qt.Key.Key_C),
            ("Rename…\tF2", Qt.Key.Key_F2),
        ):
            action = menu.addAction(text)
            assert action is not None
            action.triggered.connect(self._acts[key])
        return menu

    def _isolate(self) -> None:
        self.isolate_wanted.emit(self.currentIndex().row())

    def _choose_color(self) -> None:
        self.color_wanted.emit(self.currentIndex().row())

    def _rename(self) -> None:
        name = self.currentIndex().siblingAtColumn(NAME)
        if name.flags() & Qt.ItemFlag.ItemIsEditable:
            self.setCurrentIndex(name)
            self.edit(name)

    def _switch(self) -> None:
        """Show the current type where it is hidden, hide it where it is shown."""
        box, model = self.currentIndex().siblingAtColumn(SHOWN), self.model()
        assert model is not None
        checked = model.data(box, _Role.CheckStateRole) == Qt.CheckState.Checked
        wanted = Qt.CheckState.Unchecked if checked else Qt.CheckState.Checked
        model.setData(box, wanted, _Role.CheckStateRole)

    def _on_click(self, index: QModelIndex) -> None:
        if index.column() in (NAME, COUNT):
            self.isolate_wanted.emit(index.row())

    def _on_double_click(self, index: QModelIndex) -> None:
        if index.column() == COLOR:
            self.color_wanted.emit(index.row())


class CategoryLegendView(QWidget):
    """The view of a :class:`CategoryLegend`: search and table.

    ``noun`` is what people call the categories, such as "types"; ``hint`` says how to get some.
    """

    def __init__(
        self, controller: CategoryLegend, noun: str, hint: str, orders: Sequence[Order]
    ) -> None:
        super().__init__()
        self._controller = controller
        self._noun = noun
        self.search = QLineEdit()
        self.search.setToolTip(f"Keep only {noun} whose name contains this")
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName(f"Search {noun}")
        self.order = QComboBox()
        self.order.setToolTip(f"The order of the {noun}")
        self.order.setAccessibleName(f"Order of the {noun}")
        for order in orders:
            text, tip = ORDERS[order]
            self.order.addItem(text, order)
            self.order.setItemData(self.order.count() - 1, tip, _Role.ToolTipRole)
        self.all_button = QPushButton("All")
        self.all_button.setToolTip(f"Show all {noun}")
        self.none_button = QPushButton("None")
        self.none_button.setToolTip(f"Hide all {noun}")
        self.front_button = QPushButton("Paint")
        self.front_button.setToolTip(f"Bring the {noun} to the front, in place of a gene")
        self.model = LegendModel()
        self.proxy = QSortFilterProxyModel()
        self.proxy.setSourceModel(self.model)
        self.proxy.setFilterKeyColumn(NAME)
        self.proxy.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.table = LegendTable(self.proxy, f"Legend of {noun}")
        self.failure = FailureBox()
        self.types = QWidget()
        self.hint = hint_label()
        self.hint.setText(hint)
        self._lay_out()
        self._connect()
        bind(self, controller, self.show_state)

    def show_state(self, state: LegendState) -> None:
        """Show what the controller knows."""
        self.hint.setVisible(not state.rows)
        self.types.setVisible(bool(state.rows))
        before = len(self.model.rows)
        self.model.show_rows(state.rows)
        if len(state.rows) != before:
            lines = min(max(len(state.rows), LEAST_ROWS), MOST_ROWS)
            self.table.setMaximumHeight(ROW_HEIGHT * lines + 2)
        self.search.setPlaceholderText(f"Search {len(state.rows)} {self._noun}")
        self.order.setCurrentIndex(self.order.findData(state.order))
        self.failure.show_failure(state.failure)

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.addWidget(self.search, 1)
        top.addWidget(self.order)
        for button in (self.all_button, self.none_button, self.front_button):
            top.addWidget(button)
        column = QVBoxLayout(self.types)
        column.addLayout(top)
        for widget in (self.table, self.failure):
            column.addWidget(widget)
        outer = QVBoxLayout(self)
        outer.addWidget(self.hint)
        outer.addWidget(self.types)
        for layout in (column, outer):
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setSpacing(4)

    def _connect(self) -> None:
        controller = self._controller
        self.search.textChanged.connect(self.proxy.setFilterFixedString)
        self.all_button.clicked.connect(lambda: controller.set_all_shown(True))
        self.none_button.clicked.connect(lambda: controller.set_all_shown(False))
        self.front_button.clicked.connect(controller.show_again)
        self.order.activated.connect(lambda i: controller.sort(self.order.itemData(i)))
        self.model.shown_changed.connect(controller.set_shown)
        self.model.renamed.connect(self._rename)
        self.table.isolate_wanted.connect(lambda row: controller.isolate(self._row(row).name))
        self.table.color_wanted.connect(self._choose_color)

    def _rename(self, name: str, shown: str) -> None:
        """Rename once the editor is closed, which the rows must not change under."""
        QTimer.singleShot(0, lambda: self._controller.rename(name, shown))

    def _row(self, shown_row: int) -> LegendRow:
        return self.model.rows[self.proxy.mapToSource(self.proxy.index(shown_row, 0)).row()]

    def _choose_color(self, shown_row: int) -> None:
        row = self._row(shown_row)
        chosen = QColorDialog.getColor(QColor(row.color), self, f"Colour of {row.name}")
        if chosen.isValid():
            self._controller.set_color(row.name, chosen.name())


class LegendView(CategoryLegendView):
    """The legend of cell types, and how sure the model is of them."""

    def __init__(self, controller: LegendController) -> None:
        self.confidence = ConfidenceView()
        hint = "Annotate the section, and its cell types are listed here."
        super().__init__(controller, "types", hint, tuple(ORDERS))
        layout = self.types.layout()
        assert layout is not None
        layout.addWidget(self.confidence)
        self.confidence.moved.connect(controller.set_min_confidence)
        self.confidence.released.connect(controller.settle)

    def show_state(self, state: LegendState) -> None:
        """Show what the controller knows."""
        super().show_state(state)
        self.confidence.show_state(state)


class DomainLegendView(CategoryLegendView):
    """The legend of domains."""

    def __init__(self, controller: DomainLegend) -> None:
        hint = "Find domains, and they are listed here."
        super().__init__(controller, "domains", hint, ("cells", "name"))


class AgreementLegendView(CategoryLegendView):
    """The legend of who agrees."""

    def __init__(self, controller: AgreementLegend) -> None:
        hint = "Compare models, and who agrees is listed here."
        super().__init__(controller, "kinds of agreement", hint, ("model", "cells", "name"))
