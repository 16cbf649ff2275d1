"""Genes that tell a domain from all others, and those that change across a boundary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_tagscope.controllers.observed import Observed
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure, Runner, Task
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from tagscope.api import Boundary, DomainMap, DomainMarkers
    from tagscope.core.section import Section

MARKERS_TOPIC = "markers of domains"
BOUNDARY_TOPIC = "compare across a boundary"
NO_DOMAINS = "Find domains, and the genes that tell them apart are listed here."
COMPARING = "Comparing genes…"
STOPPED = "Comparing was cancelled. Choose a domain to compare its genes."
MOST_GENES = 100  # listed of a domain


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
        self._runner.cancel(MARKERS_TOPIC)
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
                topic=MARKERS_TOPIC,
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


@dataclass(frozen=True)
class ChangeRow:
    """One gene next to a boundary: from the first domain to the second."""

    gene: str
    log2_fold_change: float
    auc: float


@dataclass(frozen=True)
class Curve:
    """A gene's mean value (n,) by distance from the boundary (n,), negative in the first domain."""

    gene: str
    distance: tuple[float, ...]
    mean: tuple[float, ...]


@dataclass(frozen=True)
class BoundaryState:
    """What is shown of a boundary: ``near`` counts its cells ``within`` so far, in ``unit``."""

    domains: tuple[str, ...] = ()
    first: str = ""
    second: str = ""
    within: float = 100.0
    unit: str = "µm"
    running: bool = False
    rows: tuple[ChangeRow, ...] = ()
    curve: Curve | None = None
    near: int = 0
    failure: Failure | None = None

    @property
    def ready(self) -> bool:
        """Whether two domains are chosen."""
        return bool(self.first and self.second and self.first != self.second)


class BoundaryController(Observed[BoundaryState]):
    """Compares two domains next to their boundary; ``paint`` paints a gene's expression."""

    def __init__(
        self, viewer_state: ViewerState, runner: Runner, paint: Callable[[str], None]
    ) -> None:
        super().__init__(BoundaryState())
        self._viewer_state = viewer_state
        self._runner = runner
        self._paint = paint
        self._boundary: Boundary | None = None
        viewer_state.section_changed.connect(lambda _: self._on_domains(None))
        viewer_state.domains_changed.connect(self._on_domains)
        viewer_state.domain_selected.connect(self._on_domain)

    def choose(self, first: str, second: str) -> None:
        """Compare two domains; the first is selected everywhere."""
        self._drop(first=first, second=second)
        self._viewer_state.select_domain(first or None)
        self._compare()

    def set_within(self, within: float) -> None:
        """Compare cells up to another distance from the other domain."""
        self._drop(within=within)
        self._compare()

    def choose_gene(self, gene: str) -> None:
        """Paint a gene's expression, and draw how it changes with distance."""
        self._update(curve=None if self._boundary is None else _curve(self._boundary, gene))
        self._paint(gene)

    def select_near(self) -> None:
        """Select the cells that were compared."""
        if self._boundary is not None:
            self._viewer_state.select_rows(self._near(self._boundary))

    def as_text(self) -> str:
        """All genes in all bands as tab-separated text, for a spreadsheet."""
        if self._boundary is None:
            return ""
        text: str = self._boundary.frame.to_csv(sep="\t", index=False, float_format="%.6g")
        return text

    def _drop(self, **changes: str | float) -> None:
        """Show no comparison any more."""
        self._runner.cancel(BOUNDARY_TOPIC)
        self._boundary = None
        self._update(running=False, rows=(), curve=None, near=0, failure=None, **changes)

    def _on_domains(self, found: DomainMap | None) -> None:
        names, opened = () if found is None else found.domains.names, self._viewer_state.opened
        kept = {self.state.first, self.state.second} <= set(names)
        self._drop(first=self.state.first if kept else "", second=self.state.second if kept else "")
        self._update(
            domains=names,
            unit="µm" if opened is None else opened.section.unit.replace("unknown", "units"),
        )
        self._compare()

    def _on_domain(self, name: str | None) -> None:
        """The domain selected is the first; where both are chosen already they stay."""
        if name is not None and name != self.state.first and not self.state.second:
            self._update(first=name)

    def _compare(self) -> None:
        opened, found, state = self._viewer_state.opened, self._viewer_state.domains, self.state
        if opened is None or found is None or not state.ready:
            return
        section = opened.section
        self._update(running=True)
        self._runner.start(
            Task(
                topic=BOUNDARY_TOPIC,
                title=f"Comparing {state.first} and {state.second}",
                work=lambda _: _compared(section, found, state),
                done=self._on_compared,
                failed=lambda failure: self._update(running=False, failure=failure),
                cancelled=lambda: self._update(running=False),
            )
        )

    def _on_compared(self, boundary: Boundary) -> None:
        self._boundary = boundary
        rows = _changes(boundary)
        gene = self._viewer_state.gene or ""
        known = gene if any(row.gene == gene for row in rows) else next(r.gene for r in rows)
        self._update(
            running=False,
            rows=rows,
            near=len(self._near(boundary)),
            curve=_curve(boundary, known),
        )

    def _near(self, boundary: Boundary) -> npt.NDArray[np.int64]:
        return np.flatnonzero(np.abs(boundary.distance) <= self.state.within)


def _markers(section: Section, found: DomainMap, context: JobContext) -> DomainMarkers:
    from tagscope import api

    return api.domain_markers(section, found, context=context)


def _rows(markers: DomainMarkers, domain: str) -> tuple[MarkerRow, ...]:
    columns = ["gene", "auc", "log2_fold_change", "share_inside", "share_outside"]
    frame = markers.of(domain, MOST_GENES)[columns]
    return tuple(
        MarkerRow(str(gene), *map(float, numbers))
        for gene, *numbers in frame.itertuples(index=False)
    )


def _compared(section: Section, found: DomainMap, state: BoundaryState) -> Boundary:
    from tagscope import api

    config = api.BoundaryConfig(within=state.within)
    return api.boundary_between(section, found, state.first, state.second, config)


def _changes(boundary: Boundary) -> tuple[ChangeRow, ...]:
    """All genes by their change in the nearest band with cells of both domains."""
    of_both = boundary.frame.dropna(subset="auc").drop_duplicates("gene")
    columns = of_both[["gene", "log2_fold_change", "auc"]]
    return tuple(
        ChangeRow(str(gene), float(change), float(auc))
        for gene, change, auc in columns.itertuples(index=False)
    )


def _curve(boundary: Boundary, gene: str) -> Curve | None:
    """Means of the bands at their middles, from far inside the first domain to the second."""
    bands = boundary.frame[boundary.frame["gene"] == gene]
    if not len(bands):
        return None
    middle = ((bands["nearest"] + bands["farthest"]) / 2).to_numpy()
    distance = np.concatenate([-middle[::-1], middle])
    mean = np.concatenate([bands["mean_first"].to_numpy()[::-1], bands["mean_second"].to_numpy()])
    known = np.isfinite(mean)
    return Curve(gene, tuple(distance[known].tolist()), tuple(mean[known].tolist()))
