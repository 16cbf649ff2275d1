"""Loss and macro-F1 while a model learns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyqtgraph as pg
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_tagscope.views.theme import Colors

if TYPE_CHECKING:
    from tagscope.api import EpochRecord


class LearningCurve(QWidget):
    """Two plots over epochs: training and validation loss; macro-F1 on the validation cells."""

    def __init__(self) -> None:
        super().__init__()
        self.plots = pg.GraphicsLayoutWidget()
        self.plots.setFixedHeight(120)
        self.plots.setAccessibleName("Learning curves")
        self.plots.setToolTip("Left: loss, training (thin) and validation. Right: macro-F1")
        self.loss = self._plot(0, "loss")
        self.score = self._plot(1, "macro-F1")
        self.score.setYRange(0, 1, padding=0)
        self.lines = {
            "train_loss": self.loss.plot(),
            "validation_loss": self.loss.plot(),
            "macro_f1": self.score.plot(),
        }
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.plots)

    def show_history(self, history: tuple[EpochRecord, ...]) -> None:
        """Draw what is known so far."""
        self.setVisible(bool(history))
        epochs = [record.epoch for record in history]
        for name, line in self.lines.items():
            line.setData(epochs, [float(getattr(record, name)) for record in history])

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.plots.setBackground(colors.background)
        for plot in (self.loss, self.score):
            for side in ("left", "bottom"):
                plot.getAxis(side).setPen(colors.muted)
                plot.getAxis(side).setTextPen(colors.muted)
            plot.setTitle(plot.titleLabel.text, color=colors.muted, size="9pt")
        pens = {
            "train_loss": pg.mkPen(colors.attention, width=1),
            "validation_loss": pg.mkPen(colors.attention, width=2),
            "macro_f1": pg.mkPen(colors.expression, width=2),
        }
        for name, pen in pens.items():
            self.lines[name].setPen(pen)

    def _plot(self, column: int, title: str) -> Any:
        plot = self.plots.addPlot(row=0, col=column, title=title)
        plot.setMouseEnabled(x=False, y=False)
        plot.hideButtons()
        plot.setMenuEnabled(False)
        return plot
