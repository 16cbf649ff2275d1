"""A map of genes to look at, point at, and choose a gene from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QEvent, QPointF, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QFontMetricsF,
    QHelpEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
)
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_tagscope.controllers.gene_map import GeneMap
from napari_tagscope.views.theme import Colors, colors_of
from tagscope.core.labels import default_colors

HEIGHT, MARGIN = 300, 14.0
LARGEST, SMALLEST = 3.5, 1.2  # radius of a gene, in pixels
REACH = 9.0  # pixels from a gene within which it is meant
NAMED = 2  # genes written at each module


class GeneScatter(QWidget):
    """Genes as dots, each module in a colour with the names of its leading genes.

    Pointing tells a gene, a click chooses it. The genes most like the chosen one are ringed.
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.map: GeneMap | None = None
        self.gene = ""
        self.near: frozenset[str] = frozenset()
        self.colors = colors_of("dark")
        self.setAccessibleName("Map of genes")
        self.setMouseTracking(True)
        self.setFixedHeight(HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_map(self, shown: GeneMap | None, gene: str, near: frozenset[str]) -> None:
        """Show other genes, or which is chosen and which are most like it."""
        self.map, self.gene, self.near = shown, gene, near
        self.update()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.colors = colors
        self.update()

    def places(self) -> npt.NDArray[np.float64]:
        """Where genes are drawn, (n, 2), the map as large as fits."""
        assert self.map is not None
        at = self.map.places.astype(np.float64)
        low, high = at.min(axis=0), at.max(axis=0)
        room = np.array([self.width(), self.height()]) - 2 * MARGIN
        scale = room / np.maximum(high - low, 1e-9)
        return np.asarray(MARGIN + (at - low) * scale)

    def gene_at(self, at: QPointF) -> str:
        """The gene at a position, "" where there is none near."""
        if self.map is None or not len(self.map.genes):
            return ""
        away = np.hypot(*(self.places() - (at.x(), at.y())).T)
        nearest = int(away.argmin())
        return self.map.genes[nearest] if away[nearest] <= REACH else ""

    def sizeHint(self) -> QSize:
        return QSize(240, HEIGHT)

    def event(self, event: QEvent | None) -> bool:
        if isinstance(event, QHelpEvent):
            tip = "Genes with like embeddings lie near each other; click one to choose it"
            QToolTip.showText(event.globalPos(), self.gene_at(QPointF(event.pos())) or tip, self)
            return True
        return super().event(event)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        if event is not None:
            gene = self.gene_at(event.position())
            shape = Qt.CursorShape.PointingHandCursor if gene else Qt.CursorShape.ArrowCursor
            self.setCursor(shape)
            if gene:
                QToolTip.showText(event.globalPosition().toPoint(), gene, self)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        if event is not None and (gene := self.gene_at(event.position())):
            self.chosen.emit(gene)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.map is not None:
            self._draw(painter, self.map)
        painter.end()

    def _draw(self, painter: QPainter, shown: GeneMap) -> None:
        at, modules = self.places(), default_colors(len(shown.leading))
        radius = float(np.clip(40 / np.sqrt(max(len(at), 1)), SMALLEST, LARGEST))
        painter.setPen(Qt.PenStyle.NoPen)
        for (x, y), module in zip(at, shown.modules, strict=True):
            painter.setBrush(QColor(modules[module]))
            painter.drawEllipse(QPointF(x, y), radius, radius)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(self.colors.text, 1.2))
        for (x, y), gene in zip(at, shown.genes, strict=True):
            if gene in self.near or gene == self.gene:
                ring = radius + (4 if gene == self.gene else 2)
                painter.drawEllipse(QPointF(x, y), ring, ring)
        for module, names in enumerate(shown.leading):
            middle = np.median(at[shown.modules == module], axis=0)
            self._write(painter, QPointF(*middle), names[:NAMED], self.colors.muted)
        for (x, y), gene in zip(at, shown.genes, strict=True):
            if gene == self.gene:
                self._write(painter, QPointF(x, y - radius - 12), (gene,), self.colors.text)

    def _write(
        self, painter: QPainter, middle: QPointF, lines: tuple[str, ...], color: QColor
    ) -> None:
        """Names around a place, within the map, with a rim of the ground to be read over dots."""
        metrics, path = QFontMetricsF(self.font()), QPainterPath()
        top = middle.y() - metrics.height() * len(lines) / 2 + metrics.ascent()
        for number, line in enumerate(lines):
            width = metrics.horizontalAdvance(line)
            left = min(max(middle.x() - width / 2, 2.0), self.width() - width - 2)
            path.addText(QPointF(left, top + number * metrics.height()), self.font(), line)
        rim = QPen(self.colors.background, 3.0)
        rim.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.strokePath(path, rim)
        painter.fillPath(path, color)
