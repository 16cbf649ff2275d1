"""How sure the model is, as a histogram, and the bound below which a cell is Unassigned."""

from __future__ import annotations

from qtpy.QtCore import QRectF, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QSlider, QVBoxLayout, QWidget

from napari_tagscope.controllers.category_legend import LegendState
from napari_tagscope.views.card import eliding_label

STEPS = 100  # from 0 to 1; Qt's slider counts whole ones, and answers keys
SETTLE_MS = 400  # after a key press there is no release to wait for


class Histogram(QWidget):
    """Bars of cells by confidence, 0 to 1; those below the bound stand back."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: tuple[int, ...] = ()
        self.bound = 0.0
        self.color = QColor("#56b4e9")
        self.setFixedHeight(30)
        self.setAccessibleName("Cells by confidence, 0 to 1")

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's
        most = max(self.counts, default=0)
        if not most:
            return
        painter = QPainter(self)
        width = self.width() / len(self.counts)
        for index, count in enumerate(self.counts):
            height = (count / most) ** 0.5 * self.height()
            below = (index + 0.5) / len(self.counts) < self.bound
            color = QColor("#7f7f7f") if below else self.color
            bar = QRectF(index * width + 0.5, self.height() - height, width - 1, height)
            painter.fillRect(bar, color)
        painter.end()


class ConfidenceView(QWidget):
    """The histogram over its slider."""

    moved = Signal(float)
    released = Signal()

    def __init__(self) -> None:
        super().__init__()
        tip = "Cells the model is less sure of than this become Unassigned"
        self.caption = eliding_label(muted=True)
        self.histogram = Histogram()
        self.histogram.setToolTip("Cells by confidence; heights are square roots")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, STEPS)
        self.slider.setToolTip(tip)
        self.slider.setAccessibleName("Smallest confidence")
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(1)
        for widget in (self.caption, self.histogram, self.slider):
            column.addWidget(widget)
        self.slider.valueChanged.connect(self._on_value)
        self._settle.timeout.connect(self.released)

    def show_state(self, state: LegendState) -> None:
        """Show histogram and bound."""
        self.histogram.counts, self.histogram.bound = state.histogram, state.min_confidence
        self.histogram.update()
        unassigned = sum(row.count for row in state.rows if row.code < 0)
        known = sum(row.count for row in state.rows)
        self.caption.setText(
            f"Confidence ≥ {state.min_confidence:.2f} · "
            f"{unassigned:,} of {known:,} cells Unassigned"
        )
        self.slider.blockSignals(True)
        self.slider.setValue(round(state.min_confidence * STEPS))
        self.slider.blockSignals(False)

    def _on_value(self, value: int) -> None:
        self.moved.emit(value / STEPS)
        self._settle.start()
