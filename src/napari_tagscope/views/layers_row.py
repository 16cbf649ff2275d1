"""One row of the Section panel: what is seen with the cells."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_tagscope.controllers.layers import MOST_KEPT, LayersController, LayersState
from napari_tagscope.views.card import FailureBox, bind

_NO_GENE = "Select a gene in the Attention panel to see its transcripts"


class LayersRow(QWidget):
    """The view of a :class:`LayersController`."""

    def __init__(self, controller: LayersController) -> None:
        super().__init__()
        self.images = QCheckBox("Images")
        self.images.setToolTip("List the store's images below the cells, channel by channel")
        self.transcripts = QCheckBox("Transcripts")
        self.keep = QCheckBox("Keep gene")
        self.failure = FailureBox()
        row = QHBoxLayout()
        for widget in (self.images, self.transcripts, self.keep):
            row.addWidget(widget)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.failure)
        self.images.clicked.connect(controller.set_images)
        self.transcripts.clicked.connect(controller.set_transcripts)
        self.keep.clicked.connect(controller.keep_gene)
        bind(self, controller, self.show_state)

    def show_state(self, state: LayersState) -> None:
        """Show what the controller knows."""
        self.images.setVisible(state.has_images)
        self.images.setChecked(state.images)
        self.transcripts.setVisible(state.has_transcripts)
        self.transcripts.setChecked(state.transcripts)
        self.transcripts.setToolTip(
            f"Show every transcript of {state.gene}" if state.gene else _NO_GENE
        )
        self.keep.setVisible(state.transcripts)
        self.keep.setChecked(state.gene in state.kept)
        room = state.gene is not None and len(state.kept) < MOST_KEPT
        self.keep.setEnabled(room or self.keep.isChecked())
        self.keep.setToolTip(
            f"Keep {state.gene or 'the gene'} on view beside the next; at most {MOST_KEPT} are kept"
        )
        self.failure.show_failure(state.failure)
