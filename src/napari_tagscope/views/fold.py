"""A heading within a card that folds a widget away."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QToolButton, QWidget


class Fold(QToolButton):
    """Shows ``body`` where it is checked."""

    def __init__(self, title: str, tip: str, body: QWidget) -> None:
        super().__init__()
        self._body = body
        self.setText(title)
        self.setObjectName("heading")
        self.setToolTip(tip)
        self.setCheckable(True)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.toggled.connect(self._fold)
        self._fold(False)

    def _fold(self, opened: bool) -> None:
        self.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
        self._body.setVisible(opened)
