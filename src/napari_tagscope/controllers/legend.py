"""The legend: how many cells each type has, which are shown, in what colour, and how sure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_tagscope.controllers.observed import Observed
from napari_tagscope.controllers.painter import Painter
from napari_tagscope.controllers.stored import recoloured, with_min_confidence
from napari_tagscope.state import ViewerState
from tagscope.core.labels import UNASSIGNED, UNASSIGNED_COLOR, LabelSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tagscope.api import AnnotationResult, PartialAnnotation

PAINTING = "cell type"
UNASSIGNED_CODE = -1
UNKNOWN_CODE = -2
PENDING_COLOR = "#7f7f7f38"
BINS = 20


@dataclass(frozen=True)
class LegendRow:
    """One type. ``code`` is its position in the labels, −1 for Unassigned."""

    code: int
    name: str
    color: str
    count: int
    shown: bool = True
    isolated: bool = False


@dataclass(frozen=True)
class LegendState:
    """What the legend shows. ``histogram`` (20,) counts cells by confidence, 0 to 1."""

    key: str = ""
    rows: tuple[LegendRow, ...] = ()
    min_confidence: float = 0.0
    histogram: tuple[int, ...] = ()
    cells: int = 0


class LegendController(Observed[LegendState]):
    """Paints cell types, live while they arrive, and edits how they are shown."""

    def __init__(self, viewer_state: ViewerState, painter: Painter) -> None:
        super().__init__(LegendState())
        self._viewer_state = viewer_state
        self._painter = painter
        self._labels = LabelSet(())
        self._best = np.zeros(0, dtype=np.int64)
        self._confidence = np.zeros(0, dtype=np.float32)
        self._hidden: frozenset[int] = frozenset()
        viewer_state.section_changed.connect(lambda _: self._clear())
        viewer_state.result_changed.connect(self._on_result)
        viewer_state.label_selected.connect(self._on_label)

    def begin(self, key: str, labels: LabelSet, cells: int) -> None:
        """Show an annotation that is about to arrive: no cell has a type yet."""
        best = np.full(cells, UNKNOWN_CODE, dtype=np.int64)
        self._show(key, labels, best, np.zeros(cells, dtype=np.float32), 0.0)

    def add(self, parts: Sequence[PartialAnnotation]) -> None:
        """Colour the cells of some batches in."""
        rows = np.concatenate([part.rows for part in parts])
        self._best[rows] = np.concatenate([part.codes for part in parts])
        self._confidence[rows] = np.concatenate([part.confidence for part in parts])
        self._painter.update_categories(PAINTING, rows, self._drawn()[rows])
        self._refresh()

    def show_again(self) -> None:
        """Bring the cell types to the front."""
        if self.state.key:
            self._paint()

    def restore(self) -> None:
        """Show the viewer's result again after an unfinished run; without one, keep what came."""
        result = self._viewer_state.result
        if result is not None:
            self._best = np.zeros(0, dtype=np.int64)
            self._on_result(result)

    def isolate(self, name: str | None) -> None:
        """Draw one type in its colour and the others faintly; the same name again draws all."""
        self._viewer_state.select_label(None if name == self._viewer_state.label else name)
        if self.state.key:
            self._paint()

    def set_shown(self, code: int, shown: bool) -> None:
        """Draw a type, or not."""
        self._hidden = self._hidden - {code} if shown else self._hidden | {code}
        self._painter.set_hidden(PAINTING, self._hidden)
        self._refresh()

    def set_all_shown(self, shown: bool) -> None:
        """Draw all types, or none."""
        self._hidden = frozenset() if shown else frozenset(row.code for row in self.state.rows)
        self._painter.set_hidden(PAINTING, self._hidden)
        self._refresh()

    def set_color(self, name: str, color: str) -> None:
        """Give a type another colour, ``#rrggbb``; it is kept when the result is saved."""
        result = self._viewer_state.result
        if result is not None and name in result.annotation.labels.names:
            self._viewer_state.set_result(recoloured(result, name, color))

    def set_min_confidence(self, value: float) -> None:
        """Paint cells below ``value`` as Unassigned, at once; :meth:`settle` keeps the bound."""
        if value == self.state.min_confidence:
            return
        self._update(min_confidence=value)
        self._painter.update_categories(PAINTING, np.arange(len(self._best)), self._drawn())
        self._refresh()

    def settle(self) -> None:
        """Make the painted bound the result's own: TAGs follow it, and saving writes it."""
        result, value = self._viewer_state.result, self.state.min_confidence
        if result is not None and result.annotation.min_confidence != value:
            self._viewer_state.set_result(with_min_confidence(result, value))

    def _clear(self) -> None:
        self._best = np.zeros(0, dtype=np.int64)
        self._confidence = np.zeros(0, dtype=np.float32)
        self._labels = LabelSet(())
        self._hidden = frozenset()
        self._update(key="", rows=(), min_confidence=0.0, histogram=(), cells=0)

    def _on_result(self, result: AnnotationResult | None) -> None:
        if result is None:
            self._clear()
            return
        annotation = result.annotation
        best = annotation.probabilities.argmax(axis=1).astype(np.int64)
        same_codes = np.array_equal(best, self._best) and annotation.labels == self._labels
        if same_codes and result.key == self.state.key:
            self._confidence = annotation.confidence
            self.set_min_confidence(annotation.min_confidence)
            return
        confidence, bound = annotation.confidence, annotation.min_confidence
        self._show(result.key, annotation.labels, best, confidence, bound)

    def _on_label(self, label: str | None) -> None:
        if self.state.key:
            self._painter.isolate(PAINTING, self._isolated_code(label))
            self._refresh()

    def _show(
        self,
        key: str,
        labels: LabelSet,
        best: npt.NDArray[np.int64],
        confidence: npt.NDArray[np.float32],
        bound: float,
    ) -> None:
        if labels.names != self._labels.names:
            self._hidden = frozenset()
        self._labels, self._best, self._confidence = labels, best, confidence
        self._update(key=key, min_confidence=bound, cells=len(best))
        self._paint()
        self._refresh()

    def _paint(self) -> None:
        names, colors = self._labels.names, self._labels.colors
        if (self._best == UNKNOWN_CODE).any():
            names, colors = (*names, "not annotated yet"), (*colors, PENDING_COLOR)
        title = f"cell type · {self.state.key}"
        self._painter.paint_categories(PAINTING, title, self._drawn(), colors, names)
        self._painter.set_hidden(PAINTING, self._hidden)
        self._painter.isolate(PAINTING, self._isolated_code(self._viewer_state.label))

    def _drawn(self) -> npt.NDArray[np.int64]:
        """Codes as painted, (N,): a cell that has no type yet is drawn faintly, after all types."""
        codes = self._codes()
        return np.where(codes == UNKNOWN_CODE, len(self._labels), codes)

    def _codes(self) -> npt.NDArray[np.int64]:
        """Codes, (N,): the likeliest type, Unassigned where it is not likely enough."""
        unsure = (self._best >= 0) & (self._confidence < self.state.min_confidence)
        return np.where(unsure, UNASSIGNED_CODE, self._best)

    def _isolated_code(self, label: str | None) -> int | None:
        if label == UNASSIGNED:
            return UNASSIGNED_CODE
        return (
            None if label is None or label not in self._labels.names else self._labels.code(label)
        )

    def _refresh(self) -> None:
        """Count again."""
        counts = np.bincount(self._codes() - UNKNOWN_CODE, minlength=len(self._labels) + 2)[1:]
        names = (UNASSIGNED, *self._labels.names)
        colors = (UNASSIGNED_COLOR, *self._labels.colors)
        plain = [LegendRow(i - 1, names[i], colors[i], int(counts[i])) for i in range(len(names))]
        label = self._viewer_state.label
        rows = (
            replace(row, shown=row.code not in self._hidden, isolated=row.name == label)
            for row in plain
            if row.count or row.code >= 0
        )
        known = self._confidence[self._best >= 0]
        histogram = np.histogram(known, bins=BINS, range=(0.0, 1.0))[0]
        self._update(
            rows=tuple(sorted(rows, key=lambda row: (row.code < 0, -row.count))),
            histogram=tuple(int(count) for count in histogram),
        )
