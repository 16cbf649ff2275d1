"""Why a cell is what it is: the genes of its type, and where they get attention."""

from __future__ import annotations

from qtpy.QtWidgets import (
    QApplication,
    QButtonGroup,
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_tagscope.controllers.attention import AttentionController, AttentionState
from napari_tagscope.controllers.gene_painting import Quantity
from napari_tagscope.views.card import Card, FailureBox, bind, hint_label
from napari_tagscope.views.contrast_view import ContrastView
from napari_tagscope.views.gene_search import GeneSearch
from napari_tagscope.views.heatmap import HeatmapView
from napari_tagscope.views.tag_table import MARK_TIP, TagTableView
from napari_tagscope.views.theme import Colors

HEATMAP_HINT = "Mean attention, each gene from 0 (dark blue) to its highest (yellow)."


class AttentionPanel(QWidget):
    """The view of an :class:`AttentionController`."""

    def __init__(self, controller: AttentionController) -> None:
        super().__init__()
        self._controller = controller
        self._groups: tuple[tuple[str, str | None], ...] = ()
        self.types = QComboBox()
        self.types.setToolTip("The cell type, or the selected cells, whose genes are listed")
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
        self.finder = GeneSearch()
        self.search = self.finder.line
        self.contrast = ContrastView()
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter the table")
        self.filter.setToolTip("Keep only genes of the table whose name contains this")
        self.filter.setAccessibleName("Filter the table")
        self.filter.setClearButtonEnabled(True)
        self.table = TagTableView()
        self.mark = hint_label()
        self.mark.setText(MARK_TIP)
        self.mark.setToolTip(
            "Spearman's rho of attention with expression over the cells that express the gene:\n"
            "the more of it there is, the more attention it gets"
        )
        self.copy_button = QPushButton("Copy table")
        self.copy_button.setToolTip("Copy the table, to paste into a spreadsheet")
        self.heatmap = HeatmapView()
        self.heatmap_told = hint_label()
        self.heatmap_card = Card("Heatmap", "The leading genes of all types", opened=False)
        self.hint = hint_label()
        self.failure = FailureBox()
        self._lay_out()
        self._connect()
        bind(self, controller, self.show_state)

    def show_state(self, state: AttentionState) -> None:
        """Show what the controller knows."""
        self._show_groups(state)
        self.finder.show_state(state)
        for button in self._quantities().values():
            button.setEnabled(bool(state.genes))
        self._quantities()[state.quantity].setChecked(True)
        self.contrast.show_state(state)
        self.table.show_tags(state.rows, state.gene)
        for widget in (self.table, self.filter, self.copy_button):
            widget.setVisible(bool(state.rows))
        self.mark.setVisible(any(row.merely_expression for row in state.rows))
        self.heatmap.show_map(state.heatmap, state.label, state.gene)
        self.heatmap_card.setVisible(state.heatmap is not None)
        self.hint.setText(state.hint)
        self.hint.setVisible(bool(state.hint))
        self.failure.show_failure(state.failure)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.table.set_colors(colors)
        self.heatmap.color = colors.text
        self.heatmap.update()

    def _quantities(self) -> dict[Quantity, QPushButton]:
        return {
            "attention": self.attention_button,
            "expression": self.expression_button,
            "both": self.both_button,
        }

    def _show_groups(self, state: AttentionState) -> None:
        """List the types, and before them the selected cells if there are any."""
        groups: list[tuple[str, str | None]] = [
            (f"{name} ({count:,} cells)", name) for name, count in state.types
        ]
        if state.selected and groups:
            groups.insert(0, (f"Selected cells ({state.selected:,} cells)", None))
        if tuple(groups) != self._groups:
            self._groups = tuple(groups)
            self.types.clear()
            for text, name in groups:
                self.types.addItem(text, name)
        self.types.setVisible(bool(groups))
        of_cells = state.source == "cells" and bool(groups)
        self.types.setCurrentIndex(0 if of_cells else self.types.findData(state.label))

    def _lay_out(self) -> None:
        switch = QHBoxLayout()
        for button in self._quantities().values():
            switch.addWidget(button)
        above = QHBoxLayout()
        above.addWidget(self.filter, 1)
        above.addWidget(self.copy_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.types)
        column.addWidget(self.finder)
        column.addLayout(switch)
        column.addWidget(self.contrast)
        column.addLayout(above)
        column.addWidget(self.table, 1)
        self.heatmap_told.setText(HEATMAP_HINT)
        self.heatmap_card.body.addWidget(self.heatmap_told)
        self.heatmap_card.body.addWidget(self.heatmap)
        for widget in (self.mark, self.hint, self.failure):
            column.addWidget(widget)

    def _connect(self) -> None:
        controller = self._controller
        self.types.activated.connect(lambda i: self._choose_group(self.types.itemData(i)))
        self.finder.gene_wanted.connect(controller.choose_gene)
        self.filter.textChanged.connect(self.table.proxy.setFilterFixedString)
        self.table.gene_chosen.connect(controller.choose_gene)
        self.contrast.moved.connect(controller.set_percentile)
        self.heatmap.told.connect(lambda text: self.heatmap_told.setText(text or HEATMAP_HINT))
        self.heatmap.chosen.connect(self._choose_field)
        for quantity, button in self._quantities().items():
            button.clicked.connect(lambda _, chosen=quantity: controller.show_quantity(chosen))
        self.copy_button.clicked.connect(self._copy)

    def _choose_group(self, name: str | None) -> None:
        if name is None:
            self._controller.choose_cells()
        else:
            self._controller.choose_type(name)

    def _choose_field(self, label: str, gene: str) -> None:
        self._controller.choose_type(label)
        self._controller.choose_gene(gene)

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self._controller.as_text())
