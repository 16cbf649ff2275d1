"""How cells are selected on the tissue, and how many are."""

from __future__ import annotations

from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_tagscope.controllers.selecting import SelectionController, SelectionState, Tool
from napari_tagscope.views.card import FailureBox, bind, eliding_label

ADDING = "Shift adds to the selection, Alt takes away. Escape ends."
TIPS: dict[Tool, str] = {
    "click": "Click a cell to see what it is; drag to move the view",
    "lasso": f"Draw around cells with the mouse held down (L on the tissue). {ADDING}",
    "polygon": (
        "Click the corners of an area; a double click, Return or the first corner closes it "
        f"(P on the tissue). {ADDING}"
    ),
}


class SelectionRow(QWidget):
    """The view of a :class:`SelectionController`."""

    def __init__(self, controller: SelectionController) -> None:
        super().__init__()
        self.tools = QButtonGroup(self)
        self.buttons: dict[Tool, QPushButton] = {}
        row = QHBoxLayout()
        for tool, tip in TIPS.items():
            button = self.buttons[tool] = QPushButton(tool.capitalize())
            button.setCheckable(True)
            button.setToolTip(tip)
            button.setAccessibleName(f"{button.text()} cells")
            button.clicked.connect(lambda _, chosen=tool: controller.choose(chosen))
            self.tools.addButton(button)
            row.addWidget(button)
        self.count = eliding_label(muted=True)
        self.clear_button = QPushButton("Clear")
        self.clear_button.setToolTip("Select no cells")
        self.clear_button.clicked.connect(controller.clear)
        row.addWidget(self.count, 1)
        row.addWidget(self.clear_button)
        self.failure = FailureBox()
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 8, 0)
        column.addLayout(row)
        column.addWidget(self.failure)
        bind(self, controller, self.show_state)

    def show_state(self, state: SelectionState) -> None:
        """Show what the controller knows."""
        self.setVisible(state.usable)
        self.buttons[state.tool].setChecked(True)
        text = f"{state.cells:,} selected" if state.cells else "none selected"
        self.count.setText(text)
        self.count.setToolTip(f"{state.cells:,} cells are selected")
        self.clear_button.setEnabled(state.cells > 0)
        self.failure.show_failure(state.failure)
