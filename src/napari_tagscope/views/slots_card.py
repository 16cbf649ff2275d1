"""Level 2: what the memory slots hold, and where they are read."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QGridLayout, QHBoxLayout, QPushButton
from superqt import QElidingLabel

from napari_tagscope.controllers.numbers import percent
from napari_tagscope.controllers.slot_rows import ProgramRow, SetRow, SlotRow
from napari_tagscope.controllers.slots import SlotsController, SlotsState
from napari_tagscope.views.bundle_button import BundleButton
from napari_tagscope.views.card import Card, FailureBox, bind, eliding_label, hint_label
from napari_tagscope.views.table import Column, Row, Table

SLOT_COLUMNS = (
    Column("slot", "Memory slot, from 0", 5),
    Column(
        "share",
        "Share of the genes of the type's cells that the slot takes, on average",
        7,
        percent,
    ),
    Column("of type", "The chosen type, or the one that the slot takes most of"),
    Column("first genes", "The genes with the highest mean memory score over all cells"),
)
PROGRAM_COLUMNS = (
    Column("gene", "Gene, in the order of mean memory score"),
    Column("score", "Mean memory score over all cells", 9, "{:.4f}".format),
    Column("share", "The part of the gene that goes into this slot, where it is read", 9, percent),
    Column("spec.", "Share here, divided by the highest in any other slot", 9, "{:.2f}×".format),
)
SET_COLUMNS = (
    Column("gene set", "Sets of the file with genes in the slot's program, best first"),
    Column("genes", "Genes of the set in the program, of those among the genes read", 7),
    Column("fold", "Genes in common, divided by those to expect by chance", 6, "{:.1f}×".format),
    Column(
        "FDR", "False discovery rate (Benjamini and Hochberg) within the slot", 7, "{:.2g}".format
    ),
)


class SlotsCard(Card):
    """The view of a :class:`SlotsController`, folded at first."""

    def __init__(self, controller: SlotsController) -> None:
        super().__init__(
            "Memory slots", "Level 2: gene programs that the model keeps apart", opened=False
        )
        self._controller = controller
        self.hint = hint_label()
        self.score_button = QPushButton("Read slots")
        self.score_button.setToolTip("Ask the model that annotated for its memory scores")
        self.bundle_button = BundleButton()
        self.table = Table("Memory slots", SLOT_COLUMNS, most_rows=8)
        self.program = Table("Genes of the slot", PROGRAM_COLUMNS, most_rows=6)
        self.sets_button = QPushButton("Gene sets…")
        self.sets_button.setToolTip("Choose a GMT file; its sets are tested in every slot")
        self.orthologues_button = QPushButton("Orthologues…")
        self.orthologues_button.setToolTip(
            "Choose a CSV with the columns human_symbol and mouse_symbol, "
            "to test the sets of the other species"
        )
        self.file, self.orthologues = eliding_label(), eliding_label()
        self.sets = Table("Gene sets of the slot", SET_COLUMNS, most_rows=6)
        self.note = hint_label()
        self.failure = FailureBox()
        self._lay_out()
        self._connect()
        bind(self, controller, self.show_state)

    def show_state(self, state: SlotsState) -> None:
        """Show what the controller knows."""
        self.hint.setText(state.hint or ("" if state.program else "Choose a slot to paint it."))
        self.hint.setVisible(bool(self.hint.text()))
        self.score_button.setVisible(state.can_score)
        self.score_button.setEnabled(not state.running)
        self.bundle_button.setVisible(state.can_score and state.failure is not None)
        chosen = -1 if state.chosen is None else state.chosen
        self.table.show_rows([_slot(row) for row in state.slots])
        self.table.mark(chosen)
        self.program.show_rows([_gene(row) for row in state.program])
        self.sets.show_rows([_set(row) for row in state.sets])
        for widget in (self.sets_button, self.file):
            widget.setVisible(bool(state.slots))
        for widget in (self.orthologues_button, self.orthologues):
            widget.setVisible(bool(state.slots) and state.gene_sets is not None)
        _show_file(self.file, state.gene_sets)
        _show_file(self.orthologues, state.orthologues)
        self.note.setText(state.note)
        self.note.setVisible(bool(state.note))
        self.failure.show_failure(state.failure)

    def _lay_out(self) -> None:
        ask = QHBoxLayout()
        ask.addWidget(self.score_button)
        ask.addWidget(self.bundle_button)
        ask.addStretch(1)
        choose = QGridLayout()
        choose.addWidget(self.sets_button, 0, 0)
        choose.addWidget(self.file, 0, 1)
        choose.addWidget(self.orthologues_button, 1, 0)
        choose.addWidget(self.orthologues, 1, 1)
        choose.setColumnStretch(1, 1)
        self.body.addWidget(self.hint)
        self.body.addLayout(ask)
        self.body.addWidget(self.table)
        self.body.addWidget(self.program)
        self.body.addLayout(choose)
        for widget in (self.sets, self.note, self.failure):
            self.body.addWidget(widget)

    def _connect(self) -> None:
        controller = self._controller
        self.heading.toggled.connect(controller.look)
        self.score_button.clicked.connect(lambda: controller.score())
        self.bundle_button.chosen.connect(controller.score)
        self.sets_button.clicked.connect(self._choose_gene_sets)
        self.orthologues_button.clicked.connect(self._choose_orthologues)
        self.table.row_chosen.connect(
            lambda row: controller.choose(controller.state.slots[row].number)
        )
        self.program.row_chosen.connect(
            lambda row: controller.choose_gene(controller.state.program[row].gene)
        )

    def _choose_gene_sets(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Gene sets", "", "Gene sets (*.gmt *.txt)")
        if chosen:
            self._controller.choose_gene_sets(Path(chosen))

    def _choose_orthologues(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Orthologues", "", "Tables (*.csv)")
        if chosen:
            self._controller.choose_orthologues(Path(chosen))


def _show_file(label: QElidingLabel, path: Path | None) -> None:
    label.setText("" if path is None else path.name)
    label.setToolTip("" if path is None else str(path))


def _slot(slot: SlotRow) -> Row:
    genes = ", ".join(slot.genes)
    takes = f"Slot {slot.number} takes {percent(slot.share, 1)} of the genes of {slot.label}"
    return Row((slot.number, slot.share, slot.label, genes), f"{takes}; click to paint it\n{genes}")


def _gene(gene: ProgramRow) -> Row:
    values = (gene.gene, gene.score, gene.share, gene.specificity)
    return Row(values, f"{gene.gene}: click to paint it")


def _set(found: SetRow) -> Row:
    values = (found.name, f"{found.overlap} of {found.size}", found.fold, found.fdr)
    return Row(values, f"{found.name}\n{found.genes.replace(';', ', ')}")
