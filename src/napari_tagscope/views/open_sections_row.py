"""Which of the open sections is on view."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QSizePolicy, QWidget

from napari_tagscope.controllers.section import SectionController, SectionState
from napari_tagscope.views.card import bind


class OpenSectionsRow(QWidget):
    """A box of the open sections, and a button that closes the one on view."""

    def __init__(self, controller: SectionController) -> None:
        super().__init__()
        self._sections: tuple[tuple[str, str], ...] = ()
        self.box = QComboBox()
        self.box.setAccessibleName("Section on view")
        self.box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.close_button = QPushButton("Close")
        self.close_button.setToolTip("Close this section and free its memory; its file stays")
        self.close_button.setAccessibleName("Close the section on view")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.box, 1)
        row.addWidget(self.close_button)
        self.box.activated.connect(controller.choose)
        self.close_button.clicked.connect(controller.close)
        bind(self, controller, self.show_state)

    def show_state(self, state: SectionState) -> None:
        """Show what is open."""
        self.setVisible(bool(state.sections))
        if state.sections != self._sections:
            self._sections = state.sections
            self.box.clear()
            for position, (title, path) in enumerate(state.sections):
                self.box.addItem(title)
                self.box.setItemData(position, path, Qt.ItemDataRole.ToolTipRole)
        self.box.setCurrentIndex(state.active)
        path = state.sections[state.active][1] if state.sections else ""
        self.box.setToolTip(f"The section on view, of {len(state.sections)} open: {path}")
