"""Train a small OmniCell on the open section, and watch it learn."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_tagscope.controllers.pretraining import (
    HOW_LONG,
    PretrainingController,
    PretrainingState,
    progress_text,
)
from napari_tagscope.views.card import FailureBox, bind, hint_label
from napari_tagscope.views.learning_curve import LossCurve


class PretrainingForm(QWidget):
    """The view of a :class:`PretrainingController`."""

    def __init__(self, controller: PretrainingController) -> None:
        super().__init__()
        self._controller = controller
        self.how_long = hint_label()
        self.how_long.setText(HOW_LONG)
        self.train_button = QPushButton("Train…")
        self.train_button.setToolTip("Choose where the bundle is kept, and train on this section")
        self.stop_button = QPushButton("Stop, keep the best")
        self.stop_button.setToolTip("Stop training and keep the best weights so far")
        self.curve = LossCurve(
            "Loss of hidden genes over updates: while learning (thin), and of cells held out"
        )
        self.progress = hint_label()
        self.failure = FailureBox()
        act = QHBoxLayout()
        act.addWidget(self.train_button)
        act.addWidget(self.stop_button)
        act.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.how_long)
        column.addLayout(act)
        for widget in (self.curve, self.progress, self.failure):
            column.addWidget(widget)
        self.train_button.clicked.connect(self._train)
        self.stop_button.clicked.connect(controller.stop)
        bind(self, controller, self.show_state)

    def show_state(self, state: PretrainingState) -> None:
        """Show what the controller knows."""
        self.train_button.setEnabled(state.ready)
        self.train_button.setVisible(not state.running)
        self.stop_button.setVisible(state.running)
        self.stop_button.setEnabled(not state.stopping)
        self.curve.show_losses(state.history)
        self.progress.setText(progress_text(state))
        self.progress.setVisible(bool(self.progress.text()))
        self.failure.show_failure(state.failure)

    def _train(self) -> None:
        suggested = str(self._controller.state.suggested or "")
        chosen, _ = QFileDialog.getSaveFileName(self, "Keep the bundle as a folder", suggested)
        if chosen:
            self._controller.train(Path(chosen))
