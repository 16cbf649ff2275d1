"""A confusion matrix to look at, point at, and pick cells from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QFontMetricsF,
    QHelpEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
)
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_tagscope.controllers.comparison import Confusion
from napari_tagscope.views.theme import Colors, colors_of

LARGEST_CELL = 24.0
LEAST_WIDTH = 240
NAMES_SHARE = 0.32  # of the width, at most, for the names of the rows
NAMES_ABOVE = 96.0  # height, at most, for those of the columns
LEAST_NAMED = 9.0  # size of a cell below which names would cover each other
MOST_HIGH = 420.0
_STEPS: dict[int, tuple[int, int]] = {
    Qt.Key.Key_Left: (0, -1),
    Qt.Key.Key_Right: (0, 1),
    Qt.Key.Key_Up: (-1, 0),
    Qt.Key.Key_Down: (1, 0),
}


class ConfusionMatrix(QWidget):
    """Rows of a :class:`Confusion` as shares, drawn as deep as their square root.

    Cells that agree are in one colour, others in another. The mouse, or the arrow keys, point at
    a cell; a click, or Return, picks it. ``given`` is what people call the columns.
    """

    picked = Signal(int, int)
    pointed = Signal(str)

    def __init__(self, given: str) -> None:
        super().__init__()
        self._corner = ""
        self.name_axes(given, "label")
        self.confusion = Confusion((), (), ())
        self.chosen: tuple[int, int] | None = None
        self.current = (0, 0)
        self.colors = colors_of("dark")
        self._image = QImage()
        self.setAccessibleName("Confusion matrix")
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumWidth(LEAST_WIDTH)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def name_axes(self, columns: str, rows: str) -> None:
        """Say what columns and rows are."""
        self._corner = f"{columns} →\n{rows} ↓"
        self.update()

    def show_confusion(self, confusion: Confusion, chosen: tuple[int, int] | None) -> None:
        """Show other counts, and which cell is picked."""
        if confusion != self.confusion:
            self.confusion, self.current = confusion, (0, 0)
            self._paint()
            self._fit()
        self.chosen = chosen
        self.update()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.colors = colors
        self._paint()
        self.update()

    def cell_rect(self, row: int, column: int) -> QRectF:
        """Where a cell is drawn."""
        width, height = self._cell_size()
        left, top = self._margins()
        return QRectF(left + column * width, top + row * height, width, height)

    def cell_at(self, at: QPointF) -> tuple[int, int] | None:
        """The cell at a position, None beside all."""
        width, height = self._cell_size()
        left, top = self._margins()
        row, column = int((at.y() - top) // height), int((at.x() - left) // width)
        rows, columns = len(self.confusion.truth), len(self.confusion.prediction)
        return (row, column) if 0 <= row < rows and 0 <= column < columns else None

    def sizeHint(self) -> QSize:
        return QSize(LEAST_WIDTH, self.height())

    def resizeEvent(self, event: object) -> None:  # noqa: ARG002 - Qt's
        self._fit()

    def event(self, event: QEvent | None) -> bool:
        if isinstance(event, QHelpEvent):
            self._tell(event.pos(), event.globalPos())
            return True
        return super().event(event)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        if event is not None and (cell := self.cell_at(event.position())) is not None:
            self._point(*cell)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        if event is not None and (cell := self.cell_at(event.position())) is not None:
            self._point(*cell)
            self.picked.emit(*cell)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is None or not self.confusion.truth:
            return
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.picked.emit(*self.current)
        elif (step := _STEPS.get(event.key())) is not None:
            row, column = (place + by for place, by in zip(self.current, step, strict=True))
            last = len(self.confusion.truth) - 1, len(self.confusion.prediction) - 1
            self._point(min(max(row, 0), last[0]), min(max(column, 0), last[1]))
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: object) -> None:  # noqa: ARG002 - Qt's
        if self.confusion.truth:
            self._point(*self.current)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's
        painter = QPainter(self)
        if self.confusion.truth:
            last = len(self.confusion.truth) - 1, len(self.confusion.prediction) - 1
            painter.drawImage(self.cell_rect(0, 0).united(self.cell_rect(*last)), self._image)
        self._draw_names(painter)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if self.hasFocus() and self.confusion.truth:
            painter.setPen(self.colors.muted)
            painter.drawRect(self.cell_rect(*self.current))
        if self.chosen is not None:
            painter.setPen(self.colors.text)
            painter.drawRect(self.cell_rect(*self.chosen).adjusted(-1, -1, 1, 1))
        painter.end()

    def _point(self, row: int, column: int) -> None:
        self.current = row, column
        text = self.confusion.text(row, column)
        self.setAccessibleDescription(text)
        self.pointed.emit(text)
        self.update()

    def _tell(self, at: QPoint, on_screen: QPoint) -> None:
        cell = self.cell_at(QPointF(at))
        if cell is None:
            text = (
                "Rows: the column's labels. Columns: what was found. The deeper, the larger the "
                "share of the row; click to select the cells (arrow keys and Return)"
            )
        else:
            text = self.confusion.text(*cell)
        QToolTip.showText(on_screen, text, self)

    def _paint(self) -> None:
        """A pixel per cell, from the panel's ground to the full colour by the share's root."""
        confusion = self.confusion
        if not confusion.truth:
            return
        counts = np.array(confusion.counts, dtype=np.float64)
        deep = np.sqrt(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))[..., None]
        agree = np.equal.outer(np.array(confusion.truth), np.array(confusion.prediction))
        colors = self.colors
        full = np.where(agree[..., None], _rgb(colors.expression), _rgb(colors.attention))
        pixels = np.rint(deep * full + (1 - deep) * _rgb(colors.foreground)).astype(np.uint8)
        rows, columns = counts.shape
        kind = QImage.Format.Format_RGB888
        self._image = QImage(pixels.tobytes(), columns, rows, 3 * columns, kind).copy()

    def _draw_names(self, painter: QPainter) -> None:
        metrics, (left, top) = QFontMetricsF(self.font()), self._margins()
        width, height = self._cell_size()
        elide = Qt.TextElideMode.ElideMiddle  # names of kin differ at their ends
        painter.setPen(self.colors.muted)
        side = Qt.AlignmentFlag.AlignRight if self._rows_named else Qt.AlignmentFlag.AlignLeft
        box = QRectF(0, 0, left - 4 if self._rows_named else self.width(), top - 2)
        painter.drawText(box, int(side | Qt.AlignmentFlag.AlignBottom), self._corner)
        painter.setPen(self.colors.text)
        if self._rows_named:
            for row, name in enumerate(self.confusion.truth):
                box = QRectF(0, top + row * height, left - 4, height)
                text = metrics.elidedText(name, elide, left - 4)
                align = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                painter.drawText(box, int(align | Qt.TextFlag.TextDontClip), text)
        if width >= LEAST_NAMED:
            for column, name in enumerate(self.confusion.prediction):
                painter.save()
                painter.translate(left + (column + 0.5) * width, top - 4)
                painter.rotate(-90)
                text = metrics.elidedText(name, elide, top - 4)
                painter.drawText(QPointF(0, metrics.ascent() / 2 - 1), text)
                painter.restore()

    @property
    def _rows_named(self) -> bool:
        """Whether there is room for the names of the rows."""
        return len(self.confusion.truth) * LEAST_NAMED <= MOST_HIGH

    def _margins(self) -> tuple[float, float]:
        """Room for the names at the left and above."""
        metrics, confusion = QFontMetricsF(self.font()), self.confusion
        corner = metrics.size(0, self._corner)
        left, top = 1.0, corner.height() + 4
        if self._rows_named:
            longest = max(map(metrics.horizontalAdvance, confusion.truth), default=0.0)
            left = min(max(longest, corner.width()) + 6, NAMES_SHARE * self.width())
        if (self.width() - left) >= LEAST_NAMED * len(confusion.prediction):
            highest = max(map(metrics.horizontalAdvance, confusion.prediction), default=0.0)
            top = max(top, min(highest + 6, NAMES_ABOVE))
        return left, top

    def _cell_size(self) -> tuple[float, float]:
        rows, columns = len(self.confusion.truth), max(1, len(self.confusion.prediction))
        width = min((self.width() - self._margins()[0] - 2) / columns, LARGEST_CELL)
        least = QFontMetricsF(self.font()).height() if self._rows_named else width
        return width, min(max(width, least), MOST_HIGH / max(1, rows))

    def _fit(self) -> None:
        """As high as the rows need."""
        rows = len(self.confusion.truth)
        self.setFixedHeight(round(self._margins()[1] + rows * self._cell_size()[1] + 3))


def _rgb(color: QColor) -> npt.NDArray[np.float64]:
    return np.array(color.getRgb()[:3], dtype=np.float64)
