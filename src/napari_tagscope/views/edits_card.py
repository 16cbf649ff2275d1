"""Merge, rename, undo and save the domains on view."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtGui import QColor, QKeySequence
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QMessageBox,
    QPushButton,
    QWidget,
)

from napari_tagscope.controllers.domain_edits import DomainEdits, EditsState
from napari_tagscope.views.card import Card, FailureBox, bind, hint_label
from napari_tagscope.views.table import ROW_HEIGHT

MOST_LINES = 7


class EditsCard(Card):
    """The view of :class:`DomainEdits`."""

    def __init__(self, edits: DomainEdits) -> None:
        super().__init__("Merge, name and save", "Make the domains your own", opened=False)
        self._edits = edits
        self._colors: tuple[str, ...] = ()
        self.list = QListWidget()
        self.list.setSelectionMode(QListWidget.SelectionMode.ExtendedSelection)
        self.list.setAccessibleName("Domains to merge or rename")
        self.list.setToolTip("Select several with Ctrl or Shift to merge them; F2 renames one")
        self.merge_button = QPushButton("Merge")
        self.merge_button.setToolTip(
            "Make the selected domains one; it keeps name and colour of the largest"
        )
        self.rename_button = QPushButton("Rename…")
        self.rename_button.setToolTip("Give the selected domain another name (F2)")
        self.undo_button = QPushButton("Undo")
        self.undo_button.setShortcut(QKeySequence("Ctrl+Alt+Z"))
        self.key = QLineEdit()
        self.key.setAccessibleName("Name of the result")
        self.key.setToolTip(
            "What the domains are saved as: the column is called so, with _domain after it"
        )
        self.save_button = QPushButton("Save")
        self.save_menu = QMenu(self.save_button)
        self.save_button.setMenu(self.save_menu)
        self.save_button.setToolTip("Write domains, colours and outlines into a store")
        self.hint = hint_label()
        self.failure = FailureBox()
        self._lay_out()
        self._connect()
        bind(self, edits, self.show_state)

    def show_state(self, state: EditsState) -> None:
        """Show what the controller knows."""
        if (tuple(self._names()), self._colors) != (state.names, state.colors):
            self._list(state)
        there = bool(state.names)
        self.editor.setVisible(there)
        self.undo_button.setEnabled(bool(state.undoes))
        self.undo_button.setToolTip(
            f"Undo: {state.undoes} (Ctrl+Alt+Z)" if state.undoes else "Nothing to undo"
        )
        if not self.key.hasFocus():
            self.key.setText(state.key)
        self.save_button.setEnabled(there and not state.saving)
        self.hint.setText(_hint(state))
        self.hint.setVisible(bool(self.hint.text()))
        self.failure.show_failure(state.failure)
        self._show_buttons()

    def _names(self) -> list[str]:
        rows = range(self.list.count())
        return [item.text() for row in rows if (item := self.list.item(row)) is not None]

    def _list(self, state: EditsState) -> None:
        self._colors = state.colors
        self.list.blockSignals(True)
        self.list.clear()
        self.list.addItems(state.names)
        for row in range(self.list.count()):
            item = self.list.item(row)
            assert item is not None
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
            item.setToolTip(item.text())
            item.setData(Qt.ItemDataRole.UserRole, item.text())
            item.setData(Qt.ItemDataRole.DecorationRole, QColor(state.colors[row]))
            item.setSizeHint(QSize(0, ROW_HEIGHT))
        self.list.blockSignals(False)
        self.list.setFixedHeight(ROW_HEIGHT * min(len(state.names), MOST_LINES) + 4)

    def _chosen(self) -> tuple[str, ...]:
        return tuple(str(item.data(Qt.ItemDataRole.UserRole)) for item in self.list.selectedItems())

    def _show_buttons(self) -> None:
        chosen = len(self._chosen())
        self.merge_button.setEnabled(chosen > 1)
        self.rename_button.setEnabled(chosen == 1)

    def _lay_out(self) -> None:
        self.editor = QWidget()
        form = QFormLayout(self.editor)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        act = QHBoxLayout()
        for button in (self.merge_button, self.rename_button, self.undo_button):
            act.addWidget(button)
        act.addStretch(1)
        save = QHBoxLayout()
        save.addWidget(self.key, 1)
        save.addWidget(self.save_button)
        form.addRow(self.list)
        form.addRow(act)
        form.addRow("Save as", save)
        self.add(self.editor, self.hint, self.failure)

    def _connect(self) -> None:
        edits = self._edits
        self.list.itemSelectionChanged.connect(self._show_buttons)
        self.list.itemChanged.connect(self._rename)
        self.merge_button.clicked.connect(lambda: edits.merge(self._chosen()))
        self.rename_button.clicked.connect(lambda: self.list.editItem(self.list.currentItem()))
        self.undo_button.clicked.connect(edits.undo)
        self.key.editingFinished.connect(lambda: edits.set_key(self.key.text()))
        for text, act in (("Into this store", self._save_here), ("As a copy…", self._save_copy)):
            action = self.save_menu.addAction(text)
            assert action is not None
            action.triggered.connect(act)

    def _rename(self, item: QListWidgetItem) -> None:
        """Rename once the editor is closed, which the list must not change under."""
        name, shown = str(item.data(Qt.ItemDataRole.UserRole)), item.text()
        QTimer.singleShot(0, lambda: self._edits.rename(name, shown))

    def _save_here(self) -> None:
        replaces = self._edits.state.replaces
        if replaces:
            question = f"The store already has domains {replaces!r}. Replace them?"
            yes = QMessageBox.StandardButton.Yes
            if QMessageBox.question(self, "Replace the domains?", question) != yes:
                return
        self._edits.save()

    def _save_copy(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(
            self, "Save a copy with domains", "domains.zarr", "Store or AnnData (*.zarr *.h5ad)"
        )
        if chosen:
            self._edits.save(Path(chosen))


def _hint(state: EditsState) -> str:
    if state.saving:
        return "Saving…"
    if state.saved is not None:
        return f"Saved to {state.saved}"
    return "" if state.names else "Find domains, and make them your own here."
