"""The legend of domains: painted as they are found, and edited."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_tagscope.controllers.category_legend import CategoryLegend
from napari_tagscope.controllers.counted import CountedCells
from napari_tagscope.controllers.domain_edits import DomainEdits
from napari_tagscope.controllers.painter import Painter
from napari_tagscope.state import ViewerState
from tagscope.core.labels import LabelSet

if TYPE_CHECKING:
    from tagscope.api import DomainMap

PAINTING = "domain"


class DomainLegend(CategoryLegend):
    """The domains on view."""

    painting = PAINTING

    def __init__(self, viewer_state: ViewerState, painter: Painter, edits: DomainEdits) -> None:
        super().__init__(viewer_state, painter)
        self._edits = edits
        viewer_state.domains_changed.connect(self._on_domains)
        viewer_state.domain_selected.connect(self._on_selected)

    def preview(self, found: DomainMap) -> None:
        """Show the best of a clustering so far; the domains on view stay the viewer's."""
        self._on_domains(found)

    def restore(self) -> None:
        """Show the viewer's domains again after a clustering that was not ended."""
        if self._viewer_state.domains is not None:
            self._on_domains(self._viewer_state.domains)

    def set_color(self, name: str, color: str) -> None:
        """Give a domain another colour, which is kept when it is saved."""
        self._edits.recolour(name, color)

    def rename(self, name: str, shown: str) -> None:
        """Give a domain another name, which is kept when it is saved, with the one it had."""
        self._edits.rename(name, shown)

    @property
    def _selected(self) -> str | None:
        return self._viewer_state.domain

    def _select(self, name: str | None) -> None:
        self._viewer_state.select_domain(name)

    def _on_domains(self, found: DomainMap | None) -> None:
        if found is None:
            self._clear()
            return
        labels = found.domains
        own = labels.names if labels.names != self._labels.names else self._own_names
        self._show(found.key, labels, own, counted(labels, found.codes))


def counted(labels: LabelSet, codes: npt.NDArray[np.int64]) -> CountedCells:
    """Cells that all belong to a domain for sure."""
    return CountedCells(codes, np.ones(len(codes), np.float32), 0.0, len(labels))
