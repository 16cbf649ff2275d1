"""What of a file is on view, where it holds several tables, regions or sections."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox, QFormLayout, QWidget

from napari_tagscope.controllers.section import SectionController, SectionState
from napari_tagscope.views.card import bind
from napari_tagscope.views.findings_box import SPOKEN, value_text

TIPS = {
    "table": "The table whose cells are on view",
    "region": "The region on view, or all of them side by side",
    "sections": "Lay sections that share coordinates side by side, told apart by this column",
}
TOGETHER = "one picture"


class SectionChoices(QWidget):
    """A box for everything of which the open file has several; choosing opens it again."""

    def __init__(self, controller: SectionController) -> None:
        super().__init__()
        self._controller = controller
        self._shown: dict[str, tuple[str, ...]] = {}
        self.boxes: dict[str, QComboBox] = {}
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setVerticalSpacing(2)
        bind(self, controller, self.show_state)

    def show_state(self, state: SectionState) -> None:
        """Show what there is to choose, and what was chosen."""
        self.setVisible(bool(state.alternatives))
        if state.alternatives != self._shown:
            self._shown = state.alternatives
            self._make_boxes()
        for name, box in self.boxes.items():
            box.setCurrentIndex(box.findData(state.chosen[name]))

    def _make_boxes(self) -> None:
        while self._form.rowCount():
            self._form.removeRow(0)
        self.boxes = {name: self._box(name, values) for name, values in self._shown.items()}
        for name, box in self.boxes.items():
            self._form.addRow(SPOKEN[name], box)

    def _box(self, name: str, values: tuple[str, ...]) -> QComboBox:
        box = QComboBox()
        box.setToolTip(TIPS[name])
        box.setAccessibleName(SPOKEN[name])
        if name == "sections":
            box.addItem(TOGETHER, None)
        for value in values:
            box.addItem(value_text(name, value), value)
        box.activated.connect(lambda i: self._controller.reopen({name: box.itemData(i)}))
        return box
