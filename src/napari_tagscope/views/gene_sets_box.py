"""The gene sets of a file that is chosen here, tested in a program of slots or patches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QGridLayout, QPushButton, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_tagscope.controllers.gene_sets import GENE_SETS, ORTHOLOGUES, SetRow
from napari_tagscope.views.card import eliding_label, hint_label
from napari_tagscope.views.table import Column, Row, Table


class GeneSetsBox(QWidget):
    """Buttons for files, and a table; ``kind`` is what programs are of: "slot" or "patch"."""

    chosen = Signal(str, Path)
    """What a file is for, ``GENE_SETS`` or ``ORTHOLOGUES``, and which."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.sets_button = QPushButton("Gene sets…")
        self.sets_button.setToolTip(f"Choose a GMT file; its sets are tested in every {kind}")
        self.orthologues_button = QPushButton("Orthologues…")
        self.orthologues_button.setToolTip(
            "Choose a CSV with the columns human_symbol and mouse_symbol, "
            "to test the sets of the other species"
        )
        self.file, self.orthologues = eliding_label(), eliding_label()
        self.sets = Table(f"Gene sets of the {kind}", _columns(kind), most_rows=6)
        self.note = hint_label()
        choose = QGridLayout()
        choose.addWidget(self.sets_button, 0, 0)
        choose.addWidget(self.file, 0, 1)
        choose.addWidget(self.orthologues_button, 1, 0)
        choose.addWidget(self.orthologues, 1, 1)
        choose.setColumnStretch(1, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(choose)
        column.addWidget(self.sets)
        column.addWidget(self.note)
        self.sets_button.clicked.connect(self._choose_gene_sets)
        self.orthologues_button.clicked.connect(self._choose_orthologues)

    def show_sets(
        self, sets: Sequence[SetRow], note: str, gene_sets: Path | None, orthologues: Path | None
    ) -> None:
        """Show what was found, and in which files."""
        self.sets.show_rows([_set(row) for row in sets])
        for widget in (self.orthologues_button, self.orthologues):
            widget.setVisible(gene_sets is not None)
        _show_file(self.file, gene_sets)
        _show_file(self.orthologues, orthologues)
        self.note.setText(note)
        self.note.setVisible(bool(note))

    def _choose_gene_sets(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Gene sets", "", "Gene sets (*.gmt *.txt)")
        if chosen:
            self.chosen.emit(GENE_SETS, Path(chosen))

    def _choose_orthologues(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Orthologues", "", "Tables (*.csv)")
        if chosen:
            self.chosen.emit(ORTHOLOGUES, Path(chosen))


def _columns(kind: str) -> tuple[Column, ...]:
    return (
        Column("gene set", f"Sets of the file with genes in the {kind}'s program, best first"),
        Column("genes", "Genes of the set in the program, of those among the genes read", 7),
        Column(
            "fold", "Genes in common, divided by those to expect by chance", 6, "{:.1f}×".format
        ),
        Column(
            "FDR", f"False discovery rate (Benjamini and Hochberg) within the {kind}", 7,
            "{:.2g}".format,
        ),
    )  # fmt: skip


def _show_file(label: QElidingLabel, path: Path | None) -> None:
    label.setText("" if path is None else path.name)
    label.setToolTip("" if path is None else str(path))


def _set(found: SetRow) -> Row:
    values = (found.name, f"{found.overlap} of {found.size}", found.fold, found.fdr)
    return Row(values, f"{found.name}\n{found.genes.replace(';', ', ')}")
