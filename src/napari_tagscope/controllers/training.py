"""Training a bundle from a labelled reference, and watching it learn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_tagscope.controllers.annotate import AnnotateController
from napari_tagscope.controllers.bundles import KnownBundles, is_bundle
from napari_tagscope.controllers.columns import MOST_TYPES, holds_labels
from napari_tagscope.controllers.observed import Observed
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure, Runner, Task
from tagscope.jobs import JobContext, Progress

if TYPE_CHECKING:
    from tagscope.api import Bundle, EpochRecord
    from tagscope.core.panel import GenePanel
    from tagscope.core.section import Reference, Section

TOPIC = "train"
COLUMNS_TOPIC = "read columns"
COUNT_TOPIC = "count reference"
FEW_CELLS = 10  # of a type, below which a network hardly learns it
MOST_NAMED = 3
USUAL_NAMES = ("cell_type", "celltype", "cell_class", "label", "annotation", "cluster", "type")


@dataclass(frozen=True)
class LabelColumn:
    """A column that could hold labels, and how many different ones it has."""

    name: str
    types: int


@dataclass(frozen=True)
class ReferenceSummary:
    """What a training would learn from: labelled cells, ``types`` with their cells, genes, and how
    many of these the open section has too, None without one."""

    cells: int
    types: tuple[tuple[str, int], ...]
    genes: int
    shared: int | None


@dataclass(frozen=True)
class TrainingState:
    """What the training part shows.

    ``name`` is that of the bundle to be. ``history`` grows by one record an epoch, over all
    ``networks`` that the training makes.
    """

    reference: Path | None = None
    columns: tuple[LabelColumn, ...] = ()
    column: str = ""
    name: str = ""
    summary: ReferenceSummary | None = None
    counting: bool = False
    epochs: int | None = None
    reading: bool = False
    running: bool = False
    stopping: bool = False
    networks: int = 1
    history: tuple[EpochRecord, ...] = ()
    failure: Failure | None = None
    notice: str = ""

    @property
    def ready(self) -> bool:
        """Whether training can start; what it would learn from is known first."""
        found, waits = self.summary, self.running or self.counting
        hopeless = found is not None and (found.shared == 0 or len(found.types) < 2)
        return bool(self.reference and self.column) and not waits and not hopeless


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
        kept = self.state.name not in ("", _usual_name(self.state))
        self._update(column=name, summary=None, failure=None)
        if not kept:
            self._update(name=_usual_name(self.state))
        self._count()

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
        reference, column, epochs = self._source(), state.column, state.epochs
        section = None if opened is None else opened.section
        out = self._bundles.free_name(state.name or _usual_name(state))
        self._update(running=True, stopping=False, networks=1, history=(), failure=None, notice="")
        self._runner.start(
            Task(
                topic=TOPIC,
                title="Training",
                work=lambda context: _train(reference, column, out, epochs, section, context),
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
        self._update(counting=True)
        self._runner.start(
            Task(
                topic=COUNT_TOPIC,
                title=f"Counting types and genes of {path.name}",
                work=lambda context: _counted(source, column, panel, context),
                done=lambda counted: self._on_counted(path, column, *counted),
                failed=lambda failure: self._update(counting=False, failure=failure),
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
            networks = _networks(self.state.epochs)
            self._update(history=self.state.history + records, networks=networks)

    def _on_done(self, bundle: Bundle) -> None:
        self._update(running=False, stopping=False, notice=f"Kept as {bundle.path.name}.")
        self._annotate.use(bundle)

    def _on_failed(self, failure: Failure) -> None:
        self._update(running=False, stopping=False, failure=failure)

    def _on_stopped(self, out: Path) -> None:
        if is_bundle(out):
            notice = _stopped_text(self.state, out.name)
            self._update(running=False, stopping=False, notice=notice)
            self._annotate.choose(out)
        else:
            notice = "Stopped before the first epoch was over; nothing was kept."
            self._update(running=False, stopping=False, notice=notice)


def network_starts(history: Sequence[EpochRecord]) -> tuple[int, ...]:
    """Positions in ``history`` from which on another network learns, the first one's left out."""
    return tuple(n for n in range(1, len(history)) if history[n].fold != history[n - 1].fold)


def summary_text(state: TrainingState) -> str:
    """What a training would learn from, and what would be learned badly."""
    found = state.summary
    if found is None:
        return "Counting types and genes…" if state.counting else ""
    genes = f"{found.genes:,} genes; those of an open section would be kept"
    if found.shared is not None:
        genes = f"{found.shared:,} of {found.genes:,} genes shared with the section"
    lines = [f"{found.cells:,} cells · {len(found.types):,} types · {genes}"]
    if found.shared == 0:
        lines.append("Nothing can be learned: check species and kind of gene ids of both.")
    if len(found.types) < 2:
        lines.append("One type alone cannot be told from others: choose another column.")
    rare = [f"{name} ({cells:,})" for name, cells in found.types if cells < FEW_CELLS]
    if rare:
        more = f", and {len(rare) - MOST_NAMED:,} more" if len(rare) > MOST_NAMED else ""
        named = ", ".join(rare[:MOST_NAMED]) + more
        lines.append(f"Types of fewer than {FEW_CELLS} cells are hardly learned: {named}")
    return "\n".join(lines)


def _usual_name(state: TrainingState) -> str:
    return f"{state.reference.stem}-{state.column}" if state.reference else ""


def training_text(state: TrainingState) -> str:
    """What became of it, which network is at which epoch, and how well its best epoch does."""
    parts = [state.notice] if state.notice else []
    if state.history:
        parts.append(_epoch_text(state.history, state.networks))
    elif state.running:
        parts.append("The curve begins after the first epoch.")
    return "\n".join(parts)


def _epoch_text(history: Sequence[EpochRecord], networks: int) -> str:
    """The best epoch is the one that is kept: of this network, with the lowest validation loss."""
    last = history[-1]
    best = min((r for r in history if r.fold == last.fold), key=lambda r: r.validation_loss)
    text = f"network {last.fold} of {networks}, " if networks > 1 else ""
    text += f"epoch {last.epoch}"
    if math.isfinite(best.macro_f1):
        text += f" · best epoch {best.epoch}: macro-F1 {best.macro_f1:.3f}"
        text += f", accuracy {best.accuracy:.3f}"
    return text


def _stopped_text(state: TrainingState, name: str) -> str:
    if state.networks == 1:
        return f"Best epoch kept as {name}."
    where = f"network {state.history[-1].fold} of {state.networks}"
    return f"Stopped in {where}; the best so far is kept as {name}."


def label_columns(path: Path) -> tuple[LabelColumn, ...]:
    """Columns of a reference that hold labels: text or categories, from 2 to 1,000 of them.

    Of an ``.h5ad`` only ``obs`` is read.
    """
    import h5py  # type: ignore[import-untyped]

    if path.suffix == ".h5ad" and h5py.is_hdf5(path):
        from anndata.io import read_elem

        with h5py.File(path) as file:
            obs = read_elem(file["obs"])
    else:
        from tagscope import api

        obs = api.read_table(path).obs
    counts = {
        str(name): int(column.nunique()) for name, column in obs.items() if holds_labels(column)
    }
    return tuple(LabelColumn(n, count) for n, count in counts.items() if 2 <= count <= MOST_TYPES)


def _sample_reference(context: JobContext) -> Path:
    from tagscope import api

    return api.sample(context).reference


def _networks(epochs: int | None) -> int:
    from tagscope import api

    return api.recipe_of(api.TrainConfig(epochs=epochs)).folds


def _counted(
    source: Path | Reference, column: str, panel: GenePanel | None, context: JobContext
) -> tuple[Reference, ReferenceSummary]:
    """Runs in a job's thread."""
    from tagscope import api

    reference = source
    if isinstance(reference, Path):
        reference = api.read_reference(reference, column, context=context)
    measured, names = reference.cells.panel, reference.labels.names
    cells = np.bincount(reference.codes, minlength=len(names)).tolist()
    shared = None if panel is None else len(measured.shared_with(panel))
    types = tuple(zip(names, cells, strict=True))
    genes = len(measured.shared_with(measured))
    return reference, ReferenceSummary(len(reference), types, genes, shared)


def _train(
    reference: Path | Reference,
    column: str,
    out: Path,
    epochs: int | None,
    section: Section | None,
    context: JobContext,
) -> Bundle:
    from tagscope import api

    out.parent.mkdir(parents=True, exist_ok=True)
    config = api.TrainConfig(epochs=epochs)
    return api.train(reference, column, out=out, config=config, panel=section, context=context)
