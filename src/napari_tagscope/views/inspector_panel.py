"""What a cell is and why, and what the selected cells have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_tagscope.controllers.inspector import InspectorController, InspectorState
from napari_tagscope.controllers.numbers import number, percent
from napari_tagscope.views.card import FailureBox, bind, eliding_label, hint_label
from napari_tagscope.views.fold import Fold
from napari_tagscope.views.table import Column, Row, Table
from napari_tagscope.views.tag_table import attention_column
from napari_tagscope.views.theme import Colors

if TYPE_CHECKING:
    from tagscope.api import CellProfile, SelectionProfile, TypeCount


def _count(value: float) -> str:
    return f"{value:,.0f}"


ATTENTION, OF_TYPE, AUC = 1, 3, 4  # columns of genes
GENES_OF_CELL = (
    Column("gene", "The cell's top attention genes: click one to paint it"),
    attention_column("Attention score of the gene in this cell"),
    Column("here", "Counts of the gene in this cell", 8, number, "counts"),
    Column("in type", "Mean counts over all cells of the same type", 8, number, "counts", "muted"),
    Column("nearby", "Mean counts over the 10 nearest cells", 8, number, "counts", "muted"),
)
IN_TYPE = GENES_OF_CELL[OF_TYPE]
IN_ALL = Column("in all", "Mean counts over all cells of the section", 8, number, "counts", "muted")
GENES_OF_CELLS = (
    Column("gene", "Genes the selected cells get the most attention for: click one to paint it"),
    attention_column("Mean attention over the selection"),
    Column("here", "Mean counts over the selection", 9, number, "counts"),
    Column("elsewhere", "Mean counts over all other cells", 9, number, "counts", "muted"),
    Column("AUC", "Probability that a selected cell has more attention than another", 5, number),
)
SLOTS = (
    Column("slot", "Memory slots of the model", 6),
    Column("share", "Part of the cell's genes that goes into the slot", 10, percent, "share"),
    Column("genes", "The genes that go into it most"),
)
SAID = (
    Column("model", "Models that were compared"),
    Column("says", "The type that it gives the cell"),
    Column("confidence", "How sure it is, of 1 at most", 14, number, "confidence"),
)
CELLS = Column("cells", "Number of cells", 14, _count, "cells")
TYPES = (Column("types selected", "Types of the selected cells, most first"), CELLS)
BACK, NEXT = "Alt+Left", "Alt+Right"
MOST_TYPES = 10  # listed one by one
SWATCH = 10  # pixels


class TypeLine(QWidget):
    """A type's colour and name, elided, and its probability."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what
        self.swatch = QFrame()
        self.swatch.setFixedSize(SWATCH, SWATCH)
        self.name = eliding_label()
        self.probability = QLabel()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.swatch)
        row.addWidget(self.name, 1)
        row.addWidget(self.probability)

    def show_type(self, name: str, color: str, probability: float) -> None:
        """Show a type; nothing where there is no name."""
        self.setVisible(bool(name))
        self.swatch.setStyleSheet(f"background-color: {color or 'transparent'}")
        self.name.setText(name)
        self.probability.setText(f"{self._what} {probability:.2f}")
        self.setToolTip(f"{name}: {self._what} {probability:.2f}, of 1 at most")


class CellView(QWidget):
    """One cell."""

    def __init__(self) -> None:
        super().__init__()
        self.label = TypeLine("confidence")
        self.runner_up = TypeLine("runner-up")
        self.facts = eliding_label(muted=True)
        self.near = eliding_label(muted=True)
        self.said = Table("What each model says of the cell", SAID)
        self.caption = eliding_label(muted=True)
        self.genes = Table("Top genes of the cell", GENES_OF_CELL)
        self.slots = Table("Memory slots of the cell", SLOTS)
        self.slots_toggle = Fold(
            "Memory slots", "Where the cell's genes go in the model's memory", self.slots
        )
        _column(
            self, self.label, self.runner_up, self.said, self.facts, self.near, self.caption,
            self.genes, self.slots_toggle, self.slots,
        )  # fmt: skip

    def show_cell(self, state: InspectorState) -> None:
        """Show a cell, or nothing."""
        cell, domain, gene = state.cell, state.domain, state.gene
        self.setVisible(cell is not None)
        if cell is None:
            return
        self.said.show_rows([Row(one) for one in state.said])
        self.label.show_type(cell.label, cell.color, cell.confidence)
        other = cell.runner_up
        if other is None:
            self.runner_up.show_type("", "", 0.0)
        else:
            self.runner_up.show_type(other.name, other.color, other.probability)
        self.facts.setText(_facts(cell, domain))
        self.facts.setToolTip(self.facts.text())
        self.caption.setText(_ranked(cell))
        self.genes.set_column(OF_TYPE, IN_TYPE if cell.label else IN_ALL)
        self.genes.setColumnHidden(ATTENTION, not _scored(cell))
        rows = [(one.gene, one.attention, one.here, one.of_type, one.near) for one in cell.genes]
        _show_genes(self.genes, rows, gene)
        self.slots.show_rows(
            [Row((str(one.slot), one.share, ", ".join(one.genes))) for one in cell.slots]
        )
        self.slots_toggle.setVisible(bool(cell.slots))
        self.slots.setVisible(bool(cell.slots) and self.slots_toggle.isChecked())
        near = ", ".join(f"{one.cells} {one.name}" for one in cell.neighbours)
        self.near.setText(f"nearby: {near}")
        count = sum(one.cells for one in cell.neighbours)
        self.near.setToolTip(f"Types of the {count} nearest cells: {near}")
        self.near.setVisible(bool(near))


class SelectionView(QWidget):
    """Several cells."""

    def __init__(self) -> None:
        super().__init__()
        self.title = eliding_label()
        self.types = Table("Types of the selected cells", TYPES)
        self.caption = eliding_label(muted=True)
        self.genes = Table("Top genes of the selected cells", GENES_OF_CELLS)
        _column(self, self.title, self.types, self.caption, self.genes)

    def show_selection(self, selection: SelectionProfile | None, gene: str) -> None:
        """Show selected cells, or nothing."""
        self.setVisible(selection is not None)
        if selection is None:
            return
        text = f"{selection.cells:,} cells selected"
        if not math.isnan(selection.confidence):
            text += f" · mean confidence {selection.confidence:.2f}"
        self.title.setText(text)
        self.types.show_rows(_types(selection.types))
        self.caption.setText(_ranked(selection))
        for column in (ATTENTION, AUC):
            self.genes.setColumnHidden(column, not _scored(selection))
        rows = [
            (one.gene, one.attention, one.here, one.elsewhere, one.auc) for one in selection.genes
        ]
        _show_genes(self.genes, rows, gene)


class InspectorPanel(QWidget):
    """The view of an :class:`InspectorController`."""

    def __init__(self, controller: InspectorController) -> None:
        super().__init__()
        self._controller = controller
        self.title = eliding_label()
        self.place = QLabel()
        self.place.setObjectName("muted")
        self.back_button = _arrow(Qt.ArrowType.LeftArrow, "Previous cell", BACK)
        self.next_button = _arrow(Qt.ArrowType.RightArrow, "Next cell", NEXT)
        self.cell = CellView()
        self.like_button = QPushButton("Cells like this")
        self.like_button.setToolTip("Select the 100 cells nearest to this one in the embedding")
        self.copy_button = QPushButton("Copy")
        self.copy_button.setToolTip("Copy what is shown as text, for a note or a spreadsheet")
        self.selection = SelectionView()
        self.hint = hint_label()
        self.failure = FailureBox()
        self._lay_out()
        self._connect()
        bind(self, controller, self.show_state)

    def show_state(self, state: InspectorState) -> None:
        """Show what the controller knows."""
        cell = state.cell
        self.title.setText("Selection" if cell is None else f"Cell {cell.id}")
        self.title.setToolTip(self.title.text())
        self.title.setVisible(cell is not None or state.steps)
        self.place.setText(state.place)
        self.place.setVisible(cell is not None)
        for button in (self.back_button, self.next_button):
            button.setVisible(state.steps)
        self.cell.show_cell(state)
        self.like_button.setVisible(cell is not None and state.comparable)
        self.copy_button.setVisible(cell is not None or state.selection is not None)
        self.selection.show_selection(state.selection, state.gene)
        self.hint.setText(state.hint)
        self.hint.setVisible(bool(state.hint))
        self.failure.show_failure(state.failure)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        for table in self.findChildren(Table):
            table.set_colors(colors)

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        for widget in (self.place, self.back_button, self.next_button):
            head.addWidget(widget)
        foot = QHBoxLayout()
        foot.addWidget(self.like_button)
        foot.addStretch(1)
        foot.addWidget(self.copy_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(self.cell)
        column.addLayout(foot)
        column.addWidget(self.selection)
        column.addWidget(self.hint)
        column.addWidget(self.failure)

    def _connect(self) -> None:
        controller = self._controller
        arrows = ((self.back_button, BACK, -1), (self.next_button, NEXT, 1))
        for button, keys, by in arrows:
            button.clicked.connect(lambda _, by=by: controller.step(by))
            # a button's own shortcut waits until a key that is held down is let go
            QShortcut(QKeySequence(keys), self).activated.connect(lambda by=by: controller.step(by))
        self.like_button.clicked.connect(controller.find_like)
        self.copy_button.clicked.connect(self._copy)
        for table in (self.cell.genes, self.selection.genes):
            table.row_chosen.connect(lambda row, table=table: self._choose_gene(table, row))

    def _choose_gene(self, table: Table, row: int) -> None:
        self._controller.choose_gene(str(table.rows[row].values[0]))

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self._controller.as_text())


def _show_genes(
    table: Table, rows: Sequence[tuple[str, float, float, float, float]], gene: str
) -> None:
    """Show genes, and mark the one that is painted."""
    table.show_rows([Row(row, f"{row[0]}: click to paint it") for row in rows])
    table.mark(next((place for place, row in enumerate(rows) if row[0] == gene), -1))


def _unit(normalised: bool) -> str:
    return "values" if normalised else "counts"


def _scored(shown: CellProfile | SelectionProfile) -> bool:
    """Whether its genes are ranked by attention."""
    return any(one.attention > 0 for one in shown.genes)


def _ranked(shown: CellProfile | SelectionProfile) -> str:
    what = "Top attention genes" if _scored(shown) else "Most expressed genes"
    return f"{what} · {_unit(shown.normalised)} and their means"


def _facts(cell: CellProfile, domain: str) -> str:
    facts = [f"{number(cell.total)} {_unit(cell.normalised)} in all"]
    if cell.novelty is not None:
        facts.append(f"novelty {cell.novelty:.2f}")
    if domain:
        facts.append(f"domain {domain}")
    return " · ".join(facts)


def _types(counts: Sequence[TypeCount]) -> list[Row]:
    """The most frequent types, and the others together."""
    rows = [Row((one.name, float(one.cells)), one.name, one.color) for one in counts]
    others = counts[MOST_TYPES:]
    if len(others) > 1:
        cells = float(sum(one.cells for one in others))
        names = ", ".join(one.name for one in others)
        rows[MOST_TYPES:] = [Row((f"{len(others)} other types", cells), names)]
    return rows


def _arrow(arrow: Qt.ArrowType, what: str, keys: str) -> QToolButton:
    button = QToolButton()
    button.setArrowType(arrow)
    button.setAccessibleName(what)
    button.setToolTip(f"{what} of the selection, or without one of the same type ({keys})")
    return button


def _column(widget: QWidget, *children: QWidget) -> None:
    column = QVBoxLayout(widget)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(3)
    for child in children:
        column.addWidget(child)
