"""A panel of the dock: a heading that folds its body away, and a notice of what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFrame,
    QLabel,
    QPlainTextEdit,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_tagscope.controllers.observed import Observed
from napari_tagscope.tasks import Failure

S = TypeVar("S")


def bind(view: QWidget, controller: Observed[S], show: Callable[[S], None]) -> None:
    """Show a controller's state now and whenever it changes, as long as the widget lives."""
    controller.changed.connect(show)
    view.destroyed.connect(lambda: controller.changed.disconnect(show, missing_ok=True))
    show(controller.state)


class Card(QFrame):
    """A titled frame; the title folds it. ``body`` takes the content."""

    def __init__(self, title: str, tip: str, *, opened: bool = True) -> None:
        super().__init__()
        self.setObjectName("card")
        self.heading = QToolButton()
        self.heading.setObjectName("heading")
        self.heading.setText(title)
        self.heading.setToolTip(tip)
        self.heading.setCheckable(True)
        self.heading.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.heading.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.content = QWidget()
        self.body = QVBoxLayout(self.content)
        self.body.setContentsMargins(2, 0, 2, 2)
        self.body.setSpacing(4)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 2, 6, 4)
        column.setSpacing(2)
        column.addWidget(self.heading)
        column.addWidget(self.content)
        self.heading.toggled.connect(self._fold)
        self.heading.setChecked(opened)
        self._fold(opened)

    def add(self, *widgets: QWidget) -> None:
        """Put widgets below those that are there."""
        for widget in widgets:
            self.body.addWidget(widget)

    def _fold(self, opened: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow
        self.heading.setArrowType(arrow)
        self.content.setVisible(opened)


class FailureBox(QFrame):
    """An error as a person needs it: found, needed, what to do; its traceback folded away."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("error")
        self.text = wrapped_label()
        self.more = QToolButton()
        self.more.setText("Details")
        self.more.setToolTip("Show the technical details, for a report")
        self.more.setCheckable(True)
        self.details = QPlainTextEdit()
        self.details.setReadOnly(True)
        self.details.setMaximumHeight(120)
        self.details.setAccessibleName("Technical details")
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 2, 2, 2)
        for widget in (self.text, self.more, self.details):
            column.addWidget(widget)
        self.more.toggled.connect(self.details.setVisible)
        self.show_failure(None)

    def show_failure(self, failure: Failure | None) -> None:
        """Show a failure, or nothing."""
        self.setVisible(failure is not None)
        self.more.setChecked(False)
        self.details.setVisible(False)
        if failure is not None:
            error = failure.error
            self.text.setText("\n".join(p for p in (error.found, error.needed, error.fix) if p))
            self.more.setVisible(bool(failure.details))
            self.details.setPlainText(failure.details)


def wrapped_label() -> QLabel:
    """Text of several lines that can be selected and copied."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(
        Qt.TextInteractionFlag.TextSelectableByMouse
        | Qt.TextInteractionFlag.TextSelectableByKeyboard
    )
    return label


def hint_label() -> QLabel:
    """A line that says what to do next."""
    label = QLabel()
    label.setObjectName("hint")
    label.setWordWrap(True)
    return label


def eliding_label(text: str = "", *, muted: bool = False) -> QElidingLabel:
    """A line that takes what room there is."""
    label = QElidingLabel(text)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    if muted:
        label.setObjectName("muted")
    return label
