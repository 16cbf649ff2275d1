"""Genes that change across the boundary between two domains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_tagscope.controllers.observed import Observed
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure, Runner, Task

if TYPE_CHECKING:
    from tagscope.api import Boundary, DomainMap
    from tagscope.core.section import Section

TOPIC = "compare across a boundary"
BORDERS_TOPIC = "find borders"
COUNTED = "ln(1 + scaled counts)"
NORMALISED = "normalised values"


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
    """What is shown of a boundary: ``near`` counts its cells ``within`` so far, in ``unit``.

    ``scale`` is what a gene's mean is of. ``adjoining`` are the domains that the first has a border
    with, the longest first.
    """

    domains: tuple[str, ...] = ()
    first: str = ""
    second: str = ""
    adjoining: tuple[str, ...] = ()
    within: float = 100.0
    unit: str = "µm"
    scale: str = COUNTED
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
    """Compares two domains next to their boundary; ``paint`` paints a gene's expression.

    Of the domain that is selected, that with the longest border is proposed.
    """

    def __init__(
        self, viewer_state: ViewerState, runner: Runner, paint: Callable[[str], None]
    ) -> None:
        super().__init__(BoundaryState())
        self._viewer_state = viewer_state
        self._runner = runner
        self._paint = paint
        self._boundary: Boundary | None = None
        self._borders: npt.NDArray[np.int64] | None = None
        self._looked_at = False
        viewer_state.section_changed.connect(lambda _: self._on_domains(None))
        viewer_state.domains_changed.connect(self._on_domains)
        viewer_state.domain_selected.connect(self._on_domain)

    def look(self, looked_at: bool) -> None:
        """Say whether boundaries are seen: what nobody looks at is not computed."""
        self._looked_at = looked_at
        if looked_at and self._borders is None:
            self._find_borders()

    def choose(self, first: str, second: str) -> None:
        """Compare two domains; the first is selected everywhere."""
        self._drop(first=first, second=second)
        self._viewer_state.select_domain(first or None)
        self._propose()

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
        self._runner.cancel(TOPIC)
        self._boundary = None
        self._update(running=False, rows=(), curve=None, near=0, failure=None, **changes)

    def _on_domains(self, found: DomainMap | None) -> None:
        names, opened = () if found is None else found.domains.names, self._viewer_state.opened
        self._runner.cancel(BORDERS_TOPIC)
        self._borders = None
        kept = {self.state.first, self.state.second} <= set(names)
        sides = (self.state.first, self.state.second) if kept else ("", "")
        unit = "µm" if opened is None else opened.section.unit.replace("unknown", "units")
        self._drop(first=sides[0], second=sides[1])
        scale = NORMALISED if opened is not None and opened.section.cells.normalised else COUNTED
        self._update(domains=names, adjoining=(), unit=unit, scale=scale)
        if self._looked_at:
            self._find_borders()

    def _find_borders(self) -> None:
        opened, found = self._viewer_state.opened, self._viewer_state.domains
        if opened is None or found is None:
            return
        section = opened.section
        self._runner.start(
            Task(
                topic=BORDERS_TOPIC,
                title="Finding which domains adjoin",
                work=lambda _: _borders(section, found),
                done=self._on_borders,
                failed=lambda failure: self._update(failure=failure),
            )
        )

    def _on_borders(self, borders: npt.NDArray[np.int64]) -> None:
        self._borders = borders
        if not self.state.first:
            selected = self._viewer_state.domain
            self._update(first=self.state.domains[0] if selected is None else selected)
        self._propose()

    def _on_domain(self, name: str | None) -> None:
        """The domain selected is the first, unless it is the second."""
        if name is None or name in (self.state.first, self.state.second):
            return
        self._drop(first=name, second="")
        self._propose()

    def _propose(self) -> None:
        """Where no second domain is chosen, take the one with the longest border; compare."""
        state, borders = self.state, self._borders
        if borders is not None and state.first in state.domains:
            own = borders[state.domains.index(state.first)]
            order = [int(code) for code in np.argsort(-own, kind="stable") if own[code]]
            adjoining = tuple(state.domains[code] for code in order)
            self._update(adjoining=adjoining, second=state.second or next(iter(adjoining), ""))
        self._compare()

    def _compare(self) -> None:
        opened, found, state = self._viewer_state.opened, self._viewer_state.domains, self.state
        if opened is None or found is None or not state.ready:
            return
        section = opened.section
        self._update(running=True)
        self._runner.start(
            Task(
                topic=TOPIC,
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
        genes = [row.gene for row in rows]
        known = gene if gene in genes else next(iter(genes), "")
        self._update(
            running=False,
            rows=rows,
            near=len(self._near(boundary)),
            curve=_curve(boundary, known),
        )

    def _near(self, boundary: Boundary) -> npt.NDArray[np.int64]:
        return np.flatnonzero(np.abs(boundary.distance) <= self.state.within)


def _borders(section: Section, found: DomainMap) -> npt.NDArray[np.int64]:
    from tagscope import api

    return api.adjoining_domains(section, found)


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
