"""The patches of a CellPatch: gene programs, and where they are active."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QPushButton

from napari_tagscope.controllers.numbers import percent
from napari_tagscope.controllers.patch_rows import PatchGene, PatchRow
from napari_tagscope.controllers.patches import PatchesController, PatchesState
from napari_tagscope.views.bundle_button import BundleButton
from napari_tagscope.views.card import Card, FailureBox, bind, hint_label
from napari_tagscope.views.gene_sets_box import GeneSetsBox
from napari_tagscope.views.table import Column, Row, Table
from napari_tagscope.views.theme import Colors

OF_TYPE = 2
DIFFERENCE = "{:+.1f}".format
PATCH_COLUMNS = (
    Column("patch", "Patch, from 0; at first those that tell types apart best", 6),
    Column(
        "types", "Share of the variance of the patch's activity that lies between types", 8,
        percent,
    ),
    Column("of type", "The chosen type, or the one in which the patch is most active"),
    Column(
        "sd", "Mean activity in the type less that of all cells, in standard deviations", 6,
        DIFFERENCE,
    ),
    Column("first genes", "The genes that the patch attends to most, by mean z-score"),
)  # fmt: skip
GENE_COLUMNS = (
    Column("gene", "Gene, in the order of its z-score", ranked=True),
    Column(
        "z-score", "Mean over cells of (attention − mean) / standard deviation over the genes", 10,
        "{:.2f}".format, "z", "attention",
    ),
    Column("attention", "Mean attention over all cells", 10, "{:.4f}".format),
    Column("spec.", "Attention, divided by the gene's highest in any other patch", 9,
           "{:.2f}×".format),
)  # fmt: skip


class PatchesCard(Card):
    """The view of a :class:`PatchesController`, folded at first; hidden unless it applies."""

    def __init__(self, controller: PatchesController) -> None:
        super().__init__("Patches", "Gene programs that a CellPatch gathers", opened=False)
        self._controller = controller
        self.hint, self.read = hint_label(), hint_label()
        self.read_button = QPushButton("Read patches")
        self.read_button.setToolTip("Ask the model that annotated what its patches attend to")
        self.bundle_button = BundleButton()
        self.table = Table("Patches", PATCH_COLUMNS, most_rows=9, sortable=True)
        self.table.sortByColumn(1, Qt.SortOrder.DescendingOrder)
        self.whose = hint_label()
        self.program = Table("Genes of the patch", GENE_COLUMNS, most_rows=8, sortable=True)
        self.gene_sets = GeneSetsBox("patch")
        self.failure = FailureBox()
        ask = QHBoxLayout()
        ask.addWidget(self.read_button)
        ask.addWidget(self.bundle_button)
        ask.addStretch(1)
        self.add(self.hint)
        self.body.addLayout(ask)
        self.add(self.table, self.read, self.whose, self.program, self.gene_sets, self.failure)
        self.read_button.clicked.connect(lambda: controller.read())
        self.bundle_button.chosen.connect(controller.read)
        self.gene_sets.chosen.connect(controller.choose_sets)
        self.table.row_chosen.connect(
            lambda row: controller.choose(controller.state.patches[row].number)
        )
        self.program.row_chosen.connect(
            lambda row: controller.choose_gene(controller.state.program[row].gene)
        )
        bind(self, controller, self.show_state)

    def show_state(self, state: PatchesState) -> None:
        """Show what the controller knows."""
        self.setVisible(state.applies)
        for label, text in (
            (self.hint, state.hint), (self.read, state.read), (self.whose, _whose(state))
        ):  # fmt: skip
            label.setText(text)
            label.setVisible(bool(text))
        self.read_button.setVisible(not state.patches)
        self.read_button.setEnabled(not state.running)
        self.bundle_button.setVisible(not state.patches and state.failure is not None)
        self.table.show_rows([_patch(row) for row in state.patches])
        self.table.setColumnHidden(OF_TYPE, bool(state.label))
        numbers = [row.number for row in state.patches]
        self.table.mark(numbers.index(state.chosen) if state.chosen in numbers else -1)
        self.program.show_rows([_gene(row) for row in state.program])
        self.gene_sets.show_sets(state.sets, state.note, state.gene_sets, state.orthologues)
        self.gene_sets.setVisible(bool(state.patches))
        self.failure.show_failure(state.failure)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        for table in (self.table, self.program):
            table.set_colors(colors)


def _whose(state: PatchesState) -> str:
    if not state.program:
        return ""
    return f"Patch {state.chosen} in {state.label or 'all cells'}:"


def _patch(patch: PatchRow) -> Row:
    values = (patch.number, patch.explained, patch.label, patch.difference, ", ".join(patch.genes))
    told = (
        f"Patch {patch.number}: {percent(patch.explained)} of the variance of its activity lies "
        f"between types; {DIFFERENCE(patch.difference)} standard deviations in {patch.label}; "
        f"click to paint it\n{', '.join(patch.genes)}"
    )
    return Row(values, told)


def _gene(gene: PatchGene) -> Row:
    values = (gene.gene, gene.z_score, gene.attention, gene.specificity)
    return Row(values, f"{gene.gene}: click to paint it")
