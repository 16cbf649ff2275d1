"""Types that the model gave, or domains, beside a column of labels that the section has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_tagscope.controllers.columns import MOST_TYPES, holds_labels
from napari_tagscope.controllers.observed import Observed
from napari_tagscope.state import Rows, ViewerState
from napari_tagscope.tasks import Failure, Runner, Task
from tagscope.core.keys import Slots
from tagscope.core.labels import UNASSIGNED
from tagscope.errors import ArgumentError
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from pandas import DataFrame, Series

    from tagscope.api import AnnotationReport, AnnotationResult, DomainMap, OpenedSection

NO_RESULT = "Annotate the section to compare its types with a column of labels."
NO_DOMAINS = "Find domains to compare them with regions that the section has."
NO_AGREEMENT = "Compare models, and choose two of them."
UNNAMED = "No name is in common: groups can be compared, names cannot."
NO_COLUMN = "This section has no other column of labels."
CHOOSE = "Choose a column of labels that the section has."


@dataclass(frozen=True)
class Confusion:
    """Cells by the column's label (R rows) and by the type given (C columns): ``counts`` (R, C)."""

    truth: tuple[str, ...]
    prediction: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    def text(self, row: int, column: int) -> str:
        """Such as ``Astro → Oligo: 12 of 310 cells, 4 %``."""
        count, total = self.counts[row][column], sum(self.counts[row])
        names = f"{self.truth[row]} → {self.prediction[column]}"
        return f"{names}: {count:,} of {total:,} cells, {100 * count / max(1, total):.0f} %"


@dataclass(frozen=True)
class Agreement:
    """The numbers of :class:`tagscope.api.AnnotationReport`; ``named`` where names agree: without
    a name in common accuracy, macro-F1 and calibration error mean nothing, and ``note`` says so.
    """

    named: bool
    note: str
    accuracy: float
    macro_f1: float
    types: int
    cells: int
    unseen: int
    missing: int
    unassigned: int
    ari: float
    nmi: float
    calibration_error: float | None


@dataclass(frozen=True)
class ComparisonState:
    """What the comparison shows. ``chosen``: row and column of the confusion that is selected."""

    columns: tuple[str, ...] = ()
    column: str = ""
    hint: str = NO_RESULT
    running: bool = False
    agreement: Agreement | None = None
    confusion: Confusion | None = None
    chosen: tuple[int, int] | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class _Compared:
    """``rows`` and ``columns`` (N,): where each cell is in the confusion, −1 where nowhere."""

    agreement: Agreement
    confusion: Confusion
    rows: npt.NDArray[np.int32]
    columns: npt.NDArray[np.int32]


@dataclass(frozen=True)
class _Given:
    """What is compared: ``codes`` (N,) into ``names``, −1 for Unassigned.

    ``confidence`` (N,) where there is any. ``own`` are columns that hold the same, and no truth.
    """

    names: tuple[str, ...]
    codes: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32] | None
    own: frozenset[str]
    note: str


class ColumnComparison(Observed[ComparisonState], ABC):
    """Compares what is on view with a column of ``obs``; selects the cells of a confusion."""

    topic = ""
    nothing_yet = ""

    def __init__(self, viewer_state: ViewerState, runner: Runner) -> None:
        super().__init__(ComparisonState(hint=self.nothing_yet))
        self._viewer_state = viewer_state
        self._runner = runner
        self._compared: _Compared | None = None
        self._selected: Rows = viewer_state.rows
        viewer_state.section_changed.connect(lambda _: self._clear())
        viewer_state.rows_selected.connect(self._on_rows)

    @property
    @abstractmethod
    def _given(self) -> _Given | None:
        """What is on view, None where there is nothing yet."""

    def _columns(self, opened: OpenedSection, given: _Given) -> tuple[str, ...]:
        """What it can be compared with: columns of labels, its own left out."""
        obs = opened.table.obs
        return tuple(str(name) for name in obs if name not in given.own and holds_labels(obs[name]))

    def _column(self, opened: OpenedSection, name: str) -> Series[Any]:
        """The labels of one of them, (N,)."""
        return opened.table.obs[name]

    def choose_column(self, name: str) -> None:
        """Compare with another column."""
        self._drop(column=name)
        self._compare()

    def choose(self, row: int, column: int) -> None:
        """Select the cells of a confusion; the same one again lets them go."""
        if self._compared is None or self.state.confusion is None:
            return
        again = self.state.chosen == (row, column)
        found = (self._compared.rows == row) & (self._compared.columns == column)
        self._selected = np.zeros(0, np.int64) if again else np.flatnonzero(found)
        self._update(chosen=None if again else (row, column))
        self._viewer_state.select_rows(self._selected)

    def as_text(self) -> str:
        """The confusion as tab-separated text, for a spreadsheet."""
        confusion = self.state.confusion
        if confusion is None:
            return ""
        lines = ["\t".join((self.state.column, *confusion.prediction))]
        for name, counts in zip(confusion.truth, confusion.counts, strict=True):
            lines.append("\t".join((name, *map(str, counts))))
        return "\n".join(lines)

    def _clear(self) -> None:
        self._runner.cancel(self.topic)
        self._drop(columns=(), column="", hint=self.nothing_yet, failure=None)

    def _drop(self, **changes: Any) -> None:
        """Show no comparison any more."""
        self._compared = None
        self._update(running=False, agreement=None, confusion=None, chosen=None, **changes)

    def _on_changed(self) -> None:
        opened, given = self._viewer_state.opened, self._given
        if given is None or opened is None:
            self._clear()
            return
        columns = self._columns(opened, given)
        column = self.state.column if self.state.column in columns else ""
        if column != self.state.column:
            self._drop()
        self._update(columns=columns, column=column, hint=_hint(columns, column))
        self._compare()

    def _compare(self) -> None:
        opened, given = self._viewer_state.opened, self._given
        name = self.state.column
        if opened is None or given is None or not name:
            return
        self._update(running=True, failure=None, hint="")
        column = self._column(opened, name)
        self._runner.start(
            Task(
                topic=self.topic,
                title=f"Comparing with {name}",
                work=lambda context: _compared(given, column, context),
                done=self._on_compared,
                failed=lambda failure: self._drop(failure=failure),
                cancelled=lambda: self._drop(column="", hint=CHOOSE),
            )
        )

    def _on_compared(self, compared: _Compared) -> None:
        self._compared = compared
        chosen = self.state.chosen if compared.confusion == self.state.confusion else None
        self._update(
            running=False,
            agreement=compared.agreement,
            confusion=compared.confusion,
            chosen=chosen,
        )

    def _on_rows(self, rows: Rows) -> None:
        """Cells that were selected elsewhere are not those of a confusion."""
        if not np.array_equal(rows, self._selected):
            self._update(chosen=None)


class ComparisonController(ColumnComparison):
    """Compares the types of the result on view."""

    topic = "compare"
    nothing_yet = NO_RESULT

    def __init__(self, viewer_state: ViewerState, runner: Runner) -> None:
        super().__init__(viewer_state, runner)
        viewer_state.result_changed.connect(lambda _: self._on_changed())

    @property
    def _given(self) -> _Given | None:
        result = self._viewer_state.result
        return None if result is None else _of_types(result)


class DomainComparison(ColumnComparison):
    """Compares the domains on view."""

    topic = "compare domains"
    nothing_yet = NO_DOMAINS

    def __init__(self, viewer_state: ViewerState, runner: Runner) -> None:
        super().__init__(viewer_state, runner)
        viewer_state.domains_changed.connect(lambda _: self._on_changed())

    @property
    def _given(self) -> _Given | None:
        found = self._viewer_state.domains
        return None if found is None else _of_domains(found)


class ModelComparison(ColumnComparison):
    """Compares two of the models whose agreement is on view: the first beside the second."""

    topic = "compare two models"
    nothing_yet = NO_AGREEMENT

    def __init__(self, viewer_state: ViewerState, runner: Runner) -> None:
        super().__init__(viewer_state, runner)
        self.first = ""
        viewer_state.agreement_changed.connect(lambda _: self._on_changed())

    def choose_pair(self, first: str, second: str) -> None:
        """Compare other two; ``second`` is the rows of the confusion."""
        if (first, second) != (self.first, self.state.column):
            self.first = first
            self.choose_column(second)

    def _on_changed(self) -> None:
        super()._on_changed()
        if self.state.columns and not self.state.column:
            self.choose_column(self.state.columns[0])

    @property
    def _given(self) -> _Given | None:
        found = self._viewer_state.agreement
        if found is None:
            return None
        if self.first not in found.models:
            self.first = found.models[0]
        codes = found.codes[found.models.index(self.first)]
        return _Given(found.names, codes, None, frozenset((self.first,)), UNNAMED)

    def _columns(self, opened: OpenedSection, given: _Given) -> tuple[str, ...]:  # noqa: ARG002
        found = self._viewer_state.agreement
        return () if found is None else tuple(m for m in found.models if m not in given.own)

    def _column(self, opened: OpenedSection, name: str) -> Series[Any]:  # noqa: ARG002 - its own
        import pandas as pd

        found = self._viewer_state.agreement
        assert found is not None
        codes = found.codes[found.models.index(name)]
        return pd.Series(pd.Categorical.from_codes(codes, categories=list(found.names)), name=name)


def _of_types(result: AnnotationResult) -> _Given:
    annotation, tree = result.annotation, result.annotation.tree
    coarser = () if tree is None else tree.columns[:-1]
    own = frozenset((result.key, *(f"{result.key}_{column}" for column in coarser)))
    return _Given(annotation.labels.names, annotation.codes, annotation.confidence, own, UNNAMED)


def _of_domains(found: DomainMap) -> _Given:
    own = frozenset((Slots(found.key).domain,))
    return _Given(found.domains.names, found.codes, None, own, "")


def agreement_text(state: ComparisonState) -> str:
    """What the numbers say, in up to three lines."""
    found = state.agreement
    if found is None:
        return ""
    alike = f"ARI {found.ari:.3f} · NMI {found.nmi:.3f}"
    if not found.named:
        left_out = f"; {found.missing:,} without a label left out" if found.missing else ""
        return "\n".join(filter(None, (found.note, alike, f"{found.cells:,} cells{left_out}")))
    if found.calibration_error is not None:
        alike += f" · calibration error {found.calibration_error:.3f}"
    lines = [f"Agreement {found.accuracy:.3f} · macro-F1 {found.macro_f1:.3f}", alike]
    return "\n".join([*lines, _scored(found)])


def _scored(found: Agreement) -> str:
    """Which cells the numbers are of."""
    parts = [f"{found.cells:,} cells of {found.types:,} types"]
    parts += [f"{found.unassigned:,} Unassigned count as wrong"] if found.unassigned else []
    parts += [f"{found.unseen:,} of types the model lacks left out"] if found.unseen else []
    parts += [f"{found.missing:,} without a label left out"] if found.missing else []
    return "; ".join(parts)


def _hint(columns: tuple[str, ...], column: str) -> str:
    if not columns:
        return NO_COLUMN
    return "" if column else CHOOSE


def _compared(given: _Given, column: Series[Any], context: JobContext) -> _Compared:
    """Runs in a job's thread."""
    import pandas as pd

    from tagscope import api

    context.step("reading labels", 0, 3)
    truth = _labels(column)
    names = given.names
    codes = np.where(given.codes < 0, len(names), given.codes)
    labels = pd.Categorical.from_codes(codes, categories=[*names, UNASSIGNED])
    context.step("counting", 1, 3)
    named = not set(names).isdisjoint(map(str, truth.categories))
    seen = set(names) if named else None
    report = api.evaluate_labels(labels, truth, given.confidence, seen)
    context.step("finding cells", 2, 3)
    table = report.confusion if named else _by_largest(report.confusion)
    confusion = Confusion(
        tuple(table.index), tuple(table.columns), tuple(map(tuple, table.to_numpy().tolist()))
    )
    return _Compared(
        _agreement(report, named, given.note),
        confusion,
        _places(truth, confusion.truth),
        _places(labels, confusion.prediction),
    )


def _labels(column: Series[Any]) -> Any:
    """A column as a pandas categorical, its unused categories left out."""
    import pandas as pd

    labels = pd.Categorical(column).remove_unused_categories()
    if len(labels.categories) > MOST_TYPES:
        raise ArgumentError(
            f"The column {column.name!r} holds {len(labels.categories):,} different values.",
            f"Labels are needed, {MOST_TYPES:,} at most.",
            "Choose another column.",
        )
    return labels


def _by_largest(table: DataFrame) -> DataFrame:
    """Columns that have cells, and rows in the order of those that most of their cells are in."""
    table = table.loc[:, table.any()]
    return table.iloc[np.argsort(table.to_numpy().argmax(axis=1), kind="stable")]


def _places(labels: Any, names: tuple[str, ...]) -> npt.NDArray[np.int32]:
    """Position of every cell's label in ``names``, (N,), −1 where it is not among them."""
    at = {name: place for place, name in enumerate(names)}
    of_code = [*(at.get(str(category), -1) for category in labels.categories), -1]
    codes: npt.NDArray[np.int64] = np.asarray(labels.codes)
    return np.array(of_code, dtype=np.int32)[codes]


def _agreement(report: AnnotationReport, named: bool, note: str) -> Agreement:
    return Agreement(
        named=named,
        note=note,
        accuracy=report.accuracy,
        macro_f1=report.macro_f1,
        types=report.n_types,
        cells=report.n_cells,
        unseen=report.n_unseen,
        missing=report.n_missing,
        unassigned=report.n_unassigned,
        ari=report.ari,
        nmi=report.nmi,
        calibration_error=report.calibration_error if named else None,
    )
