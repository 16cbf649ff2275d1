"""Whether the open section can be annotated with the bundle, and what that takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_tagscope.controllers.annotate import AnnotateController, AnnotateState
from napari_tagscope.controllers.observed import Observed
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure, Runner, Task
from tagscope.jobs import JobContext, Progress

if TYPE_CHECKING:
    from tagscope.api import Bundle, Finding, OpenedSection, Preflight

TOPIC = "preflight"
NO_SECTION = "Open a section to see whether anything in it needs mending."
NO_BUNDLE = "Choose a bundle under Annotate to check this section against it."
CHECKING = "Checking the section for this bundle…"
CANCELLED = "The check was cancelled. Choose the bundle again to repeat it."
NOT_READY = "Not ready: mend what is marked ✗ first."


@dataclass(frozen=True)
class PreflightState:
    """What the Preflight panel shows. ``verdict`` is a line, ``ok`` whether annotating can begin;
    ``hint`` says what to do where there is no verdict yet."""

    findings: tuple[Finding, ...] = ()
    verdict: str = ""
    ok: bool = False
    hint: str = NO_SECTION
    failure: Failure | None = None


class PreflightController(Observed[PreflightState]):
    """Checks whenever a section and a bundle meet; ``reopen`` opens the section with a fix."""

    def __init__(
        self,
        viewer_state: ViewerState,
        runner: Runner,
        annotate: AnnotateController,
        reopen: Callable[[dict[str, Any]], None],
    ) -> None:
        super().__init__(PreflightState())
        self._viewer_state = viewer_state
        self._runner = runner
        self._bundle: Bundle | None = None
        self.apply = reopen
        viewer_state.section_changed.connect(self._on_section)
        annotate.changed.connect(self._on_annotate)

    def _on_section(self, opened: OpenedSection | None) -> None:
        self._check(opened, self._bundle)

    def _on_annotate(self, state: AnnotateState) -> None:
        if state.bundle is not self._bundle:
            self._bundle = state.bundle
            self._check(self._viewer_state.opened, state.bundle)

    def _check(self, opened: OpenedSection | None, bundle: Bundle | None) -> None:
        self._runner.cancel(TOPIC)
        notes = () if opened is None else opened.notes
        hint = CHECKING if bundle is not None else NO_BUNDLE
        hint = NO_SECTION if opened is None else hint
        self._update(findings=notes, verdict="", ok=False, hint=hint, failure=None)
        if opened is None or bundle is None:
            return
        self._runner.start(
            Task(
                topic=TOPIC,
                title="Checking the section for this bundle",
                work=lambda context: _preflight(opened, bundle, context),
                done=self._show,
                failed=lambda failure: self._update(hint="", failure=failure),
                reported=self._on_reports,
                cancelled=self._on_cancelled,
                unit="cells",
            )
        )

    def _on_reports(self, reports: Sequence[Progress]) -> None:
        """List what was found before cells are timed."""
        for report in reports:
            if report.partial is not None:
                self._update(findings=report.partial.findings)

    def _on_cancelled(self) -> None:
        if self.state.hint == CHECKING:
            self._update(hint=CANCELLED)

    def _show(self, found: Preflight) -> None:
        self._update(findings=found.findings, ok=found.ok, verdict=verdict(found), hint="")


def _preflight(opened: OpenedSection, bundle: Bundle, context: JobContext) -> Preflight:
    from tagscope import api

    return api.check(opened, bundle, context=context)


def verdict(found: Preflight) -> str:
    """In one line, whether annotating can begin, with how many genes, and what it takes."""
    from tagscope import api

    if not found.ok:
        return NOT_READY
    summary = found.summary
    calm = all(finding.severity == "info" for finding in found.findings)
    genes = f"{summary['shared_genes']:,} of {summary['bundle_genes']:,} genes shared"
    begin = "✓ Ready" if calm else "Can be annotated"
    return f"{begin}: {genes} · {summary['cells']:,} cells · {api.estimate_text(summary)}"
