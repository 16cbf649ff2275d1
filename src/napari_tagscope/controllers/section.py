"""Opening a section and saying what was found in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_tagscope.controllers.observed import Observed
from napari_tagscope.controllers.painter import Look, Painter, Shape
from napari_tagscope.controllers.stored import read_stored, stored_keys
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure, Runner, Task
from tagscope.jobs import JobContext, Progress

if TYPE_CHECKING:
    from tagscope.api import AnnotationResult, Finding, OpenedSection

TOPIC = "open section"
FIXES_TOPIC = "find fixes"
TOTALS = "counts per cell"
_OTHER_VALUES = {True: "log-normalised", False: "not raw counts"}


@dataclass(frozen=True)
class Card:
    """What was found: ``rows`` are a name and a value with its unit."""

    title: str
    path: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SectionState:
    """What the Section panel shows. ``choices`` are those the section was opened with.

    ``look`` and ``shape`` are how cells are drawn, ``shapeless`` whether they are centroids alone.
    """

    opening: str = ""
    card: Card | None = None
    findings: tuple[Finding, ...] = ()
    keys: tuple[str, ...] = ()
    key: str = ""
    failure: Failure | None = None
    path: Path | None = None
    choices: dict[str, Any] = field(default_factory=dict)
    look: Look = "filled"
    shape: Shape = "discs"
    shapeless: bool = False


@dataclass(frozen=True)
class _Loaded:
    opened: OpenedSection
    card: Card
    keys: tuple[str, ...]
    result: AnnotationResult | None


class SectionController(Observed[SectionState]):
    """Opens stores, ``.h5ad`` files and the sample; picks up the results they carry."""

    def __init__(self, viewer_state: ViewerState, runner: Runner, painter: Painter) -> None:
        super().__init__(SectionState())
        self._viewer_state = viewer_state
        self._runner = runner
        self._painter = painter
        self._results: dict[str, AnnotationResult] = {}
        viewer_state.result_changed.connect(self._on_result)

    def open(self, path: Path, *, key: str | None = None, **choices: Any) -> None:
        """Open a section; ``choices`` are those of ``tagscope.open_section``.

        The annotation under ``key`` is shown, the latest one if None.
        """

        def work(context: JobContext) -> _Loaded:
            return _load(path, key, choices, self._painter, context)

        self._start(path, choices, f"Opening {path.name}", work)

    def open_sample(self) -> None:
        """Open the simulated sample; it is made first where there is none."""

        def work(context: JobContext) -> _Loaded:
            from tagscope import api

            return _load(api.sample(context).section, None, {}, self._painter, context)

        self._start(None, {}, "Opening the sample", work)

    def apply_offer(self, offer: dict[str, Any]) -> None:
        """Open again with a finding's fix."""
        if self.state.path is not None:
            self.open(self.state.path, **{**self.state.choices, **offer})

    def show_key(self, key: str) -> None:
        """Show another annotation that the section carries."""
        opened = self._viewer_state.opened
        if opened is None or key == self.state.key:
            return
        if key in self._results:
            self._viewer_state.set_result(self._results[key])
            return
        self._runner.start(
            Task(
                topic="read annotation",
                title=f"Reading {key}",
                work=lambda _: read_stored(opened.table, opened.section, key),
                done=self._viewer_state.set_result,
                failed=self._on_failed,
            )
        )

    def choose_look(self, look: Look) -> None:
        """Draw cells filled, as outlines, or both."""
        self._update(look=look)
        self._painter.set_look(look)

    def choose_shape(self, shape: Shape) -> None:
        """Draw centroids as discs, or as the areas nearest to them."""
        self._update(shape=shape)
        self._painter.set_shape(shape)

    def cancel(self) -> None:
        """Let go of what is being opened."""
        self._runner.cancel(TOPIC)

    def _start(self, path: Path | None, choices: dict[str, Any], title: str, work: Any) -> None:
        self._update(opening=title, failure=None, findings=(), path=path, choices=choices)
        self._runner.start(
            Task(
                topic=TOPIC,
                title=title,
                work=work,
                done=self._on_opened,
                failed=self._on_open_failed,
                reported=self._on_reports,
                cancelled=self._on_cancelled,
            )
        )

    def _on_reports(self, reports: Sequence[Progress]) -> None:
        """Show where the cells are as soon as that is known."""
        for report in reports:
            if report.partial is not None and self._viewer_state.opened is None:
                self._painter.preview(report.partial)

    def _on_cancelled(self) -> None:
        self._painter.preview(None)
        self._update(opening="")

    def _on_opened(self, loaded: _Loaded) -> None:
        opened = loaded.opened
        self._viewer_state.set_section(opened, self.state.choices)
        self._results.clear()
        totals = np.asarray(opened.section.cells.totals, dtype=np.float32)
        self._painter.paint_values("totals", TOTALS, totals, colormap="viridis")
        self._update(
            opening="",
            card=loaded.card,
            findings=tuple(opened.notes),
            keys=loaded.keys,
            path=opened.source.path,
            shapeless=opened.section.outlines is None and opened.section.labels is None,
        )
        self._viewer_state.set_result(loaded.result)

    def _on_result(self, result: AnnotationResult | None) -> None:
        key = "" if result is None else result.key
        keys = self.state.keys
        if result is not None:
            self._results[key] = result
            keys = keys if key in keys else (key, *keys)
        self._update(key=key, keys=keys)

    def _on_open_failed(self, failure: Failure) -> None:
        """Say what went wrong, then look for fixes that can be offered as buttons."""
        self._painter.preview(None)
        self._on_failed(failure)
        path, choices = self.state.path, self.state.choices
        if path is None:
            return
        self._runner.start(
            Task(
                topic=FIXES_TOPIC,
                title=f"Checking {path.name}",
                work=lambda _: _fixes(path, choices),
                done=lambda findings: self._update(findings=findings),
                failed=lambda _: None,  # the failure on view says it already
            )
        )

    def _on_failed(self, failure: Failure) -> None:
        self._update(opening="", failure=failure)


def _load(
    path: Path, key: str | None, choices: dict[str, Any], painter: Painter, context: JobContext
) -> _Loaded:
    from tagscope import api

    def prepared(progress: Progress) -> None:
        if progress.partial is not None:
            painter.prepare(progress.partial)
        context.step(progress.stage, progress.done, progress.total, progress.partial)

    opened = api.open_section(path, **choices, context=JobContext(prepared))
    painter.prepare(opened.section)
    keys = stored_keys(opened.table)
    shown = key if key in keys else next(iter(keys), None)
    result = None if shown is None else read_stored(opened.table, opened.section, shown)
    return _Loaded(opened, describe(opened), tuple(keys), result)


def _fixes(path: Path, choices: dict[str, Any]) -> tuple[Finding, ...]:
    from tagscope import api

    findings: Sequence[Finding] = api.check(path, **choices).findings
    return tuple(f for f in findings if f.offer)


def describe(opened: OpenedSection) -> Card:
    """What was found in a section, with units."""
    section, source = opened.section, opened.source
    counts = not section.cells.normalised and not any(f.severity == "error" for f in opened.notes)
    values = "raw counts" if counts else _OTHER_VALUES[section.cells.normalised]
    shapes = {"polygons": section.outlines, "label image": section.labels}
    outlines = " and ".join(name for name, found in shapes.items() if found is not None)
    low, high = np.nanmin(section.xy, axis=0), np.nanmax(section.xy, axis=0)
    width, height = high - low
    rows = [
        ("Cells", f"{len(section):,}"),
        ("Genes", f"{len(section.panel):,}"),
        ("Technology", source.technology),
        ("Extent", f"{width:,.0f} × {height:,.0f} {_unit(section.unit)}"),
        ("Shapes", outlines or "centroids only"),
        ("Values", f"{values} in {source.layer or 'X'}"),
    ]
    if section.pieces is not None:
        rows.insert(2, ("Sections", f"{len(section.pieces.names):,} side by side"))
    if counts:
        rows.append(("Median", f"{np.median(section.cells.totals):,.0f} counts"))
    if source.table is not None:
        rows.append(("Table", source.table))
    return Card(source.path.stem, str(source.path), tuple(rows))


def _unit(unit: str) -> str:
    return "(unit unknown)" if unit == "unknown" else unit
