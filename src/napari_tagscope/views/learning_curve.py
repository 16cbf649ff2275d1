"""Losses, and macro-F1, while a model learns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_tagscope.controllers.pretraining import stage_starts, updates_so_far
from napari_tagscope.controllers.training_state import network_starts
from napari_tagscope.views.theme import Colors

if TYPE_CHECKING:
    from tagscope.api import EpochRecord, PretrainRecord


class LossCurve(QWidget):
    """A plot of training and validation loss over updates; a thin line stands where another stage
    begins: it is asked about other genes, so that its losses are others."""

    def __init__(self, tip: str) -> None:
        super().__init__()
        self.plots = pg.GraphicsLayoutWidget()
        self.plots.setFixedHeight(120)
        self.plots.setAccessibleName("Learning curves")
        self.plots.setToolTip(tip)
        self.loss = self._plot(0, "loss")
        self.lines = {"train_loss": self.loss.plot(), "validation_loss": self.loss.plot()}
        self.marks: list[tuple[Any, ...]] = []
        self._mark_pen = pg.mkPen(width=1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.plots)

    def show_losses(self, history: tuple[PretrainRecord, ...]) -> None:
        """Draw what is known so far of a pretraining."""
        self._draw(history, updates_so_far(history), stage_starts(history))

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.plots.setBackground(colors.background)
        for plot in self._drawn():
            for side in ("left", "bottom"):
                plot.getAxis(side).setPen(colors.muted)
                plot.getAxis(side).setTextPen(colors.muted)
            plot.setTitle(plot.titleLabel.text, color=colors.muted, size="9pt")
        self.lines["train_loss"].setPen(pg.mkPen(colors.attention, width=1))
        self.lines["validation_loss"].setPen(pg.mkPen(colors.attention, width=2))
        self._mark_pen = pg.mkPen(colors.muted, width=1)
        for mark in (mark for marks in self.marks for mark in marks):
            mark.setPen(self._mark_pen)

    def _drawn(self) -> tuple[Any, ...]:
        return (self.loss,)

    def _plot(self, column: int, title: str) -> Any:
        plot = self.plots.addPlot(row=0, col=column, title=title)
        plot.setMouseEnabled(x=False, y=False)
        plot.hideButtons()
        plot.setMenuEnabled(False)
        return plot

    def _draw(
        self,
        history: Sequence[EpochRecord | PretrainRecord],
        places: Sequence[int],
        starts: tuple[int, ...],
    ) -> None:
        """Every line over ``places``, broken at the records from which something else learns."""
        self.setVisible(bool(history))
        joined = np.ones(len(history), dtype=np.int32)
        joined[[start - 1 for start in starts]] = 0
        for name, line in self.lines.items():
            values = np.array([float(getattr(record, name)) for record in history])
            line.setData(np.asarray(places), values, connect=joined)
        self._mark([(places[start - 1] + places[start]) / 2 for start in starts])

    def _mark(self, places: Sequence[float]) -> None:
        """Upright lines in all plots."""
        while len(self.marks) > len(places):
            for plot, mark in zip(self._drawn(), self.marks.pop(), strict=True):
                plot.removeItem(mark)
        while len(self.marks) < len(places):
            marks = tuple(pg.InfiniteLine(pen=self._mark_pen) for _ in self._drawn())
            for plot, mark in zip(self._drawn(), marks, strict=True):
                plot.addItem(mark)
            self.marks.append(marks)
        for place, marks in zip(places, self.marks, strict=True):
            for mark in marks:
                mark.setValue(place)


class LearningCurve(LossCurve):
    """Two plots over epochs: training and validation loss; macro-F1 on the validation cells.

    Epochs are counted over all networks; a thin line stands where another one begins.
    """

    def __init__(self) -> None:
        super().__init__(
            "Over epochs. Left: loss, training (thin) and validation. Right: macro-F1. "
            "A vertical line stands where another network begins"
        )
        self.score = self._plot(1, "macro-F1")
        self.score.setYRange(0, 1, padding=0)
        self.lines["macro_f1"] = self.score.plot()
        for plot in self._drawn():
            plot.getAxis("bottom").setTickSpacing(levels=[(5, 0), (1, 0)])

    def show_history(self, history: tuple[EpochRecord, ...]) -> None:
        """Draw what is known so far."""
        self._draw(history, range(1, len(history) + 1), network_starts(history))

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        super().set_colors(colors)
        self.lines["macro_f1"].setPen(pg.mkPen(colors.expression, width=2))

    def _drawn(self) -> tuple[Any, ...]:
        return self.loss, self.score
