"""Which of the section's annotations is on view."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSizePolicy, QWidget

from napari_tagscope.controllers.section import SectionController, SectionState
from napari_tagscope.views.card import bind


class ResultSwitch(QWidget):
    """Goes from one to another, where a section has several: each keeps what it found."""

    def __init__(self, controller: SectionController) -> None:
        super().__init__()
        self.keys = QComboBox()
        self.keys.setToolTip("The annotation that is painted, explained and saved; others stay")
        self.keys.setAccessibleName("Annotation that is painted")
        self.keys.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel("On view"))
        row.addWidget(self.keys, 1)
        self.keys.textActivated.connect(controller.show_key)
        bind(self, controller, self.show_state)

    def show_state(self, state: SectionState) -> None:
        """Show what the controller knows; nothing where there is no choice."""
        self.setVisible(len(state.keys) > 1)
        if [self.keys.itemText(i) for i in range(self.keys.count())] != list(state.keys):
            self.keys.clear()
            self.keys.addItems(state.keys)
        self.keys.setCurrentText(state.key)
