"""The leading genes of all types as a map of colours: hover tells, click chooses."""

from __future__ import annotations

from matplotlib import colormaps
from qtpy.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QFont,
    QFontMetrics,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
)
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_tagscope.controllers.numbers import percent
from napari_tagscope.controllers.tag_rows import TagMap

COLORMAP = "cividis"  # the same with every kind of colour vision
ROW_HEIGHT = 14
NARROWEST_NAMED = 10  # pixels: a name does not fit beside its neighbour in less
LONGEST_HEADER = 96
GAP = 4
_STEPS = {
    Qt.Key.Key_Up: (-1, 0),
    Qt.Key.Key_Down: (1, 0),
    Qt.Key.Key_Left: (0, -1),
    Qt.Key.Key_Right: (0, 1),
}


class HeatmapView(QWidget):
    """Genes (rows) by types (columns), each gene divided by its highest."""

    chosen = Signal(str, str)
    """Type and gene of the field that was clicked, or chosen with Return."""
    told = Signal(str)
    """What the field under the mouse, or the one the arrow keys went to, says; "" for none."""

    def __init__(self) -> None:
        super().__init__()
        self.heatmap: TagMap | None = None
        self._image = QImage()
        self._label = self._gene = ""
        self._at = (-1, -1)
        self.color = QColor("#ffffff")
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Heatmap of top attention genes by type")
        self.setToolTip("Click a field to choose its type and gene; arrow keys and Return do too")

    def show_map(self, heatmap: TagMap | None, label: str, gene: str) -> None:
        """Show another map, and frame the chosen type and gene."""
        if heatmap is not self.heatmap:
            self.heatmap, self._at = heatmap, (-1, -1)
            self._image = QImage() if heatmap is None else _image_of(heatmap)
            self.updateGeometry()
        self._label, self._gene = label, gene
        self.update()

    def sizeHint(self) -> QSize:
        genes = 0 if self.heatmap is None else len(self.heatmap.genes)
        return QSize(200, self._top + genes * ROW_HEIGHT + 2)

    def minimumSizeHint(self) -> QSize:
        return QSize(0, self.sizeHint().height())

    def field(self, gene: int, label: int) -> QRect:
        """Where a field is drawn."""
        left, width = self._left, self._column_width
        x, right = left + label * width, left + (label + 1) * width
        return QRect(int(x), self._top + gene * ROW_HEIGHT, int(right) - int(x), ROW_HEIGHT)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's
        if self.heatmap is None:
            return
        painter = QPainter(self)
        fields = QRectF(self._left, self._top, self.width() - self._left, self._fields_height)
        painter.drawImage(fields, self._image)
        painter.setPen(self.color)
        self._paint_genes(painter, self.heatmap)
        self._paint_types(painter, self.heatmap)
        if self._at[0] >= 0:
            painter.drawRect(self.field(*self._at).adjusted(0, 0, -1, -1))
        painter.end()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        if event is not None:
            self._go(*self._field_at(event.position()))

    def leaveEvent(self, event: QEvent | None) -> None:
        self._go(-1, -1)
        super().leaveEvent(event)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._go(*self._field_at(event.position()))
            self._choose()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is None or self.heatmap is None:
            return
        key = Qt.Key(event.key())
        if key in _STEPS:
            down, right = _STEPS[key]
            genes, types = len(self.heatmap.genes), len(self.heatmap.types)
            gene, label = self._at[0] + down, self._at[1] + right
            self._go(min(max(gene, 0), genes - 1), min(max(label, 0), types - 1))
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self._choose()
        else:
            super().keyPressEvent(event)

    def _go(self, gene: int, label: int) -> None:
        """Frame a field and say what it shows."""
        if (gene, label) == self._at:
            return
        self._at = (gene, label)
        self.update()
        self.told.emit(self._telling())

    def _telling(self) -> str:
        gene, label = self._at
        if self.heatmap is None or gene < 0:
            return ""
        shown = self.heatmap
        mean, scaled = shown.means[label, gene], shown.scaled[label, gene]
        text = (
            f"{shown.genes[gene]} in {shown.types[label]}: mean attention {mean:.3g}, "
            f"{percent(scaled)} of the gene's highest"
        )
        self.setAccessibleDescription(text)
        return text

    def _choose(self) -> None:
        gene, label = self._at
        if self.heatmap is not None and gene >= 0:
            self.chosen.emit(self.heatmap.types[label], self.heatmap.genes[gene])

    def _field_at(self, at: QPointF) -> tuple[int, int]:
        if self.heatmap is None:
            return -1, -1
        gene = int((at.y() - self._top) // ROW_HEIGHT)
        label = int((at.x() - self._left) // self._column_width)
        inside = 0 <= gene < len(self.heatmap.genes) and 0 <= label < len(self.heatmap.types)
        return (gene, label) if inside else (-1, -1)

    def _paint_genes(self, painter: QPainter, shown: TagMap) -> None:
        side = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        for row, gene in enumerate(shown.genes):
            rect = QRect(0, self._top + row * ROW_HEIGHT, self._left - GAP, ROW_HEIGHT)
            painter.setFont(self._font(bold=gene == self._gene))
            painter.drawText(rect, side, self._elided(gene, rect.width()))

    def _paint_types(self, painter: QPainter, shown: TagMap) -> None:
        """Names upright over their columns; where columns are narrow, that of the chosen alone."""
        named = self._column_width >= NARROWEST_NAMED
        flag = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column, label in enumerate(shown.types):
            if not named and label != self._label:
                continue
            width = max(self._column_width, ROW_HEIGHT)
            painter.save()
            painter.translate(self._left + (column + 0.5) * self._column_width, self._top - GAP)
            painter.rotate(-90)
            painter.setFont(self._font(bold=label == self._label))
            rect = QRectF(0, -width / 2, self._top - GAP, width)
            painter.drawText(rect, flag, self._elided(label, int(rect.width())))
            painter.restore()

    def _font(self, *, bold: bool) -> QFont:
        font = self.font()
        font.setBold(bold)
        font.setPixelSize(ROW_HEIGHT - 3)
        return font

    def _elided(self, text: str, width: int) -> str:
        return self._metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, width)

    @property
    def _left(self) -> int:
        """Width of the genes' names."""
        widest = max(
            map(self._advance, () if self.heatmap is None else self.heatmap.genes), default=0
        )
        return min(widest + GAP, self.width() // 3)

    @property
    def _top(self) -> int:
        """Height of the types' names."""
        widest = max(
            map(self._advance, () if self.heatmap is None else self.heatmap.types), default=0
        )
        return min(widest, LONGEST_HEADER) + GAP

    @property
    def _fields_height(self) -> int:
        return 0 if self.heatmap is None else len(self.heatmap.genes) * ROW_HEIGHT

    @property
    def _column_width(self) -> float:
        types = 1 if self.heatmap is None else max(1, len(self.heatmap.types))
        return (self.width() - self._left) / types

    @property
    def _metrics(self) -> QFontMetrics:
        return QFontMetrics(self._font(bold=True))

    def _advance(self, text: str) -> int:
        return self._metrics.horizontalAdvance(text) + 1  # as much as it rounds off


def _image_of(heatmap: TagMap) -> QImage:
    """One pixel a field, genes from top to bottom."""
    colors = colormaps[COLORMAP](heatmap.scaled.T, bytes=True)
    rows, columns = colors.shape[:2]
    return QImage(
        colors.tobytes(), columns, rows, 4 * columns, QImage.Format.Format_RGBA8888
    ).copy()
