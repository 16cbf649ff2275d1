"""Does the label hang on the genes that get the attention?"""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton

from napari_tagscope.controllers.faithfulness import (
    CELLS_PER_TYPE,
    FaithfulnessController,
    FaithfulnessState,
    Verdict,
)
from napari_tagscope.controllers.numbers import percent
from napari_tagscope.views.bundle_button import BundleButton
from napari_tagscope.views.card import Card, FailureBox, bind, hint_label
from napari_tagscope.views.table import Column, Row, Table

COLUMNS = (
    Column(
        "hidden genes", "Share of each cell's genes that are hidden from the model, at least one"
    ),
    Column("attention", "Cells whose label changes without their most attended genes", 10, percent),
    Column("random", "The same without as many genes drawn by chance", 9, percent),
    Column("expression", "The same without as many of their most expressed genes", 10, percent),
)


class FaithfulnessCard(Card):
    """The view of a :class:`FaithfulnessController`, folded at first."""

    def __init__(self, controller: FaithfulnessController) -> None:
        super().__init__(
            "Faithfulness", "Ask the model whether its labels hang on these genes", opened=False
        )
        self._controller = controller
        self.run_button = QPushButton("Test")
        self.run_button.setToolTip(
            f"Hide genes from the model in up to {CELLS_PER_TYPE} cells of every type"
        )
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop asking the model")
        self.bundle_button = BundleButton()
        self.judgement = QLabel()
        self.judgement.setWordWrap(True)
        self.judgement.setStyleSheet("font-weight: bold")
        self.hint = hint_label()
        self.table = Table("Cells whose label changes", COLUMNS)
        self.failure = FailureBox()
        act = QHBoxLayout()
        for button in (self.run_button, self.cancel_button, self.bundle_button):
            act.addWidget(button)
        act.addStretch(1)
        for widget in (self.judgement, self.hint, self.table):
            self.body.addWidget(widget)
        self.body.addLayout(act)
        self.body.addWidget(self.failure)
        self.run_button.clicked.connect(lambda: controller.run())
        self.cancel_button.clicked.connect(controller.cancel)
        self.bundle_button.chosen.connect(controller.run)
        bind(self, controller, self.show_state)

    def show_state(self, state: FaithfulnessState) -> None:
        """Show what the controller knows."""
        verdict = state.verdict
        self.judgement.setText("" if verdict is None else f"{_who(verdict)}: {verdict.judgement}")
        self.judgement.setVisible(verdict is not None)
        self.hint.setText(state.hint if verdict is None else verdict.sentence)
        self.table.show_rows([] if verdict is None else _rows(verdict))
        self.run_button.setEnabled(state.ready)
        self.run_button.setVisible(not state.running)
        self.run_button.setText("Test" if verdict is None else "Test again")
        self.cancel_button.setVisible(state.running)
        self.bundle_button.setVisible(state.failure is not None)
        self.failure.show_failure(state.failure)


def _who(verdict: Verdict) -> str:
    return "All types" if verdict.of_all else verdict.label


def _rows(verdict: Verdict) -> list[Row]:
    return [
        Row((f"top {step.percent:g} %", step.attention, step.random, step.expression))
        for step in verdict.steps
    ]
