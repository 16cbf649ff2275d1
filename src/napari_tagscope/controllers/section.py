"""Opening sections, saying what was found in them, and going from one to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_tagscope.controllers.observed import Observed
from napari_tagscope.controllers.open_sections import Left, OpenSection, titles_of
from napari_tagscope.controllers.painter import Look, Painter, Shape
from napari_tagscope.controllers.recent import RecentSection, RecentSections
from napari_tagscope.controllers.section_card import Card, describe
from napari_tagscope.controllers.stored import read_stored, stored_domains, stored_keys
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure, Runner, Task
from tagscope.errors import InputError
from tagscope.jobs import JobContext, Progress

if TYPE_CHECKING:
    from tagscope.api import AnnotationResult, DomainMap, Finding, OpenedSection

TOPIC = "open section"
FIXES_TOPIC = "find fixes"
KEY_TOPIC = "read annotation"
TOTALS = "counts per cell"
# of another table all that was chosen in the one before means something else, or nothing
OF_A_TABLE = ("region", "sections", "layer", "where", "genes", "coordinate_system")


@dataclass(frozen=True)
class SectionState:
    """What the Section panel shows. ``path`` and ``choices`` are those of what was opened last.

    ``sections`` are titles and paths of the open ones, ``active`` the position of that on view, −1
    for none; ``alternatives`` what it could have been opened with, ``chosen`` what it was.
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
    sections: tuple[tuple[str, str], ...] = ()
    active: int = -1
    alternatives: dict[str, tuple[str, ...]] = field(default_factory=dict)
    chosen: dict[str, str | None] = field(default_factory=dict)
    recent: tuple[RecentSection, ...] = ()


@dataclass(frozen=True)
class _Loaded:
    opened: OpenedSection
    choices: dict[str, Any]
    card: Card
    alternatives: dict[str, tuple[str, ...]]
    keys: tuple[str, ...]
    result: AnnotationResult | None
    domains: DomainMap | None


class SectionController(Observed[SectionState]):
    """Opens stores, ``.h5ad`` files and the sample; picks up the results they carry.

    Another section leaves the one before open. Without ``recent`` no list is kept of them.
    """

    def __init__(
        self,
        viewer_state: ViewerState,
        runner: Runner,
        painter: Painter,
        recent: RecentSections | None = None,
    ) -> None:
        super().__init__(SectionState(recent=() if recent is None else recent.entries()))
        self._viewer_state = viewer_state
        self._runner = runner
        self._painter = painter
        self._recent = recent
        self._sections: list[OpenSection] = []
        viewer_state.result_changed.connect(self._on_result)

    def open(self, path: Path, *, key: str | None = None, **choices: Any) -> None:
        """Open a section; ``choices`` are those of ``tagscope.open_section``.

        The annotation under ``key`` is shown, the latest one if None. A section of the same path
        that is open already is replaced.
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

    def open_recent(self, entry: RecentSection) -> None:
        """Open a section as it was opened before; one that is gone leaves the list."""
        if entry.path.exists():
            self.open(entry.path, **entry.choices)
            return
        if self._recent is not None:
            self._recent.forget(entry.path)
            self._update(recent=self._recent.entries())
        missing = InputError(
            f"{entry.path} is no longer there.",
            "It has left the list of recent sections.",
            "Open it from where it is now.",
        )
        self._on_failed(Failure(missing))

    def apply_offer(self, offer: dict[str, Any]) -> None:
        """Open again what was opened last, with a finding's fix."""
        if self.state.path is not None:
            self.open(self.state.path, **_with(self.state.choices, offer))

    def reopen(self, offer: dict[str, Any]) -> None:
        """Open the section on view again with another choice, or a finding's fix."""
        opened = self._viewer_state.opened
        if opened is not None:
            self.open(opened.source.path, **_with(self._viewer_state.choices, offer))

    def choose(self, position: int) -> None:
        """Bring an open section back as it was left."""
        if position == self.state.active:
            return
        self._leave()
        self._show(self._sections[position])

    def close(self) -> None:
        """Let go of the section on view; the one next to it comes back."""
        section = self._active
        if section is None:
            return
        position = self._sections.index(section)
        self._sections.remove(section)
        if self._sections:
            self._show(self._sections[min(position, len(self._sections) - 1)])
        else:
            self._viewer_state.set_section(None)
            before = self.state
            self._state = SectionState(recent=before.recent, look=before.look, shape=before.shape)
            self.changed.emit(self._state)
        self._painter.forget(section.opened.section)

    def show_key(self, key: str) -> None:
        """Show another annotation that the section carries."""
        section = self._active
        if section is None or key == self.state.key:
            return
        if key in self._viewer_state.results:
            self._viewer_state.set_result(self._viewer_state.results[key])
            return
        opened = section.opened
        self._runner.start(
            Task(
                topic=KEY_TOPIC,
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

    @property
    def _active(self) -> OpenSection | None:
        """The section on view."""
        opened = self._viewer_state.opened
        return next((section for section in self._sections if section.opened is opened), None)

    def _start(self, path: Path | None, choices: dict[str, Any], title: str, work: Any) -> None:
        self._update(opening=title, failure=None, findings=())
        self._runner.start(
            Task(
                topic=TOPIC,
                title=title,
                work=work,
                done=self._on_opened,
                failed=lambda failure: self._on_open_failed(failure, path, choices),
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
        state = self.state
        section = OpenSection(
            loaded.opened, loaded.choices, loaded.card, loaded.alternatives, loaded.keys,
            state.look, state.shape,
        )  # fmt: skip
        self._leave()
        section.left = Left(loaded.result, loaded.domains)
        self._update(opening="")
        before = [other for other in self._sections if other.path == section.path]
        place = self._sections.index(before[0]) if before else len(self._sections)
        self._sections[place : place + len(before)] = [section]
        self._show(section)
        for other in before:
            self._painter.forget(other.opened.section)
        if self._recent is not None:
            self._recent.remember(section.path, section.choices)
            self._update(recent=self._recent.entries())

    def _leave(self) -> None:
        """Keep what is on view of the active section."""
        section = self._active
        if section is not None:
            section.left = Left.of(self._viewer_state, self._painter.seen())
            section.results = self._viewer_state.results
            section.keys, section.look, section.shape = (
                self.state.keys, self.state.look, self.state.shape,
            )  # fmt: skip

    def _show(self, section: OpenSection) -> None:
        """Make a section the one on view, as it was left if it was open before."""
        self._runner.cancel(KEY_TOPIC)
        with self._painter.at_once():
            self._paint(section)

    def _paint(self, section: OpenSection) -> None:
        """Paint a section's counts, under what was on view of it before."""
        left, section.left = section.left, None
        self._viewer_state.set_section(section.opened, section.choices, section.results)
        self._painter.set_look(section.look)
        self._painter.set_shape(section.shape)
        cells = section.opened.section.cells
        self._painter.paint_values(
            "totals",
            TOTALS,
            np.asarray(cells.totals, dtype=np.float32),
            colormap="viridis",
            unit="" if cells.normalised else "counts",
            shown=left is None or (left.result is None and left.domains is None),
        )
        self._tell(section)
        if left is not None:
            left.put_back(self._viewer_state)
            if left.seen is not None:
                self._painter.restore(left.seen)

    def _tell(self, section: OpenSection) -> None:
        """Let the panel say what is known of a section."""
        source = section.opened.source
        self._update(
            card=section.card,
            findings=tuple(section.opened.notes),
            failure=None,
            keys=section.keys,
            path=section.path,
            choices=section.choices,
            look=section.look,
            shape=section.shape,
            shapeless=section.shapeless,
            sections=tuple(
                (title, str(one.path))
                for title, one in zip(titles_of(self._sections), self._sections, strict=True)
            ),
            active=self._sections.index(section),
            alternatives=section.alternatives,
            chosen={name: getattr(source, name) for name in section.alternatives},
        )

    def _on_result(self, result: AnnotationResult | None) -> None:
        key = "" if result is None else result.key
        keys = self.state.keys
        if result is not None and self._active is not None:
            keys = keys if key in keys else (key, *keys)
        self._update(key=key, keys=keys)

    def _on_open_failed(self, failure: Failure, path: Path | None, choices: dict[str, Any]) -> None:
        """Say what went wrong, then look for fixes that can be offered as buttons."""
        self._painter.preview(None)
        self._update(path=path, choices=choices, findings=())
        self._on_failed(failure)
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


def _with(choices: dict[str, Any], offer: dict[str, Any]) -> dict[str, Any]:
    """Choices with some replaced; those that are None are left out."""
    dropped = OF_A_TABLE if "table" in offer else ()
    kept = {name: value for name, value in choices.items() if name not in dropped}
    return {name: value for name, value in {**kept, **offer}.items() if value is not None}


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
    others = api.alternatives(opened)
    domains = next(
        (api.DomainMap.of_table(opened.table, k) for k in stored_domains(opened.table)), None
    )
    return _Loaded(opened, choices, describe(opened), others, tuple(keys), result, domains)


def _fixes(path: Path, choices: dict[str, Any]) -> tuple[Finding, ...]:
    from tagscope import api

    findings: Sequence[Finding] = api.check(path, **choices).findings
    return tuple(f for f in findings if f.offer or f.ask)
