"""The TAGscope dock, and each of its panels as a dock of its own."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_tagscope.views.annotate_panel import AnnotatePanel
from napari_tagscope.views.attention_panel import AttentionPanel
from napari_tagscope.views.card import Card
from napari_tagscope.views.faithfulness_card import FaithfulnessCard
from napari_tagscope.views.inspector_panel import InspectorPanel
from napari_tagscope.views.job_bar import JobBar
from napari_tagscope.views.layers_row import LayersRow
from napari_tagscope.views.preflight_panel import PreflightPanel
from napari_tagscope.views.section_panel import SectionPanel
from napari_tagscope.views.selection_row import SelectionRow
from napari_tagscope.views.session import Session, session_of
from napari_tagscope.views.slots_card import SlotsCard
from napari_tagscope.views.theme import colors_of, style_sheet

WIDTH = 384


class _Column(QScrollArea):
    """Scrolls up and down alone: never narrower than what it holds."""

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)

    def minimumSizeHint(self) -> QSize:
        held, bar = self.widget(), self.verticalScrollBar()
        if held is None or bar is None:
            return super().minimumSizeHint()
        width = max(WIDTH, held.minimumSizeHint().width())
        return QSize(width + bar.sizeHint().width(), 200)


class PanelDock(QWidget):
    """Some panels over a job bar; it follows napari's theme and ends its jobs with the window."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.session: Session = session_of(viewer)
        self.column = QVBoxLayout()
        self.column.setContentsMargins(4, 4, 4, 4)
        self.column.setSpacing(6)
        self.bar = JobBar(self.session.runner)
        holder = QWidget()
        holder.setLayout(self.column)
        scroll = _Column()
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(holder)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(scroll, 1)
        outer.addWidget(SelectionRow(self.session.selecting))
        outer.addWidget(self.bar)

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        window = self.window()
        if window is not None and window is not self:
            self.session.end_with(window)

    def follow_theme(self) -> None:
        """Take the theme's colours now and whenever it changes."""
        events = self.session.viewer.events
        events.theme.connect(self._on_theme)
        self.destroyed.connect(lambda: events.theme.disconnect(self._on_theme))
        self._on_theme()

    def _on_theme(self, event: Any = None) -> None:  # noqa: ARG002 - napari's
        colors = colors_of(self.session.viewer.theme)
        self.setStyleSheet(style_sheet(colors))
        for panel in self.findChildren(AttentionPanel):
            panel.set_colors(colors)
        for annotate in self.findChildren(AnnotatePanel):
            annotate.set_colors(colors)
        for inspector in self.findChildren(InspectorPanel):
            inspector.set_colors(colors)

    def _add_section(self) -> SectionPanel:
        card = Card("Section", "Open a section and see what is in it")
        panel = SectionPanel(self.session.section)
        card.body.addWidget(panel)
        card.body.addWidget(LayersRow(self.session.layers))
        self.column.addWidget(card)
        return panel

    def _add_preflight(self) -> PreflightPanel:
        card = Card("Preflight", "See whether the section can be annotated with the bundle")
        panel = PreflightPanel(self.session.preflight)
        card.body.addWidget(panel)
        self.column.addWidget(card)
        return panel

    def _add_annotate(self) -> AnnotatePanel:
        session = self.session
        card = Card("Annotate", "Give every cell a type")
        panel = AnnotatePanel(
            session.annotate, session.training, session.legend, session.comparison
        )
        card.body.addWidget(panel)
        self.column.addWidget(card)
        return panel

    def _add_attention(self) -> AttentionPanel:
        card = Card("Attention", "See which genes the model attends to, and where")
        panel = AttentionPanel(self.session.attention)
        card.body.addWidget(panel)
        self.faithfulness = FaithfulnessCard(self.session.faithfulness)
        self.slots = SlotsCard(self.session.slots)
        card.body.addWidget(self.faithfulness)
        card.body.addWidget(self.slots)
        self.column.addWidget(card)
        return panel

    def _add_inspector(self) -> InspectorPanel:
        card = Card("Inspector", "See what a cell is and why, and what selected cells share")
        panel = InspectorPanel(self.session.inspector)
        card.body.addWidget(panel)
        self.column.addWidget(card)
        return panel


class TagscopeDock(PanelDock):
    """All panels in the order of work."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.section = self._add_section()
        self.preflight = self._add_preflight()
        self.annotate = self._add_annotate()
        self.attention = self._add_attention()
        self.inspector = self._add_inspector()
        self.column.addStretch(1)
        self.follow_theme()


class SectionDock(PanelDock):
    """The Section panel, with what is found in the section."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.section = self._add_section()
        self.preflight = self._add_preflight()
        self.column.addStretch(1)
        self.follow_theme()


class AnnotateDock(PanelDock):
    """The Annotate panel, with what stands in its way."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.preflight = self._add_preflight()
        self.annotate = self._add_annotate()
        self.column.addStretch(1)
        self.follow_theme()


class AttentionDock(PanelDock):
    """The Attention panel alone."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.attention = self._add_attention()
        self.column.addStretch(1)
        self.follow_theme()


class InspectorDock(PanelDock):
    """The Inspector alone."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.inspector = self._add_inspector()
        self.column.addStretch(1)
        self.follow_theme()
