"""The legend of cell types: live while they arrive, and bounded by how sure the model is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_tagscope.controllers.category_legend import CategoryLegend
from napari_tagscope.controllers.counted import CountedCells
from napari_tagscope.controllers.likeness import likeness_order
from napari_tagscope.controllers.painter import Painter
from napari_tagscope.controllers.stored import (
    own_names,
    recoloured,
    renamed,
    with_min_confidence,
)
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure
from tagscope.core.labels import LabelSet
from tagscope.errors import ArgumentError

if TYPE_CHECKING:
    from tagscope.api import Annotation, AnnotationResult, PartialAnnotation

PAINTING = "cell type"


class LegendController(CategoryLegend):
    """The cell types of the result on view."""

    painting = PAINTING

    def __init__(self, viewer_state: ViewerState, painter: Painter) -> None:
        super().__init__(viewer_state, painter)
        self._likeness: tuple[object, tuple[int, ...]] | None = None  # and what it was read from
        viewer_state.result_changed.connect(self._on_result)
        viewer_state.label_selected.connect(self._on_selected)

    @property
    def _selected(self) -> str | None:
        return self._viewer_state.label

    def _select(self, name: str | None) -> None:
        self._viewer_state.select_label(name)

    def begin(self, key: str, labels: LabelSet, cells: int) -> None:
        """Show an annotation that is about to arrive: no cell has a type yet."""
        self._show(key, labels, labels.names, CountedCells.unknown(cells, len(labels)))

    def add(self, parts: Sequence[PartialAnnotation]) -> None:
        """Colour the cells of some batches in."""
        rows = np.concatenate([part.rows for part in parts])
        codes = np.concatenate([part.codes for part in parts])
        self._counted.add(rows, codes, np.concatenate([part.confidence for part in parts]))
        self._painter.update_categories(self.painting, rows, self._counted.drawn(rows))
        self._refresh()

    def restore(self) -> None:
        """Show the viewer's result again after an unfinished run; without one, keep what came."""
        result = self._viewer_state.result
        if result is not None:
            self._counted = CountedCells.unknown(0, 0)
            self._on_result(result)

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

    def _refresh(self) -> None:
        self._update(histogram=tuple(int(count) for count in self._counted.histogram))
        super()._refresh()

    def _order(self, counts: Sequence[int]) -> Sequence[int]:
        result = self._viewer_state.result
        if self.state.order != "likeness" or result is None:
            return super()._order(counts)
        if own_names(result) != self._own_names:
            return super()._order(counts)
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
