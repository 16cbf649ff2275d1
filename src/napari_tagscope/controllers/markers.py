"""Genes that tell a domain from all others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_tagscope.controllers.observed import Observed
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure, Runner, Task
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from tagscope.api import DomainMap, DomainMarkers
    from tagscope.core.section import Section

TOPIC = "markers of domains"
NO_DOMAINS = "Find domains, and the genes that tell them apart are listed here."
COMPARING = "Comparing genes…"
STOPPED = "Comparing was cancelled. Choose a domain to compare its genes."
MOST_GENES = 100  # listed of a domain
HIGHER = 0.5  # AUC above which a gene is higher in a domain than elsewhere


@dataclass(frozen=True)
class MarkerRow:
    """One gene of a domain; the quantities are those of :class:`tagscope.api.DomainMarkers`."""

    gene: str
    auc: float
    log2_fold_change: float
    share_inside: float
    share_outside: float


@dataclass(frozen=True)
class MarkersState:
    """Markers of the ``domain`` that is listed; ``gene`` is the one painted."""

    domains: tuple[str, ...] = ()
    domain: str = ""
    rows: tuple[MarkerRow, ...] = ()
    gene: str = ""
    hint: str = NO_DOMAINS
    failure: Failure | None = None


class MarkersController(Observed[MarkersState]):
    """Ranks genes by domain once somebody looks; ``paint`` paints a gene's expression."""

    def __init__(
        self, viewer_state: ViewerState, runner: Runner, paint: Callable[[str], None]
    ) -> None:
        super().__init__(MarkersState())
        self._viewer_state = viewer_state
        self._runner = runner
        self._paint = paint
        self._markers: DomainMarkers | None = None
        self._looked_at = False
        viewer_state.section_changed.connect(lambda _: self._drop())
        viewer_state.domains_changed.connect(self._on_domains)
        viewer_state.domain_selected.connect(lambda _: self._show())
        viewer_state.gene_selected.connect(lambda gene: self._update(gene=gene or ""))

    def look(self, looked_at: bool) -> None:
        """Say whether the list is seen: what nobody looks at is not computed."""
        self._looked_at = looked_at
        if looked_at and (self._markers is None or self.state.hint == STOPPED):
            self._compare()

    def choose_domain(self, name: str) -> None:
        """List a domain's genes, and select it everywhere."""
        self._viewer_state.select_domain(name)
        self._show()
        if self.state.hint == STOPPED:
            self._compare()

    def choose_gene(self, gene: str) -> None:
        """Paint a gene's expression."""
        self._paint(gene)

    def as_text(self) -> str:
        """The list as tab-separated text with a header, for a spreadsheet."""
        lines = ["gene\tauc\tlog2_fold_change\tshare_inside\tshare_outside"]
        lines += [
            f"{row.gene}\t{row.auc:.6g}\t{row.log2_fold_change:.6g}"
            f"\t{row.share_inside:.6g}\t{row.share_outside:.6g}"
            for row in self.state.rows
        ]
        return "\n".join(lines)

    def _drop(self) -> None:
        self._runner.cancel(TOPIC)
        self._markers = None
        self._update(domains=(), domain="", rows=(), hint=NO_DOMAINS, failure=None)

    def _on_domains(self, found: DomainMap | None) -> None:
        if found is None:
            self._drop()
            return
        self._markers = None
        self._update(domains=found.domains.names, failure=None, hint=COMPARING)
        self._show()
        if self._looked_at:
            self._compare()

    def _compare(self) -> None:
        opened, found = self._viewer_state.opened, self._viewer_state.domains
        if opened is None or found is None:
            return
        section = opened.section
        self._update(hint=COMPARING, failure=None)
        self._runner.start(
            Task(
                topic=TOPIC,
                title="Comparing genes by domain",
                work=lambda context: _markers(section, found, context),
                done=self._on_markers,
                failed=lambda failure: self._update(rows=(), hint="", failure=failure),
                cancelled=lambda: self._update(hint=STOPPED),
                unit="genes",
            )
        )

    def _on_markers(self, markers: DomainMarkers) -> None:
        self._markers = markers
        self._update(hint="")
        self._show()

    def _show(self) -> None:
        """List the genes of the selected domain, of the first where none is."""
        names, selected = self.state.domains, self._viewer_state.domain
        kept = self.state.domain if self.state.domain in names else next(iter(names), "")
        name = selected if selected in names else kept
        rows = () if self._markers is None or name is None else _rows(self._markers, name)
        self._update(domain=name or "", rows=rows)


def _markers(section: Section, found: DomainMap, context: JobContext) -> DomainMarkers:
    from tagscope import api

    return api.domain_markers(section, found, context=context)


def _rows(markers: DomainMarkers, domain: str) -> tuple[MarkerRow, ...]:
    columns = ["gene", "auc", "log2_fold_change", "share_inside", "share_outside"]
    frame = markers.of(domain, MOST_GENES)[columns]
    frame = frame[frame["auc"] > HIGHER]
    return tuple(
        MarkerRow(str(gene), *map(float, numbers))
        for gene, *numbers in frame.itertuples(index=False)
    )
