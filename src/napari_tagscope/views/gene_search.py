"""The search over all genes of the section, with those that may be meant."""

from __future__ import annotations

from qtpy.QtCore import QStringListModel, Qt, QTimer, Signal
from qtpy.QtGui import QFocusEvent
from qtpy.QtWidgets import (
    QCompleter,
    QGridLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_tagscope.controllers.attention import AttentionState
from napari_tagscope.controllers.gene_search import MOST

IN_A_ROW = 2


class SearchLine(QLineEdit):
    """Who comes to it by mouse or keys types over what is there."""

    def focusInEvent(self, event: QFocusEvent | None) -> None:
        super().focusInEvent(event)
        QTimer.singleShot(0, self.selectAll)  # after the click, which places the cursor


class GeneSearch(QWidget):
    """A line that completes; below it, buttons with near matches of a gene that is not there."""

    gene_wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._genes: tuple[str, ...] = ()
        self.line = SearchLine()
        self.line.setToolTip("Paint any gene of the section, by symbol or Ensembl id (Return)")
        self.line.setAccessibleName("Search genes")
        self.line.setClearButtonEnabled(True)
        self.names = QStringListModel()
        self.completer = QCompleter(self.names, self)
        self.completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.completer.setFilterMode(Qt.MatchFlag.MatchContains)
        self.line.setCompleter(self.completer)
        self.question = QLabel()
        self.question.setObjectName("hint")
        self.question.setWordWrap(True)
        self.near = tuple(QPushButton() for _ in range(MOST))
        self._lay_out()
        self.line.returnPressed.connect(lambda: self.gene_wanted.emit(self.line.text()))
        self.completer.activated[str].connect(self.gene_wanted)

    def show_state(self, state: AttentionState) -> None:
        """Show the genes to complete from, the chosen one, and near matches."""
        if state.genes != self._genes:
            self._genes = state.genes
            self.names.setStringList(sorted(state.genes, key=lambda name: str(name).casefold()))
        self.line.setPlaceholderText(f"Search {len(state.genes):,} genes")
        self.line.setEnabled(bool(state.genes))
        if not self.line.hasFocus() and not state.sought:
            self.line.setText(state.gene)
        self._show_near(state)

    def _show_near(self, state: AttentionState) -> None:
        meant = " Did you mean:" if state.near else ""
        self.question.setText(f"{state.sought} is not measured.{meant}")
        self.question.setVisible(bool(state.sought))
        for place, button in enumerate(self.near):
            gene = state.near[place] if place < len(state.near) else ""
            button.setText(gene)
            button.setToolTip(f"Paint {gene} (Space)")
            button.setVisible(bool(gene))

    def _lay_out(self) -> None:
        grid = QGridLayout()
        for place, button in enumerate(self.near):
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            button.clicked.connect(lambda _, b=button: self._take(b.text()))
            grid.addWidget(button, place // IN_A_ROW, place % IN_A_ROW)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.line)
        column.addWidget(self.question)
        column.addLayout(grid)

    def _take(self, gene: str) -> None:
        self.line.setText(gene)
        self.gene_wanted.emit(gene)
