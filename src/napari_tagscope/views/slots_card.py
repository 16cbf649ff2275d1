"""Level 2: what the memory slots hold, and where they are read."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QPushButton

from napari_tagscope.controllers.numbers import percent
from napari_tagscope.controllers.slot_rows import ProgramRow, SlotRow
from napari_tagscope.controllers.slots import SlotsController, SlotsState
from napari_tagscope.views.bundle_button import BundleButton
from napari_tagscope.views.card import Card, FailureBox, bind, hint_label
from napari_tagscope.views.gene_sets_box import GeneSetsBox
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
        self.gene_sets = GeneSetsBox("slot")
        self.failure = FailureBox()
        self._lay_out()
        self._connect()
        bind(self, controller, self.show_state)

    def show_state(self, state: SlotsState) -> None:
        """Show what the controller knows."""
        self.setVisible(state.applies)
        self.hint.setText(state.hint or ("" if state.program else "Choose a slot to paint it."))
        self.hint.setVisible(bool(self.hint.text()))
        self.score_button.setVisible(state.can_score)
        self.score_button.setEnabled(not state.running)
        self.bundle_button.setVisible(state.can_score and state.failure is not None)
        chosen = -1 if state.chosen is None else state.chosen
        self.table.show_rows([_slot(row) for row in state.slots])
        self.table.mark(chosen)
        self.program.show_rows([_gene(row) for row in state.program])
        self.gene_sets.show_sets(state.sets, state.note, state.gene_sets, state.orthologues)
        self.gene_sets.setVisible(bool(state.slots))
        self.failure.show_failure(state.failure)

    def _lay_out(self) -> None:
        ask = QHBoxLayout()
        ask.addWidget(self.score_button)
        ask.addWidget(self.bundle_button)
        ask.addStretch(1)
        self.body.addWidget(self.hint)
        self.body.addLayout(ask)
        self.body.addWidget(self.table)
        self.add(self.program, self.gene_sets, self.failure)

    def _connect(self) -> None:
        controller = self._controller
        self.heading.toggled.connect(controller.look)
        self.score_button.clicked.connect(lambda: controller.score())
        self.bundle_button.chosen.connect(controller.score)
        self.gene_sets.chosen.connect(controller.choose_sets)
        self.table.row_chosen.connect(
            lambda row: controller.choose(controller.state.slots[row].number)
        )
        self.program.row_chosen.connect(
            lambda row: controller.choose_gene(controller.state.program[row].gene)
        )


def _slot(slot: SlotRow) -> Row:
    genes = ", ".join(slot.genes)
    takes = f"Slot {slot.number} takes {percent(slot.share, 1)} of the genes of {slot.label}"
    return Row((slot.number, slot.share, slot.label, genes), f"{takes}; click to paint it\n{genes}")


def _gene(gene: ProgramRow) -> Row:
    values = (gene.gene, gene.score, gene.share, gene.specificity)
    return Row(values, f"{gene.gene}: click to paint it")
