"""Choosing a bundle, annotating, and saving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_tagscope.controllers.bundles import KnownBundles
from napari_tagscope.controllers.legend import LegendController
from napari_tagscope.controllers.observed import Observed
from napari_tagscope.controllers.painter import Painter
from napari_tagscope.controllers.stored import prepared
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure, Runner, Task
from tagscope.errors import BundleError
from tagscope.jobs import JobContext, Progress

if TYPE_CHECKING:
    from tagscope.api import AnnotationResult, Bundle, OpenedSection

TOPIC = "annotate"
LOAD_TOPIC = "load bundle"
ANNOTATES = "annotate"  # what a bundle must be able to do
SCORES_GENES = "gene_scores"  # and what it may be
SAVE_TOPIC = "save"


@dataclass(frozen=True)
class AnnotateState:
    """What the Annotate panel shows.

    ``bundle`` is None until one is loaded and verified; ``replaces`` names the result that saving
    into the section's own store would replace.
    """

    has_section: bool = False
    known: tuple[Path, ...] = ()
    chosen: Path | None = None
    bundle: Bundle | None = None
    running: bool = False
    attention: bool = True
    failure: Failure | None = None
    can_save: bool = False
    replaces: str = ""
    saving: bool = False
    saved: Path | None = None

    @property
    def ready(self) -> bool:
        """Whether a run can start."""
        return self.has_section and self.bundle is not None and not self.running

    @property
    def may_attend(self) -> bool:
        """Whether attention can be asked for; a bundle that is not known yet may have some."""
        return self.bundle is None or SCORES_GENES in self.bundle.capabilities


class AnnotateController(Observed[AnnotateState]):
    """Runs a bundle on the open section; cells in view come first and are painted as they come."""

    def __init__(
        self,
        viewer_state: ViewerState,
        runner: Runner,
        painter: Painter,
        legend: LegendController,
        bundles: KnownBundles,
    ) -> None:
        super().__init__(AnnotateState(known=bundles.able_to(ANNOTATES)))
        self._viewer_state = viewer_state
        self._runner = runner
        self._painter = painter
        self._legend = legend
        self._bundles = bundles
        viewer_state.section_changed.connect(self._on_section)
        viewer_state.result_changed.connect(self._on_result)

    def choose(self, path: Path) -> None:
        """Load and verify a bundle."""
        self._update(chosen=path, bundle=None, failure=None)
        self._runner.start(
            Task(
                topic=LOAD_TOPIC,
                title=f"Reading {path.name}",
                work=lambda _: _load_bundle(path),
                done=self.use,
                failed=self._on_load_failed,
            )
        )

    def use(self, bundle: Bundle) -> None:
        """Take a bundle that is loaded already, such as one just trained."""
        self._bundles.remember(bundle.path)
        known = self._bundles.able_to(ANNOTATES)
        self._update(bundle=bundle, chosen=bundle.path, known=known, failure=None)

    def forget(self) -> None:
        """Leave the chosen bundle out of the list; its files stay."""
        if self.state.chosen is not None and not self.state.running:
            self._runner.cancel(LOAD_TOPIC)
            self._bundles.forget(self.state.chosen)
            known = self._bundles.able_to(ANNOTATES)
            self._update(chosen=None, bundle=None, known=known, failure=None)

    def set_attention(self, wanted: bool) -> None:
        """Keep attention scores when annotating, or only labels (a little faster)."""
        self._update(attention=wanted)

    def run(self) -> None:
        """Annotate the open section."""
        opened, bundle = self._viewer_state.opened, self.state.bundle
        if opened is None or bundle is None or self.state.running:
            return
        self._update(running=True, failure=None, saved=None)
        first = self._painter.rows_in_view()
        attention = self.state.attention and self.state.may_attend
        self._legend.begin(bundle.model, bundle.labels, len(opened.section))
        self._runner.start(
            Task(
                topic=TOPIC,
                title="Annotating",
                work=lambda context: _annotate(opened, bundle, attention, first, context),
                done=self._on_done,
                failed=self._on_run_failed,
                reported=self._on_reported,
                cancelled=self._on_cancelled,
                unit="cells",
                heavy=True,
            )
        )

    def cancel(self) -> None:
        """Stop annotating; what was shown before comes back."""
        self._runner.cancel(TOPIC)

    def save(self, out: Path | None = None) -> None:
        """Write the result into the section's own store, or into a whole copy at ``out``.

        A result of the same key that is there already is replaced.
        """
        opened, result = self._viewer_state.opened, self._viewer_state.result
        if opened is None or result is None:
            return
        target = out or opened.source.path
        self._update(saving=True, saved=None, failure=None)
        self._runner.start(
            Task(
                topic=SAVE_TOPIC,
                title=f"Saving {target.name}",
                work=lambda context: _save(opened, result, target, context),
                done=lambda path: self._on_saved(path, result.key),
                failed=lambda failure: self._update(saving=False, failure=failure),
                cancelled=lambda: self._update(saving=False),
                unit="MB",
            )
        )

    def _on_section(self, opened: OpenedSection | None) -> None:
        self.cancel()
        self._update(has_section=opened is not None, failure=None, saved=None)

    def _on_result(self, result: AnnotationResult | None) -> None:
        opened = self._viewer_state.opened
        kept = result is not None and opened is not None and result.key in opened.table.obs
        replaces = result.key if result is not None and kept else ""
        self._update(can_save=result is not None, replaces=replaces, saved=None)

    def _on_saved(self, path: Path, key: str) -> None:
        opened = self._viewer_state.opened
        replaces = key if opened and path == opened.source.path else self.state.replaces
        self._update(saving=False, saved=path, replaces=replaces)

    def _on_load_failed(self, failure: Failure) -> None:
        self._update(chosen=None, failure=failure)

    def _on_reported(self, reports: Sequence[Progress]) -> None:
        parts = [report.partial for report in reports if report.partial is not None]
        if parts and self.state.running:
            self._legend.add(parts)

    def _on_done(self, result: AnnotationResult) -> None:
        self._update(running=False)
        self._viewer_state.set_result(result)

    def _on_run_failed(self, failure: Failure) -> None:
        self._on_cancelled()
        self._update(failure=failure)

    def _on_cancelled(self) -> None:
        """Show what was there before the run."""
        self._update(running=False)
        self._legend.restore()


def _load_bundle(path: Path) -> Bundle:
    from tagscope import api

    bundle = api.load_bundle(path)
    if ANNOTATES not in bundle.capabilities:
        raise BundleError(
            f"{path.name} is a model of kind {bundle.model!r}, which knows no cell types.",
            "Annotating takes a model that was trained with labels.",
            "Choose another, or train one from a reference.",
        )
    return bundle


def _annotate(
    opened: OpenedSection, bundle: Bundle, attention: bool, first: Any, context: JobContext
) -> AnnotationResult:
    from tagscope import api

    config = api.AnnotateConfig(key=bundle.model, attention=attention)
    return prepared(api.annotate(opened, bundle, config, first=first, context=context))


def _save(opened: OpenedSection, result: AnnotationResult, out: Path, context: JobContext) -> Path:
    from tagscope import api

    return api.write_result(opened, result, out, overwrite=True, context=context)
