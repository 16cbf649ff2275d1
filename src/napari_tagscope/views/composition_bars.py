"""Bars of what each domain is made of, to point at and to pick from."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QFontMetricsF,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
)
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_tagscope.controllers.composition import Composition
from napari_tagscope.views.theme import Colors, colors_of

BAR, GAP = 15.0, 5.0
LEAST_WIDTH = 240
NAMES_SHARE = 0.32  # of the width, at most, for the names of the domains
NOTHING = Composition((), (), (), ())
_STEPS: dict[int, tuple[int, int]] = {
    Qt.Key.Key_Left: (0, -1),
    Qt.Key.Key_Right: (0, 1),
    Qt.Key.Key_Up: (-1, 0),
    Qt.Key.Key_Down: (1, 0),
}


class CompositionBars(QWidget):
    """A bar per domain, all of one length, cut by the shares of the types.

    The mouse, or the arrow keys, point at a part; a click, or Return, picks it. A domain's name,
    or Space, picks the domain.
    """

    picked = Signal(int, int)
    domain_picked = Signal(int)
    pointed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.composition = NOTHING
        self.domain = ""
        self.chosen: tuple[int, int] | None = None
        self.current = (0, 0)
        self.colors = colors_of("dark")
        self.setAccessibleName("Cell types by domain")
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumWidth(LEAST_WIDTH)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_composition(
        self, found: Composition, domain: str, chosen: tuple[int, int] | None
    ) -> None:
        """Show other counts, which domain is selected, and which part is picked."""
        if found != self.composition:
            self.composition, self.current = found, (0, 0)
            self.setFixedHeight(round(len(found.domains) * (BAR + GAP) + GAP))
        self.domain, self.chosen = domain, chosen
        self.update()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.colors = colors
        self.update()

    def part_rect(self, row: int, place: int) -> QRectF:
        """Where the part of a type is drawn in the bar of a domain."""
        left, found = self._names_width(), self.composition
        room = self.width() - left - 3
        before = sum(found.share(row, other) for other in range(place))
        top = GAP + row * (BAR + GAP)
        return QRectF(left + room * before, top, room * found.share(row, place), BAR)

    def row_at(self, at: QPointF) -> int | None:
        """The domain at a position, by its name or its bar."""
        row, below = divmod(at.y() - GAP / 2, BAR + GAP)
        del below
        return int(row) if 0 <= row < len(self.composition.domains) else None

    def part_at(self, at: QPointF) -> tuple[int, int] | None:
        """Domain and type at a position, None beside the bars."""
        row = self.row_at(at)
        if row is None or at.x() < self._names_width():
            return None
        parts = range(len(self.composition.types))
        return next(((row, p) for p in parts if self.part_rect(row, p).right() > at.x()), None)

    def sizeHint(self) -> QSize:
        return QSize(LEAST_WIDTH, self.height())

    def event(self, event: QEvent | None) -> bool:
        if isinstance(event, QHelpEvent):
            part = self.part_at(QPointF(event.pos()))
            told = self._told_at(QPointF(event.pos())) if part is None else self._text(*part)
            QToolTip.showText(event.globalPos(), told, self)
            return True
        return super().event(event)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        if event is not None and (part := self.part_at(event.position())) is not None:
            self._point(*part)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        if event is None:
            return
        part, row = self.part_at(event.position()), self.row_at(event.position())
        if part is not None:
            self._point(*part)
            self.picked.emit(*part)
        elif row is not None:
            self.domain_picked.emit(row)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is None or not self.composition.domains:
            return
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.picked.emit(*self.current)
        elif event.key() == Qt.Key.Key_Space:
            self.domain_picked.emit(self.current[0])
        elif (step := _STEPS.get(event.key())) is not None:
            self._step(*step)
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: object) -> None:  # noqa: ARG002 - Qt's
        if self.composition.types:
            self._point(*self.current)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's
        painter = QPainter(self)
        for row in range(len(self.composition.domains)):
            self._draw_name(painter, row)
            for place, color in enumerate(self.composition.colors):
                if self.composition.counts[row][place]:
                    painter.fillRect(self.part_rect(row, place), QColor(color))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if self.hasFocus() and self.composition.types:
            painter.setPen(self.colors.muted)
            painter.drawRect(self.part_rect(*self.current).adjusted(-1, -1, 1, 1))
        if self.chosen is not None:
            painter.setPen(self.colors.text)
            painter.drawRect(self.part_rect(*self.chosen).adjusted(-1, -2, 1, 2))
        painter.end()

    def _draw_name(self, painter: QPainter, row: int) -> None:
        name, metrics = self.composition.domains[row], QFontMetricsF(self.font())
        font = self.font()
        font.setBold(name == self.domain)
        painter.setFont(font)
        painter.setPen(self.colors.text)
        room = self._names_width() - 6
        text = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, room)
        box = QRectF(0, GAP + row * (BAR + GAP), room, BAR)
        align = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(box, int(align | Qt.TextFlag.TextDontClip), text)

    def _names_width(self) -> float:
        font = self.font()
        font.setBold(True)
        metrics = QFontMetricsF(font)
        longest = max(map(metrics.horizontalAdvance, self.composition.domains), default=0.0)
        return min(longest + 8, NAMES_SHARE * self.width())

    def _text(self, row: int, place: int) -> str:
        return self.composition.text(row, place)

    def _told_at(self, at: QPointF) -> str:
        row = self.row_at(at)
        if row is None:
            return "Click a part to select its cells, a name to select its domain"
        name, cells = self.composition.domains[row], sum(self.composition.counts[row])
        return f"{name}: {cells:,} cells. Click to select it (Space)"

    def _step(self, down: int, right: int) -> None:
        """Go to the next part that is there."""
        counts = self.composition.counts
        row = min(max(self.current[0] + down, 0), len(counts) - 1)
        there = [place for place, count in enumerate(counts[row]) if count]
        if not there:
            return
        after = [place for place in there if (place - self.current[1]) * right > 0]
        if right:
            place = min(after, key=lambda p: abs(p - self.current[1]), default=self.current[1])
        else:
            place = min(there, key=lambda p: abs(p - self.current[1]))
        self._point(row, place)

    def _point(self, row: int, place: int) -> None:
        self.current = row, place
        text = self._text(row, place)
        self.setAccessibleDescription(text)
        self.pointed.emit(text)
        self.update()
