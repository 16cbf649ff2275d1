"""Why a cell is what it is: the genes of its type, and where they get attention."""

from __future__ import annotations

from qtpy.QtCore import QStringListModel, Qt
from qtpy.QtWidgets import (
    QApplication,
    QButtonGroup,
    QComboBox,
    QCompleter,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_tagscope.controllers.attention import AttentionController, AttentionState, Quantity
from napari_tagscope.views.card import FailureBox, bind, hint_label
from napari_tagscope.views.tag_table import TagTableView
from napari_tagscope.views.theme import Colors


class AttentionPanel(QWidget):
    """The view of an :class:`AttentionController`."""

    def __init__(self, controller: AttentionController) -> None:
        super().__init__()
        self._controller = controller
        self._genes: tuple[str, ...] = ()
        self._types: tuple[tuple[str, int], ...] = ()
        self.types = QComboBox()
        self.types.setToolTip("The cell type whose genes are listed")
        self.types.setAccessibleName("Cell type")
        self.types.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.attention_button = QPushButton("Attention")
        self.attention_button.setToolTip("Paint how much attention the gene gets in each cell")
        self.expression_button = QPushButton("Expression")
        self.expression_button.setToolTip("Paint the gene's expression, ln(1 + counts per 10,000)")
        self.both_button = QPushButton("Both")
        self.both_button.setToolTip("Paint attention and expression beside each other")
        self.switch = QButtonGroup(self)
        for button in self._quantities().values():
            button.setCheckable(True)
            self.switch.addButton(button)
        self.search = QLineEdit()
        self.search.setToolTip("Paint any gene of the section (Return)")
        self.search.setClearButtonEnabled(True)
        self.gene_names = QStringListModel()
        self.completer = QCompleter(self.gene_names, self)
        self.completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.completer.setFilterMode(Qt.MatchFlag.MatchContains)
        self.search.setCompleter(self.completer)
        self.table = TagTableView()
        self.copy_button = QPushButton("Copy table")
        self.copy_button.setToolTip("Copy the table, to paste into a spreadsheet")
        self.cell = QElidingLabel()
        self.cell.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.hint = hint_label()
        self.failure = FailureBox()
        self._lay_out()
        self._connect()
        bind(self, controller, self.show_state)

    def show_state(self, state: AttentionState) -> None:
        """Show what the controller knows."""
        self._show_types(state)
        if state.genes != self._genes:
            self._genes = state.genes
            self.gene_names.setStringList(
                sorted(state.genes, key=lambda name: str(name).casefold())
            )
        self.search.setPlaceholderText(f"Search {len(state.genes):,} genes")
        for widget in (self.search, *self._quantities().values()):
            widget.setEnabled(bool(state.genes))
        self._quantities()[state.quantity].setChecked(True)
        if not self.search.hasFocus():
            self.search.setText(state.gene)
        self.table.show_rows(state.rows, state.gene)
        self.table.setVisible(bool(state.rows))
        self.copy_button.setVisible(bool(state.rows))
        self.cell.setText(state.cell or "Click a cell to see its likeliest types.")
        self.cell.setToolTip(state.cell)
        self.cell.setVisible(bool(state.types))
        self.hint.setText(state.hint)
        self.hint.setVisible(bool(state.hint))
        self.failure.show_failure(state.failure)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.table.set_colors(colors)

    def _quantities(self) -> dict[Quantity, QPushButton]:
        return {
            "attention": self.attention_button,
            "expression": self.expression_button,
            "both": self.both_button,
        }

    def _show_types(self, state: AttentionState) -> None:
        if state.types != self._types:
            self._types = state.types
            self.types.clear()
            for name, count in state.types:
                self.types.addItem(f"{name} ({count:,} cells)", name)
        self.types.setVisible(bool(state.types))
        self.types.setCurrentIndex(self.types.findData(state.label))

    def _lay_out(self) -> None:
        find = QHBoxLayout()
        find.addWidget(self.search, 1)
        for button in self._quantities().values():
            find.addWidget(button)
        foot = QHBoxLayout()
        foot.addWidget(self.cell, 1)
        foot.addWidget(self.copy_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.types)
        column.addLayout(find)
        column.addWidget(self.table, 1)
        column.addLayout(foot)
        column.addWidget(self.hint)
        column.addWidget(self.failure)

    def _connect(self) -> None:
        controller = self._controller
        self.types.activated.connect(lambda i: controller.choose_type(self.types.itemData(i)))
        self.search.returnPressed.connect(lambda: controller.choose_gene(self.search.text()))
        self.completer.activated[str].connect(controller.choose_gene)
        self.table.gene_chosen.connect(controller.choose_gene)
        for quantity, button in self._quantities().items():
            button.clicked.connect(lambda _, chosen=quantity: controller.show_quantity(chosen))
        self.copy_button.clicked.connect(self._copy)

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self._controller.as_text())
