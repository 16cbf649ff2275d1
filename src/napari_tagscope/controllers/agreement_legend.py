"""The legend of the agreement map: painted when models were compared, and kept up to date."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_tagscope.controllers.category_legend import CategoryLegend
from napari_tagscope.controllers.domain_legend import counted
from napari_tagscope.controllers.painter import Painter
from napari_tagscope.controllers.stored import refuse_name
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure
from tagscope.core.labels import LabelSet
from tagscope.errors import ArgumentError

if TYPE_CHECKING:
    from tagscope.api import LabelAgreement

PAINTING = "agreement"


class AgreementLegend(CategoryLegend):
    """The kinds of agreement of the comparison on view."""

    painting = PAINTING

    def __init__(self, viewer_state: ViewerState, painter: Painter) -> None:
        super().__init__(viewer_state, painter)
        self._isolated: str | None = None
        viewer_state.agreement_changed.connect(self._on_agreement)

    def set_color(self, name: str, color: str) -> None:
        """Give a kind another colour, which is kept when models are compared again."""
        kinds = self._labels
        if name in kinds.names:
            colors = [
                color if one == name else own
                for one, own in zip(kinds.names, kinds.colors, strict=True)
            ]
            self._show_as(LabelSet(kinds.names, tuple(colors)))

    def rename(self, name: str, shown: str) -> None:
        """Give a kind another name, which is kept when models are compared again."""
        kinds, shown = self._labels, shown.strip()
        self._update(failure=None)
        if shown == name or name not in kinds.names:
            return
        try:
            refuse_name(shown, kinds)
        except ArgumentError as error:
            self._update(failure=Failure(error))
            return
        names = tuple(shown if one == name else one for one in kinds.names)
        self._show_as(LabelSet(names, kinds.colors))

    @property
    def _selected(self) -> str | None:
        return self._isolated

    def _select(self, name: str | None) -> None:
        self._isolated = name
        self._on_selected(name)

    def _show_as(self, kinds: LabelSet) -> None:
        found = self._viewer_state.agreement
        if found is not None:
            self._viewer_state.set_agreement(replace(found, kinds=kinds))

    def _on_agreement(self, found: LabelAgreement | None) -> None:
        if found is None:
            self._isolated = None
            self._clear()
            return
        key, before = ", ".join(found.models), self._counted
        if key == self.state.key and found.kinds == self._labels:
            rows = np.flatnonzero(found.kind != before.codes)
            self._counted = counted(found.kinds, found.kind)
            self._repaint(rows, found.kind[rows])
            return
        own = found.kinds.names if key != self.state.key else self._own_names
        self._show(key, found.kinds, own, counted(found.kinds, found.kind))
