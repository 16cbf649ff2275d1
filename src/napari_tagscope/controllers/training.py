"""Training a bundle from a labelled reference, and watching it learn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_tagscope.controllers.annotate import AnnotateController
from napari_tagscope.controllers.bundles import KnownBundles, is_bundle
from napari_tagscope.controllers.observed import Observed
from napari_tagscope.controllers.reference import (
    LabelColumn,
    ReferenceSummary,
    count_reference,
    label_columns,
)
from napari_tagscope.controllers.training_state import (
    Model,
    TrainingState,
    stopped_text,
    usual_name,
)
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure, Runner, Task
from tagscope.jobs import JobContext, Progress

if TYPE_CHECKING:
    from tagscope.api import Bundle
    from tagscope.core.section import Reference, Section

TOPIC = "train"
COLUMNS_TOPIC = "read columns"
COUNT_TOPIC = "count reference"
USUAL_NAMES = ("cell_type", "celltype", "cell_class", "label", "annotation", "cluster", "type")


class TrainingController(Observed[TrainingState]):
    """Trains a bundle; Stop keeps the best epoch, which is then ready to annotate with."""

    def __init__(
        self,
        viewer_state: ViewerState,
        runner: Runner,
        annotate: AnnotateController,
        bundles: KnownBundles,
    ) -> None:
        super().__init__(TrainingState())
        self._viewer_state = viewer_state
        self._runner = runner
        self._annotate = annotate
        self._bundles = bundles
        self._read: tuple[Path, str, Reference] | None = None  # the reference that was counted
        viewer_state.section_changed.connect(lambda _: self._count())

    def choose_reference(self, path: Path) -> None:
        """Read which columns of a reference could hold labels."""
        self._read = None
        self._update(
            reference=path, columns=(), column="", name="", summary=None, reading=True,
            failure=None, notice="",
        )  # fmt: skip
        self._runner.start(
            Task(
                topic=COLUMNS_TOPIC,
                title=f"Reading columns of {path.name}",
                work=lambda _: label_columns(path),
                done=self._on_columns,
                failed=lambda failure: self._update(reading=False, reference=None, failure=failure),
                cancelled=lambda: self._update(reading=False, reference=None),
            )
        )

    def choose_sample_reference(self) -> None:
        """Take the simulated sample's reference."""
        self._update(reading=True, failure=None, notice="")
        self._runner.start(
            Task(
                topic=COLUMNS_TOPIC,
                title="Finding the sample's reference",
                work=_sample_reference,
                done=self.choose_reference,
                failed=lambda failure: self._update(reading=False, failure=failure),
                cancelled=lambda: self._update(reading=False),
            )
        )

    def choose_column(self, name: str) -> None:
        """Take the labels from this column."""
        self._change(column=name, summary=None, failure=None)
        self._count()

    def choose_model(self, model: Model) -> None:
        """Train a CellMemory, or a CellPatch."""
        self._change(model=model, starts=self._starts(model), start=None, failure=None)

    def choose_start(self, path: Path | None) -> None:
        """Start from the weights of this CellPatch, such as a pretrained one, or anew."""
        self._update(start=path, failure=None)

    def set_name(self, name: str) -> None:
        """Call the bundle so; one of that name that is there already is not replaced."""
        self._update(name=name.strip())

    def set_epochs(self, epochs: int | None) -> None:
        """The most epochs to train, None for the recipe's own; it may stop earlier."""
        self._update(epochs=epochs)

    def train(self) -> None:
        """Train on the genes that reference and open section share."""
        state, opened = self.state, self._viewer_state.opened
        if not state.ready or state.reference is None:
            return
        reference, column, model = self._source(), state.column, state.model
        epochs, start = state.epochs, state.start
        section = None if opened is None else opened.section
        out = self._bundles.free_name(state.name or usual_name(state))
        self._update(running=True, stopping=False, networks=1, history=(), failure=None, notice="")
        self._runner.start(
            Task(
                topic=TOPIC,
                title="Training",
                work=lambda context: _train(
                    reference, column, model, start, out, epochs, section, context
                ),
                done=self._on_done,
                failed=self._on_failed,
                reported=self._on_reported,
                cancelled=lambda: self._on_stopped(out),
                heavy=True,
                cancel_text="Stop",
            )
        )

    def stop(self) -> None:
        """Stop and keep the best epoch so far."""
        if self.state.running:
            self._update(stopping=True)
            self._runner.cancel(TOPIC)

    def _change(self, **changes: Any) -> None:
        """Change what the bundle is called by, unless a person named it."""
        kept = self.state.name not in ("", usual_name(self.state))
        self._update(**changes)
        if not kept:
            self._update(name=usual_name(self.state))

    def _starts(self, model: Model) -> tuple[Path, ...]:
        """Bundles that a training may start from."""
        return self._bundles.of_model(model) if model == "cellpatch" else ()

    def _on_columns(self, columns: tuple[LabelColumn, ...]) -> None:
        names = [column.name for column in columns]
        usual = (name for name in USUAL_NAMES if name in names)
        self._update(reading=False, columns=columns)
        if names:
            self.choose_column(next(usual, names[0]))
        else:
            self._update(notice="This reference has no column of labels.")

    def _source(self) -> Path | Reference:
        """The reference with the chosen labels, if it has been read, else where it is."""
        state, read = self.state, self._read
        assert state.reference is not None
        return read[2] if read and read[:2] == (state.reference, state.column) else state.reference

    def _count(self) -> None:
        """Count what a training would learn from, in what it will be trained on."""
        state, opened = self.state, self._viewer_state.opened
        if state.reference is None or not state.column or state.running:
            return
        path, column, source = state.reference, state.column, self._source()
        panel = None if opened is None else opened.section.panel
        self._update(counting=True, unusable=False)
        self._runner.start(
            Task(
                topic=COUNT_TOPIC,
                title=f"Counting types and genes of {path.name}",
                work=lambda context: count_reference(source, column, panel, context),
                done=lambda counted: self._on_counted(path, column, *counted),
                failed=lambda failure: self._update(counting=False, unusable=True, failure=failure),
                cancelled=lambda: self._update(counting=False),
            )
        )

    def _on_counted(
        self, path: Path, column: str, reference: Reference, summary: ReferenceSummary
    ) -> None:
        if (path, column) == (self.state.reference, self.state.column):
            self._read = (path, column, reference)
            self._update(counting=False, summary=summary)

    def _on_reported(self, reports: Sequence[Progress]) -> None:
        records = tuple(report.partial for report in reports if report.partial is not None)
        if records:
            networks = _networks(self.state.model, self.state.epochs)
            self._update(history=self.state.history + records, networks=networks)

    def _on_done(self, bundle: Bundle) -> None:
        self._update(running=False, stopping=False, notice=f"Kept as {bundle.path.name}.")
        self._annotate.use(bundle)
        self._update(starts=self._starts(self.state.model))

    def _on_failed(self, failure: Failure) -> None:
        self._update(running=False, stopping=False, failure=failure)

    def _on_stopped(self, out: Path) -> None:
        if is_bundle(out):
            notice = stopped_text(self.state, out.name)
            self._update(running=False, stopping=False, notice=notice)
            self._annotate.choose(out)
            self._update(starts=self._starts(self.state.model))
        else:
            notice = "Stopped before the first epoch was over; nothing was kept."
            self._update(running=False, stopping=False, notice=notice)


def _sample_reference(context: JobContext) -> Path:
    from tagscope import api

    return api.sample(context).reference


def _networks(model: Model, epochs: int | None) -> int:
    from tagscope import api

    return api.recipe_of(api.TrainConfig(epochs=epochs), model).folds


def _train(
    reference: Path | Reference,
    column: str,
    model: Model,
    start: Path | None,
    out: Path,
    epochs: int | None,
    section: Section | None,
    context: JobContext,
) -> Bundle:
    from tagscope import api

    out.parent.mkdir(parents=True, exist_ok=True)
    config = api.TrainConfig(epochs=epochs)
    init = None if start is None else api.load_bundle(start)
    return api.train(
        reference, column, model, out=out, config=config, panel=section, init=init, context=context
    )
