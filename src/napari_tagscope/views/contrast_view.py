"""Where the colours of attention and expression end."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSlider, QVBoxLayout, QWidget

from napari_tagscope.controllers.attention import AttentionState
from napari_tagscope.controllers.contrast import LOWEST_PERCENTILE
from napari_tagscope.views.card import hint_label

STEPS = 2  # a percent; Qt's slider counts whole ones, and answers keys
TIP = (
    "The brightest colour stands for this percentile of the values above 0, "
    "in attention and expression alike: lower shows weak signal, 100 spans all values"
)


class ContrastView(QWidget):
    """A slider of the upper percentile, and the values it stands for."""

    moved = Signal(float)

    def __init__(self) -> None:
        super().__init__()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(round(LOWEST_PERCENTILE * STEPS), 100 * STEPS)
        self.slider.setPageStep(STEPS)
        self.slider.setToolTip(TIP)
        self.slider.setAccessibleName("Upper percentile of the colours")
        self.caption = hint_label()
        self.percentile = QLabel()
        row = QHBoxLayout()
        row.addWidget(QLabel("Contrast"))
        row.addWidget(self.slider, 1)
        row.addWidget(self.percentile)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(1)
        column.addLayout(row)
        column.addWidget(self.caption)
        self.slider.valueChanged.connect(lambda value: self.moved.emit(value / STEPS))

    def show_state(self, state: AttentionState) -> None:
        """Show the percentile, and what it stands for in what is painted."""
        self.slider.blockSignals(True)
        self.slider.setValue(round(state.percentile * STEPS))
        self.slider.blockSignals(False)
        self.percentile.setText(f"{state.percentile:.1f} %")
        ends = (f"{quantity} {top:.3g} {unit}".rstrip() for quantity, top, unit in state.tops)
        self.caption.setText("Colours end at " + ", ".join(ends))
        self.setVisible(bool(state.tops))
