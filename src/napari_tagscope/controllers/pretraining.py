"""Training a small OmniCell on the open section, and watching it learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tagscope.controllers.bundles import KnownBundles, is_bundle
from napari_tagscope.controllers.domains import DomainsController
from napari_tagscope.controllers.domains_state import minutes
from napari_tagscope.controllers.observed import Observed
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure, Runner, Task
from tagscope.jobs import JobContext, Progress

if TYPE_CHECKING:
    from tagscope.api import Bundle, OpenedSection, PretrainRecord

TOPIC = "pretrain"
HOW_LONG = (
    "On a free core it takes three to ten minutes: more genes take longer. "
    "The section stays as it is, and stopping harms nothing."
)
NOTHING_KEPT = "Stopped before the cells held out were looked at; nothing was kept."


@dataclass(frozen=True)
class PretrainingState:
    """What the training offer shows. ``suggested`` is where the bundle would be kept; ``done`` of
    all ``updates`` have been made."""

    has_section: bool = False
    suggested: Path | None = None
    running: bool = False
    stopping: bool = False
    history: tuple[PretrainRecord, ...] = ()
    done: int = 0
    updates: int = 0
    seconds_left: float | None = None
    notice: str = ""
    failure: Failure | None = None

    @property
    def ready(self) -> bool:
        """Whether a training can start."""
        return self.has_section and not self.running


class PretrainingController(Observed[PretrainingState]):
    """Trains the small preset; Stop keeps the best so far, and domains are found with it next."""

    def __init__(
        self,
        viewer_state: ViewerState,
        runner: Runner,
        domains: DomainsController,
        bundles: KnownBundles,
    ) -> None:
        super().__init__(PretrainingState())
        self._viewer_state = viewer_state
        self._runner = runner
        self._domains = domains
        self._bundles = bundles
        viewer_state.section_changed.connect(self._on_section)

    def train(self, out: Path) -> None:
        """Train on the open section, and keep the bundle at ``out``, a folder not there yet."""
        opened = self._viewer_state.opened
        if opened is None or not self.state.ready:
            return
        self._update(
            running=True, stopping=False, history=(), done=0, updates=0, seconds_left=None,
            notice="", failure=None,
        )  # fmt: skip
        self._runner.start(
            Task(
                topic=TOPIC,
                title="Training on this section",
                work=lambda context: _pretrain(opened, out, context),
                done=self._on_done,
                failed=self._on_failed,
                reported=self._on_reported,
                cancelled=lambda: self._on_stopped(out),
                unit="updates",
                heavy=True,
                cancel_text="Stop",
            )
        )

    def stop(self) -> None:
        """Stop, and keep the best so far."""
        if self.state.running:
            self._update(stopping=True)
            self._runner.cancel(TOPIC)

    def _on_section(self, opened: OpenedSection | None) -> None:
        """Another section: a training that runs goes on with its own."""
        name = None if opened is None else f"{opened.source.path.stem}-omnicell"
        suggested = None if name is None else self._bundles.free_name(name)
        self._update(has_section=opened is not None, suggested=suggested)

    def _on_reported(self, reports: Sequence[Progress]) -> None:
        for report in (report for report in reports if report.stage == "training"):
            seen = () if report.partial is None else (report.partial,)
            self._update(
                done=report.done,
                updates=report.total,
                history=self.state.history + seen,
                seconds_left=report.remaining_seconds,
            )

    def _on_done(self, bundle: Bundle) -> None:
        self._update(running=False, stopping=False, notice=f"Kept as {bundle.path}.")
        self._domains.use(bundle)

    def _on_failed(self, failure: Failure) -> None:
        self._update(running=False, stopping=False, failure=failure)

    def _on_stopped(self, out: Path) -> None:
        kept = is_bundle(out)
        notice = f"Stopped; the best so far is kept as {out}." if kept else NOTHING_KEPT
        self._update(running=False, stopping=False, notice=notice)
        if kept:
            self._domains.choose(out)


def progress_text(state: PretrainingState) -> str:
    """How far it is, how well it does, and how long it still takes."""
    if not state.history:
        what = "Learning" if state.updates else "Reading genes"
        waits = f"{what}; the curve begins when cells held out were first looked at."
        return waits if state.running else state.notice
    alone = state.history[-1].stage == "cells"
    best = min(
        record.validation_loss
        for record in state.history
        if record.stage == state.history[-1].stage
    )
    read = "cells alone" if alone else "with neighbours"
    lines = [
        f"update {state.done:,} of {state.updates:,}, {read} · lowest loss held out {best:.4f}"
    ]
    if state.running and alone:
        lines.append("Then with their neighbours, which takes longer.")
    elif state.running and state.seconds_left is not None:
        lines.append(f"about {minutes(state.seconds_left)} left")
    return "\n".join([*lines, state.notice] if state.notice else lines)


def stage_starts(history: Sequence[PretrainRecord]) -> tuple[int, ...]:
    """Positions in ``history`` from which on another stage is learned, the first's left out."""
    return tuple(n for n in range(1, len(history)) if history[n].stage != history[n - 1].stage)


def updates_so_far(history: Sequence[PretrainRecord]) -> list[int]:
    """Updates of all stages up to every record."""
    earlier, found, starts = 0, [], stage_starts(history)
    for n, record in enumerate(history):
        earlier += history[n - 1].update if n in starts else 0
        found.append(earlier + record.update)
    return found


def _pretrain(opened: OpenedSection, out: Path, context: JobContext) -> Bundle:
    from tagscope import api

    out.parent.mkdir(parents=True, exist_ok=True)
    return api.pretrain(opened.section, out=out, context=context)
