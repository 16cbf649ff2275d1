"""The legend: how many cells each type has, which are shown, in what colour, and how sure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from napari_tagscope.controllers.counted import UNASSIGNED_CODE, CountedCells
from napari_tagscope.controllers.likeness import likeness_order
from napari_tagscope.controllers.observed import Observed
from napari_tagscope.controllers.painter import Painter
from napari_tagscope.controllers.per_section import PerSection
from napari_tagscope.controllers.stored import (
    own_names,
    recoloured,
    renamed,
    with_min_confidence,
)
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure
from tagscope.core.labels import UNASSIGNED, UNASSIGNED_COLOR, LabelSet
from tagscope.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tagscope.api import Annotation, AnnotationResult, OpenedSection, PartialAnnotation

PAINTING = "cell type"
PENDING_COLOR = "#7f7f7f38"
Order = Literal["cells", "name", "model", "likeness"]


@dataclass(frozen=True)
class LegendRow:
    """One type. ``code`` is its position in the labels, −1 for Unassigned; ``own_name`` is the
    model's, "" where it is the one shown."""

    code: int
    name: str
    color: str
    count: int
    shown: bool = True
    isolated: bool = False
    own_name: str = ""


@dataclass(frozen=True)
class LegendState:
    """What the legend shows. ``histogram`` (20,) counts cells by confidence, 0 to 1."""

    key: str = ""
    rows: tuple[LegendRow, ...] = ()
    order: Order = "cells"
    min_confidence: float = 0.0
    histogram: tuple[int, ...] = ()
    cells: int = 0
    failure: Failure | None = None


@dataclass(frozen=True)
class _Listed:
    """How the types of a section are listed, and codes of those not drawn, while it has types of
    these names; the bound on confidence is the result's own."""

    own_names: tuple[str, ...] = ()
    hidden: frozenset[int] = frozenset()
    order: Order = "cells"


class LegendController(Observed[LegendState]):
    """Paints cell types, live while they arrive, and edits how they are shown.

    A section that is left and shown again has its types listed and hidden as they were.
    """

    def __init__(self, viewer_state: ViewerState, painter: Painter) -> None:
        super().__init__(LegendState())
        self._viewer_state = viewer_state
        self._painter = painter
        self._labels = LabelSet(())
        self._own_names: tuple[str, ...] = ()
        self._counted = CountedCells.unknown(0, 0)
        self._hidden: frozenset[int] = frozenset()
        self._likeness: tuple[object, tuple[int, ...]] | None = None  # and what it was read from
        self._left: PerSection[_Listed] = PerSection()
        viewer_state.section_changed.connect(self._on_section)
        viewer_state.result_changed.connect(self._on_result)
        viewer_state.label_selected.connect(self._on_label)

    def begin(self, key: str, labels: LabelSet, cells: int) -> None:
        """Show an annotation that is about to arrive: no cell has a type yet."""
        self._show(key, labels, labels.names, CountedCells.unknown(cells, len(labels)))

    def add(self, parts: Sequence[PartialAnnotation]) -> None:
        """Colour the cells of some batches in."""
        rows = np.concatenate([part.rows for part in parts])
        codes = np.concatenate([part.codes for part in parts])
        self._counted.add(rows, codes, np.concatenate([part.confidence for part in parts]))
        self._painter.update_categories(PAINTING, rows, self._counted.drawn(rows))
        self._refresh()

    def show_again(self) -> None:
        """Bring the cell types to the front."""
        if self.state.key:
            self._paint()

    def restore(self) -> None:
        """Show the viewer's result again after an unfinished run; without one, keep what came."""
        result = self._viewer_state.result
        if result is not None:
            self._counted = CountedCells.unknown(0, 0)
            self._on_result(result)

    def isolate(self, name: str | None) -> None:
        """Draw one type in its colour and the others faintly; the same name again draws all."""
        self._viewer_state.select_label(None if name == self._viewer_state.label else name)
        if self.state.key:
            self._paint()

    def sort(self, order: Order) -> None:
        """List the types by their number of cells, their names, the model's order, or likeness."""
        self._update(order=order)
        self._refresh()

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

    def rename(self, name: str, shown: str) -> None:
        """Give a type another name; it is kept when the result is saved, beside the model's own."""
        result, shown = self._viewer_state.result, shown.strip()
        self._update(failure=None)
        if result is None or shown == name:
            return
        try:
            other = renamed(result, name, shown)
        except ArgumentError as error:
            self._update(failure=Failure(error))
            return
        selected = self._viewer_state.label == name
        self._viewer_state.set_result(other)
        if selected:
            self._viewer_state.select_label(shown)

    def set_min_confidence(self, value: float) -> None:
        """Paint cells below ``value`` as Unassigned, at once; :meth:`settle` keeps the bound."""
        if value == self.state.min_confidence:
            return
        rows, codes = self._counted.move(value)
        self._update(min_confidence=value)
        self._repaint(rows, codes)

    def settle(self) -> None:
        """Make the painted bound the result's own: TAGs follow it, and saving writes it."""
        result, value = self._viewer_state.result, self.state.min_confidence
        if result is not None and result.annotation.min_confidence != value:
            self._viewer_state.set_result(with_min_confidence(result, value))

    def _on_section(self, opened: OpenedSection | None) -> None:
        order = self.state.order
        listed = self._left.exchange(opened, _Listed(self._own_names, self._hidden, order))
        listed = listed or _Listed(order=order)
        self._own_names, self._hidden = listed.own_names, listed.hidden
        self._clear()
        self._update(order=listed.order)

    def _clear(self) -> None:
        """Show no types; those hidden are so still when types of the same names come."""
        self._counted = CountedCells.unknown(0, 0)
        self._labels = LabelSet(())
        self._update(key="", rows=(), min_confidence=0.0, histogram=(), cells=0, failure=None)

    def _on_result(self, result: AnnotationResult | None) -> None:
        if result is None:
            self._clear()
            return
        annotation, before = result.annotation, self._counted
        labels, counted = annotation.labels, _counted(annotation, before)
        same = labels == self._labels and np.array_equal(counted.likeliest, before.likeliest)
        if same and result.key == self.state.key:
            rows = np.flatnonzero(counted.codes != before.codes)
            self._counted = counted
            self._update(min_confidence=counted.bound)
            self._repaint(rows, counted.codes[rows])
            return
        self._show(result.key, labels, own_names(result), counted)

    def _on_label(self, label: str | None) -> None:
        if self.state.key:
            self._painter.isolate(PAINTING, self._isolated_code(label))
            self._refresh()

    def _show(
        self, key: str, labels: LabelSet, own: tuple[str, ...], counted: CountedCells
    ) -> None:
        if own != self._own_names:
            self._hidden = frozenset()
        self._labels, self._own_names, self._counted = labels, own, counted
        self._update(key=key, min_confidence=counted.bound, cells=len(counted), failure=None)
        self._paint()
        self._refresh()

    def _paint(self) -> None:
        names, colors = self._labels.names, self._labels.colors
        if self._counted.pending:
            names, colors = (*names, "not annotated yet"), (*colors, PENDING_COLOR)
        title = f"cell type · {self.state.key}"
        self._painter.paint_categories(PAINTING, title, self._counted.drawn(), colors, names)
        self._painter.set_hidden(PAINTING, self._hidden)
        self._painter.isolate(PAINTING, self._isolated_code(self._viewer_state.label))

    def _repaint(self, rows: npt.NDArray[np.int64], codes: npt.NDArray[np.int64]) -> None:
        if len(rows):
            self._painter.update_categories(PAINTING, rows, codes)
        self._refresh()

    def _isolated_code(self, label: str | None) -> int | None:
        if label == UNASSIGNED:
            return UNASSIGNED_CODE
        return (
            None if label is None or label not in self._labels.names else self._labels.code(label)
        )

    def _refresh(self) -> None:
        """Show the counts in the order wanted."""
        histogram = tuple(int(count) for count in self._counted.histogram)
        self._update(rows=self._rows(), histogram=histogram)

    def _rows(self) -> tuple[LegendRow, ...]:
        shown, colors, own = self._labels.names, self._labels.colors, self._own_names
        counts = self._counted.counts.tolist()
        types = [
            LegendRow(code, shown[code], colors[code], counts[code],
                      own_name="" if own[code] == shown[code] else own[code])
            for code in self._order(counts)
        ]  # fmt: skip
        if self._counted.unassigned:
            unassigned = self._counted.unassigned
            types.append(LegendRow(UNASSIGNED_CODE, UNASSIGNED, UNASSIGNED_COLOR, unassigned))
        label, hidden = self._viewer_state.label, self._hidden
        return tuple(
            replace(row, shown=row.code not in hidden, isolated=row.name == label) for row in types
        )

    def _order(self, counts: Sequence[int]) -> Sequence[int]:
        """Codes of all types as they are listed."""
        codes, order = range(len(counts)), self.state.order
        if order == "cells":
            return sorted(codes, key=lambda code: -counts[code])
        if order == "name":
            return sorted(codes, key=lambda code: self._labels.names[code].casefold())
        result = self._viewer_state.result
        if order == "model" or result is None or own_names(result) != self._own_names:
            return codes
        if self._likeness is None or self._likeness[0] is not result.annotation.probabilities:
            probabilities = result.annotation.probabilities
            self._likeness = probabilities, likeness_order(probabilities)
        return self._likeness[1]


def _counted(annotation: Annotation, before: CountedCells) -> CountedCells:
    """The cells counted, not anew where names or colours alone are others."""
    likeliest, bound = annotation.likeliest, annotation.min_confidence
    if likeliest is before.likeliest and bound == before.bound:
        return before
    return CountedCells(likeliest, annotation.confidence, bound, len(annotation.labels))
