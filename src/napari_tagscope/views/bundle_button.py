"""Where is the model that gave the labels?"""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QPushButton


class BundleButton(QPushButton):
    """Lets a person choose the bundle that annotated the cells, where it was not found."""

    chosen = Signal(Path)

    def __init__(self) -> None:
        super().__init__("Bundle…")
        self.setToolTip("Choose the folder of the bundle that annotated the cells")
        self.clicked.connect(self._choose)

    def _choose(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "The bundle that annotated the cells")
        if chosen:
            self.chosen.emit(Path(chosen))
