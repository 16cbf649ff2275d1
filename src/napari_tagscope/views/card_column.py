"""Cards above each other that scroll up and down."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt, Signal
from qtpy.QtWidgets import QFrame, QScrollArea, QSizePolicy, QTabWidget, QVBoxLayout, QWidget

WIDTH = 384  # pixels, at least
LEAST = 110  # pixels of height that a column keeps
USUAL = 500  # pixels of height that a column asks for at most


class CardColumn(QScrollArea):
    """Never narrower than what it holds, so that it scrolls up and down alone.

    A ``snug`` one is never higher than what it holds either, and leaves the rest to others;
    it keeps ``least`` pixels of height.
    """

    grown = Signal()
    """What it holds wants another size."""

    def __init__(self, *, snug: bool = False, least: int = LEAST) -> None:
        super().__init__()
        self._snug, self._least = snug, least
        self.cards = QVBoxLayout()
        self.cards.setContentsMargins(4, 4, 4, 4 if not snug else 0)
        self.cards.setSpacing(6)
        holder = QWidget()
        holder.setLayout(self.cards)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidget(holder)
        if snug:
            self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)

    def add(self, *cards: QWidget) -> None:
        """Put cards below those that are there."""
        for card in cards:
            self.cards.addWidget(card)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
            self.grown.emit()
        return super().eventFilter(watched, event)

    def minimumSizeHint(self) -> QSize:
        bar = self.verticalScrollBar()
        assert bar is not None
        width = max(WIDTH, self.cards.minimumSize().width())
        height = min(self._least, self._content_height()) if self._snug else 2 * LEAST
        return QSize(width + bar.sizeHint().width(), height)

    def sizeHint(self) -> QSize:
        return QSize(self.minimumSizeHint().width(), min(USUAL, self._content_height()))

    def _content_height(self) -> int:
        """Pixels that the cards need at the width they have, and the frame around them."""
        wanted, viewport = self.cards.totalSizeHint().height(), self.viewport()
        assert viewport is not None
        if self.cards.hasHeightForWidth():
            wanted = max(wanted, self.cards.totalHeightForWidth(max(self.width(), WIDTH)))
        return wanted + max(0, self.height() - viewport.height())


class Pages(QTabWidget):
    """Columns to turn between; as high as the one on view wants to be, not the highest."""

    def __init__(self) -> None:
        super().__init__()
        self.setDocumentMode(True)
        self.currentChanged.connect(lambda _: self.updateGeometry())

    def add(self, page: CardColumn, title: str, tip: str) -> None:
        """Put a page behind those that are there; ``&`` in its title marks its Alt key."""
        self.setTabToolTip(self.addTab(page, title), tip)
        page.grown.connect(self.updateGeometry)

    def sizeHint(self) -> QSize:
        page, bar = self.currentWidget(), self.tabBar()
        if page is None or bar is None:
            return super().sizeHint()
        wanted = page.sizeHint()
        return QSize(wanted.width(), wanted.height() + bar.sizeHint().height())
