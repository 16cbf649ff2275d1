"""The TAGscope dock, and each of its panels as a dock of its own."""

from __future__ import annotations

from typing import Any

from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_tagscope.views.agreement_card import AgreementCard
from napari_tagscope.views.annotate_panel import AnnotatePanel
from napari_tagscope.views.attention_panel import AttentionPanel
from napari_tagscope.views.boundary_card import BoundaryCard
from napari_tagscope.views.card import Card
from napari_tagscope.views.card_column import LEAST, CardColumn, Pages
from napari_tagscope.views.comparison_view import ComparisonView
from napari_tagscope.views.composition_card import CompositionCard
from napari_tagscope.views.domains_panel import DomainsPanel
from napari_tagscope.views.edits_card import EditsCard
from napari_tagscope.views.faithfulness_card import FaithfulnessCard
from napari_tagscope.views.gene_map_card import GeneMapCard
from napari_tagscope.views.inspector_panel import InspectorPanel
from napari_tagscope.views.job_bar import JobBar
from napari_tagscope.views.layers_row import LayersRow
from napari_tagscope.views.legends import Legends
from napari_tagscope.views.markers_card import MarkersCard
from napari_tagscope.views.patches_card import PatchesCard
from napari_tagscope.views.preflight_panel import PreflightPanel
from napari_tagscope.views.result_switch import ResultSwitch
from napari_tagscope.views.section_panel import SectionPanel
from napari_tagscope.views.selection_row import SelectionRow
from napari_tagscope.views.session import Session, session_of
from napari_tagscope.views.slots_card import SlotsCard
from napari_tagscope.views.theme import colors_of, style_sheet

LEGEND = 210  # pixels of height that the legend keeps: three types, and the confidence slider

_COLOURED = (
    AgreementCard, BoundaryCard, CompositionCard, DomainsPanel, GeneMapCard, MarkersCard,
    PatchesCard,
)  # fmt: skip


class PanelDock(QWidget):
    """Some panels over a job bar; it follows napari's theme and ends its jobs with the window."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        # napari fills the lower half of a dock that does not ask for height with nothing
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.session: Session = session_of(viewer)
        self.bar = JobBar(self.session.runner)
        self.content = QVBoxLayout()
        self.content.setSpacing(2)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addLayout(self.content, 1)
        self.selection = SelectionRow(self.session.selecting)
        outer.addWidget(self.selection)
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
        for part in self.findChildren(QWidget):
            if isinstance(part, _COLOURED):
                part.set_colors(colors)
        for comparison in self.findChildren(ComparisonView):
            comparison.matrix.set_colors(colors)

    def _show_alone(self, *cards: QWidget) -> None:
        """Fill the dock with one column."""
        column = CardColumn()
        column.add(*cards)
        column.cards.addStretch(1)
        self.content.addWidget(column)
        self.follow_theme()

    def _make_section(self) -> Card:
        self.section = SectionPanel(self.session.section)
        card = Card("Section", "Open a section and see what is in it")
        card.add(self.section, LayersRow(self.session.layers))
        return card

    def _make_preflight(self) -> Card:
        self.preflight = PreflightPanel(self.session.preflight)
        card = Card("Preflight", "See whether the section can be annotated with the bundle")
        card.add(self.preflight)
        return card

    def _make_annotate(self) -> tuple[Card, ...]:
        session = self.session
        self.annotate = AnnotatePanel(session.annotate, session.training, session.comparison)
        card = Card("Annotate", "Give every cell a type")
        self.result_switch = ResultSwitch(session.section)
        card.add(self.annotate, self.result_switch)
        self.agreement = AgreementCard(session.agreement, session.model_comparison)
        return card, self.agreement

    def _make_attention(self) -> tuple[Card, ...]:
        self.attention = AttentionPanel(self.session.attention)
        self.faithfulness = FaithfulnessCard(self.session.faithfulness)
        self.slots = SlotsCard(self.session.slots)
        self.patches = PatchesCard(self.session.patches)
        self.gene_map = GeneMapCard(self.session.gene_map)
        card = Card("Top attention genes", "See which genes the model attends to, and where")
        card.add(self.attention)
        of_model = (self.slots, self.patches, self.gene_map)
        return card, self.attention.heatmap_card, self.faithfulness, *of_model

    def _make_domains(self) -> tuple[Card, ...]:
        session = self.session
        self.domains = DomainsPanel(session.domains, session.outlines, session.pretraining)
        self.composition = CompositionCard(session.composition)
        self.markers = MarkersCard(session.markers)
        self.boundary = BoundaryCard(session.boundary)
        self.edits = EditsCard(session.edits)
        self.domain_comparison = ComparisonView(session.domain_comparison, "domain")
        card = Card("Domains", "Find parts of the tissue whose cells have like surroundings")
        card.add(self.domains)
        compare = Card(
            "Compare with regions", "Compare the domains with a column of regions", opened=False
        )
        compare.add(self.domain_comparison)
        return card, self.composition, self.markers, self.boundary, self.edits, compare

    def _make_inspector(self) -> Card:
        self.inspector = InspectorPanel(self.session.inspector)
        card = Card("Inspector", "See what a cell is and why, and what selected cells share")
        card.add(self.inspector)
        return card

    def _make_legend(self) -> Card:
        session = self.session
        self.legends = Legends(
            session.state, session.legend, session.domain_legend, session.agreement_legend
        )
        self.legend, self.domain_legend = self.legends.types, self.legends.domains
        card = Card("Legend", "Cell types, domains, agreement: show, hide, colour and rename them")
        card.add(self.legends)
        return card


class TagscopeDock(PanelDock):
    """A tab for each step of the work; what is chosen on the tissue stays on view below."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.tabs = Pages()
        self.tabs.setAccessibleName("Steps")
        self._add_tab(
            "&Section",
            "Open a section and see what is in it (Alt+S)",
            self._make_section(),
            self._make_preflight(),
        )
        self._add_tab(
            "&Annotate",
            "Give every cell a type (Alt+A)",
            self._make_preflight(),
            *self._make_annotate(),
        )
        self._add_tab("A&ttention", "See why a cell is what it is (Alt+T)", *self._make_attention())
        self._add_tab("&Domains", "See which parts the tissue has (Alt+D)", *self._make_domains())
        self.content.addWidget(self.tabs)
        for card, least in ((self._make_inspector(), LEAST), (self._make_legend(), LEGEND)):
            column = CardColumn(snug=True, least=least)
            column.add(card)
            self.content.addWidget(column)
        self.follow_theme()

    def _add_tab(self, title: str, tip: str, *cards: QWidget) -> None:
        page = CardColumn()
        page.add(*cards)
        page.cards.addStretch(1)
        self.tabs.add(page, title, tip)


class SectionDock(PanelDock):
    """The Section panel, with what is found in the section."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self._show_alone(self._make_section(), self._make_preflight())


class AnnotateDock(PanelDock):
    """The Annotate panel, with what stands in its way and the types it gives."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self._show_alone(self._make_preflight(), *self._make_annotate(), self._make_legend())


class AttentionDock(PanelDock):
    """The Attention panels alone."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self._show_alone(*self._make_attention())


class DomainsDock(PanelDock):
    """The Domains panels, with their legend."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self._show_alone(*self._make_domains(), self._make_legend())


class InspectorDock(PanelDock):
    """The Inspector alone."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self._show_alone(self._make_inspector())
