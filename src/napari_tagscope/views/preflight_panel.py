"""Everything that is wrong with the section for the bundle, and what annotating takes."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_tagscope.controllers.preflight import PreflightController, PreflightState
from napari_tagscope.views.card import FailureBox, bind, hint_label, wrapped_label
from napari_tagscope.views.findings_box import FindingsBox

_ESTIMATE = (
    "Time and memory of annotating all cells on this machine, reckoned from a timed handful of "
    "them; memory beside what is taken already."
)


class PreflightPanel(QWidget):
    """The view of a :class:`PreflightController`."""

    def __init__(self, controller: PreflightController) -> None:
        super().__init__()
        self.verdict = wrapped_label()
        self.verdict.setAccessibleName("Verdict")
        self.findings = FindingsBox(controller.apply)
        self.hint = hint_label()
        self.failure = FailureBox()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for widget in (self.verdict, self.findings, self.hint, self.failure):
            column.addWidget(widget)
        bind(self, controller, self.show_state)

    def show_state(self, state: PreflightState) -> None:
        """Show what the controller knows."""
        self.verdict.setText(state.verdict)
        self.verdict.setToolTip(_ESTIMATE if state.ok else "")
        self.verdict.setVisible(bool(state.verdict))
        self.findings.show_findings(state.findings)
        self.hint.setText(state.hint)
        self.hint.setVisible(bool(state.hint))
        self.failure.show_failure(state.failure)
