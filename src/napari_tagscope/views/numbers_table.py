"""A small table of names with numbers, which sorts by any column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSortFilterProxyModel, Qt
from qtpy.QtWidgets import QHeaderView, QTableView

from napari_tagscope.views.plain_rows import ROW_HEIGHT, as_plain_rows

SORT_ROLE = Qt.ItemDataRole.UserRole
MOST_ROWS = 7  # on view at a time
Row = tuple[str | int | float | None, ...]
_Role = Qt.ItemDataRole


class _Model(QAbstractTableModel):
    def __init__(self, headers: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._headers = headers
        self.rows: tuple[Row, ...] = ()

    def show_rows(self, rows: tuple[Row, ...]) -> None:
        self.beginResetModel()
        self.rows = rows
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: ARG002 - Qt's
        return len(self._headers)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = _Role.DisplayRole
    ) -> Any:
        if orientation == Qt.Orientation.Horizontal and role in (
            _Role.DisplayRole,
            _Role.ToolTipRole,
        ):
            return self._headers[section][role == _Role.ToolTipRole]
        return None

    def data(self, index: QModelIndex, role: int = _Role.DisplayRole) -> Any:
        value = self.rows[index.row()][index.column()]
        if role in (_Role.DisplayRole, _Role.ToolTipRole):
            return _text(value)
        if role == SORT_ROLE:
            return -1.0 if value is None else value
        if role == _Role.TextAlignmentRole and index.column():
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None


class NumbersTable(QTableView):
    """``headers`` are texts with their tooltips; the first column holds names."""

    def __init__(self, name: str, headers: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._numbers = _Model(headers)
        self._proxy = QSortFilterProxyModel()
        self._proxy.setSourceModel(self._numbers)
        self._proxy.setSortRole(SORT_ROLE)
        self.setModel(self._proxy)
        header = as_plain_rows(self, name)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        header.setMinimumSectionSize(40)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)

    def show_rows(self, rows: tuple[Row, ...]) -> None:
        """Show other rows, as high as they need and seven of them at most."""
        if rows == self._numbers.rows:
            return
        self._numbers.show_rows(rows)
        header = self.horizontalHeader()
        assert header is not None
        shown = min(len(rows), MOST_ROWS)
        self.setFixedHeight(header.sizeHint().height() + ROW_HEIGHT * shown + 4)


def _text(value: str | int | float | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}"
    return value if isinstance(value, str) else f"{value:,}"
