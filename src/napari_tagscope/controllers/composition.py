"""What the domains are made of: how many of their cells are of which type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_tagscope.controllers.columns import MOST_TYPES, holds_labels
from napari_tagscope.controllers.observed import Observed
from napari_tagscope.state import Rows, ViewerState
from napari_tagscope.tasks import Failure, Runner, Task
from tagscope.core.keys import Slots
from tagscope.core.labels import UNASSIGNED, UNASSIGNED_COLOR, default_colors
from tagscope.errors import ArgumentError
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from pandas import Series

    from tagscope.api import AnnotationResult, DomainMap, OpenedSection

TOPIC = "count types by domain"
USUAL_NAMES = ("cell_type", "celltype", "cell_class", "annotation", "label", "cluster", "type")
ON_VIEW = "{} (on view)"
NO_DOMAINS = "Find domains, and what they are made of is shown here."
NO_COLUMN = "Annotate the section to see which cell types its domains are made of."


@dataclass(frozen=True)
class Composition:
    """Cells by domain (D rows) and type (T columns): ``counts`` (D, T).

    Types of most cells come first; ``colors`` are theirs. Cells that nobody has given a type are
    Unassigned.
    """

    domains: tuple[str, ...]
    types: tuple[str, ...]
    colors: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    def share(self, domain: int, place: int) -> float:
        """Share of a type among the cells of a domain."""
        return self.counts[domain][place] / max(1, sum(self.counts[domain]))

    def text(self, domain: int, place: int) -> str:
        """Such as ``Domain 1: 310 Astro of 1,200 cells, 26 %``."""
        count, total = self.counts[domain][place], sum(self.counts[domain])
        share = f"{100 * self.share(domain, place):.1f} %"
        return f"{self.domains[domain]}: {count:,} {self.types[place]} of {total:,} cells, {share}"


@dataclass(frozen=True)
class CompositionState:
    """What is shown: ``columns`` to choose from, the ``column`` shown, and the ``domain`` selected.

    ``chosen`` is the row and column of the part whose cells are selected.
    """

    columns: tuple[str, ...] = ()
    column: str = ""
    composition: Composition | None = None
    domain: str = ""
    chosen: tuple[int, int] | None = None
    hint: str = NO_DOMAINS
    failure: Failure | None = None


@dataclass(frozen=True)
class _Counted:
    """``types`` (N,): every cell's place among the types."""

    composition: Composition
    types: npt.NDArray[np.int64]


class CompositionController(Observed[CompositionState]):
    """Counts the types of a column, the annotation on view if there is one, in every domain."""

    def __init__(self, viewer_state: ViewerState, runner: Runner) -> None:
        super().__init__(CompositionState())
        self._viewer_state = viewer_state
        self._runner = runner
        self._types: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._selected: Rows = viewer_state.rows
        self._wanted = ""  # the column that a person chose
        viewer_state.section_changed.connect(lambda _: self._on_section())
        viewer_state.result_changed.connect(lambda _: self._on_changed())
        viewer_state.domains_changed.connect(lambda _: self._on_changed())
        viewer_state.domain_selected.connect(lambda name: self._update(domain=name or ""))
        viewer_state.rows_selected.connect(self._on_rows)

    def choose_column(self, name: str) -> None:
        """Count the types of another column."""
        self._wanted = name
        self._update(column=name)
        self._count()

    def choose_domain(self, row: int) -> None:
        """Select a domain, here and everywhere; the same one again lets it go."""
        found = self.state.composition
        if found is not None:
            name = found.domains[row]
            self._viewer_state.select_domain(None if name == self._viewer_state.domain else name)

    def choose(self, row: int, place: int) -> None:
        """Select the cells of a type in a domain; the same ones again lets them go."""
        found, domains = self.state.composition, self._viewer_state.domains
        if found is None or domains is None:
            return
        again = self.state.chosen == (row, place)
        own = (domains.codes == domains.domains.code(found.domains[row])) & (self._types == place)
        self._selected = np.zeros(0, np.int64) if again else np.flatnonzero(own)
        self._update(chosen=None if again else (row, place))
        self._viewer_state.select_rows(self._selected)

    def as_text(self) -> str:
        """The counts as tab-separated text, for a spreadsheet."""
        found = self.state.composition
        if found is None:
            return ""
        lines = ["\t".join(("domain", *found.types))]
        for name, counts in zip(found.domains, found.counts, strict=True):
            lines.append("\t".join((name, *map(str, counts))))
        return "\n".join(lines)

    def _on_section(self) -> None:
        self._runner.cancel(TOPIC)
        self._update(**vars(CompositionState()))

    def _on_changed(self) -> None:
        """Other domains or another annotation: a column that was chosen stays where it can."""
        opened, domains = self._viewer_state.opened, self._viewer_state.domains
        if opened is None or domains is None:
            self._on_section()
            return
        result = self._viewer_state.result
        columns = _columns(opened, result, domains)
        kept = self._wanted if self._wanted in columns else ""
        self._update(columns=columns, column=kept or _usual(columns, result))
        self._count()

    def _count(self) -> None:
        opened, domains = self._viewer_state.opened, self._viewer_state.domains
        name, result = self.state.column, self._viewer_state.result
        if opened is None or domains is None or not name:
            self._update(composition=None, chosen=None, hint=NO_COLUMN)
            return
        of_result = result is not None and name == ON_VIEW.format(result.key)
        column = None if of_result else opened.table.obs[name]
        colors = () if of_result else tuple(opened.table.uns.get(Slots(name).colors, ()))
        self._update(hint="", failure=None)
        self._runner.start(
            Task(
                topic=TOPIC,
                title=f"Counting {name} by domain",
                work=lambda context: _counted(
                    domains,
                    _of_result(result)
                    if column is None and result is not None
                    else _of_column(column, colors),
                    context,
                ),
                done=self._on_counted,
                failed=lambda failure: self._update(composition=None, failure=failure),
            )
        )

    def _on_counted(self, counted: _Counted) -> None:
        self._types = counted.types
        same = counted.composition == self.state.composition
        chosen = self.state.chosen if same else None
        self._update(composition=counted.composition, chosen=chosen)

    def _on_rows(self, rows: Rows) -> None:
        """Cells that were selected elsewhere are no part of a domain."""
        if not np.array_equal(rows, self._selected):
            self._update(chosen=None)


@dataclass(frozen=True)
class _Types:
    """``codes`` (N,) into ``names``, −1 for none."""

    names: tuple[str, ...]
    colors: tuple[str, ...]
    codes: npt.NDArray[np.int64]


def _columns(
    opened: OpenedSection, result: AnnotationResult | None, domains: DomainMap
) -> tuple[str, ...]:
    obs = opened.table.obs
    own = {Slots(domains.key).domain, "" if result is None else result.key}
    labels = [str(name) for name in obs if name not in own and holds_labels(obs[name])]
    return (*(() if result is None else (ON_VIEW.format(result.key),)), *labels)


def _usual(columns: tuple[str, ...], result: AnnotationResult | None) -> str:
    """The annotation on view, else a column that is called like one, else the first."""
    if result is not None or not columns:
        return columns[0] if columns else ""
    return next((name for name in USUAL_NAMES if name in columns), columns[0])


def _of_result(result: AnnotationResult) -> _Types:
    labels = result.annotation.labels
    return _Types(labels.names, labels.colors, result.annotation.codes)


def _of_column(column: Series[Any] | None, colors: tuple[Any, ...]) -> _Types:
    import pandas as pd

    assert column is not None
    labels = pd.Categorical(column)
    if len(labels.categories) > MOST_TYPES:
        raise ArgumentError(
            f"The column {column.name!r} holds {len(labels.categories):,} different values.",
            f"Labels are needed, {MOST_TYPES:,} at most.",
            "Choose another column.",
        )
    names = tuple(map(str, labels.categories))
    known = tuple(map(str, colors)) if len(colors) == len(names) else default_colors(len(names))
    return _Types(names, known, np.asarray(labels.codes, dtype=np.int64))


def _counted(domains: DomainMap, types: _Types, context: JobContext) -> _Counted:
    """Runs in a job's thread; the counts are those of ``label_flows``."""
    import pandas as pd

    from tagscope import api

    context.step("counting", 0, 2)
    names = np.array([*types.names, ""])[types.codes]
    flows = api.label_flows(pd.DataFrame({"domain": domains.names(), "type": names}))
    table = flows.pivot_table("cells", "source", "target", aggfunc="sum", fill_value=0)
    ordered = table.sum().sort_values(ascending=False, kind="stable").index
    table = table.reindex(index=list(domains.domains.names), columns=ordered, fill_value=0)
    context.step("counting", 1, 2)
    color = dict(zip(types.names, types.colors, strict=True)) | {UNASSIGNED: UNASSIGNED_COLOR}
    found = Composition(
        domains.domains.names,
        tuple(map(str, ordered)),
        tuple(color[name] for name in ordered),
        tuple(map(tuple, table.to_numpy().astype(int).tolist())),
    )
    place = {name: number for number, name in enumerate(found.types)}
    nobody = place.get(UNASSIGNED, -1)
    of_code = np.array([*(place.get(name, nobody) for name in types.names), nobody], dtype=np.int64)
    return _Counted(found, of_code[types.codes])
