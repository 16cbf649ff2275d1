"""Which genes a CellPatch holds alike."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QPushButton

from napari_tagscope.controllers.gene_map import GeneMapController, GeneMapState
from napari_tagscope.views.bundle_button import BundleButton
from napari_tagscope.views.card import Card, FailureBox, bind, hint_label
from napari_tagscope.views.gene_scatter import GeneScatter
from napari_tagscope.views.table import Column, Row, Table
from napari_tagscope.views.theme import Colors

COLUMNS = (
    Column("like genes", "The genes whose embeddings are most like the chosen one's", ranked=True),
    Column("cosine", "Cosine of the two genes' embeddings; 1 is the same direction", 12,
           "{:.2f}".format, "cosine"),
)  # fmt: skip


class GeneMapCard(Card):
    """The view of a :class:`GeneMapController`, folded at first; hidden unless it applies."""

    def __init__(self, controller: GeneMapController) -> None:
        super().__init__("Gene map", "Genes that a CellPatch holds alike", opened=False)
        self._controller = controller
        self.hint = hint_label()
        self.ask_button = QPushButton("Map genes")
        self.ask_button.setToolTip("Take the embeddings of genes from the model that annotated")
        self.bundle_button = BundleButton()
        self.scatter = GeneScatter()
        self.table = Table("Genes like the chosen one", COLUMNS, most_rows=10)
        self.failure = FailureBox()
        ask = QHBoxLayout()
        ask.addWidget(self.ask_button)
        ask.addWidget(self.bundle_button)
        ask.addStretch(1)
        self.add(self.hint)
        self.body.addLayout(ask)
        self.add(self.scatter, self.table, self.failure)
        self.ask_button.clicked.connect(lambda: controller.ask())
        self.bundle_button.chosen.connect(controller.ask)
        self.scatter.chosen.connect(controller.choose_gene)
        self.table.row_chosen.connect(
            lambda row: controller.choose_gene(controller.state.near[row].gene)
        )
        bind(self, controller, self.show_state)

    def show_state(self, state: GeneMapState) -> None:
        """Show what the controller knows."""
        self.setVisible(state.applies)
        self.hint.setText(state.hint)
        self.hint.setVisible(bool(state.hint))
        self.ask_button.setVisible(state.map is None)
        self.ask_button.setEnabled(not state.running)
        self.bundle_button.setVisible(state.map is None and state.failure is not None)
        self.scatter.setVisible(state.map is not None)
        self.scatter.show_map(state.map, state.gene, frozenset(near.gene for near in state.near))
        self.table.show_rows(
            [Row((r.gene, r.cosine), f"{r.gene}: click to paint it") for r in state.near]
        )
        self.failure.show_failure(state.failure)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.table.set_colors(colors)
        self.scatter.set_colors(colors)
