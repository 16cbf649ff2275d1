"""What legends have in common: how many cells each category has, which are drawn, in what order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from napari_tagscope.controllers.counted import UNASSIGNED_CODE, CountedCells
from napari_tagscope.controllers.observed import Observed
from napari_tagscope.controllers.painter import Painter
from napari_tagscope.controllers.per_section import PerSection
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure
from tagscope.core.labels import UNASSIGNED, UNASSIGNED_COLOR, LabelSet

if TYPE_CHECKING:
    from tagscope.api import OpenedSection

PENDING_COLOR = "#7f7f7f38"
Order = Literal["cells", "name", "model", "likeness"]


@dataclass(frozen=True)
class LegendRow:
    """One category. ``code`` is its position in the labels, −1 for Unassigned; ``own_name`` is the
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
    """How the categories of a section are listed, and codes of those not drawn, while it has some
    of these names; the bound on confidence is the result's own."""

    own_names: tuple[str, ...] = ()
    hidden: frozenset[int] = frozenset()
    order: Order = "cells"


class CategoryLegend(Observed[LegendState], ABC):
    """Paints a category per cell under the name ``painting``, and edits how they are shown.

    A section that is left and shown again has its categories listed and hidden as they were.
    """

    painting = ""

    def __init__(self, viewer_state: ViewerState, painter: Painter) -> None:
        super().__init__(LegendState())
        self._viewer_state = viewer_state
        self._painter = painter
        self._labels = LabelSet(())
        self._own_names: tuple[str, ...] = ()
        self._counted = CountedCells.unknown(0, 0)
        self._hidden: frozenset[int] = frozenset()
        self._left: PerSection[_Listed] = PerSection()
        viewer_state.section_changed.connect(self._on_section)

    @property
    @abstractmethod
    def _selected(self) -> str | None:
        """Name of the category selected in the viewer."""

    @abstractmethod
    def _select(self, name: str | None) -> None:
        """Select a category in the viewer."""

    @abstractmethod
    def set_color(self, name: str, color: str) -> None:
        """Give a category another colour, ``#rrggbb``; it is kept when the result is saved."""

    @abstractmethod
    def rename(self, name: str, shown: str) -> None:
        """Give a category another name; it is kept when the result is saved."""

    def show_again(self) -> None:
        """Bring the categories to the front."""
        if self.state.key:
            self._paint()

    def isolate(self, name: str | None) -> None:
        """Draw one category in its colour, the others faintly; the same name again draws all."""
        self._select(None if name == self._selected else name)
        if self.state.key:
            self._paint()

    def sort(self, order: Order) -> None:
        """List them by their number of cells, their names, the model's order, or likeness."""
        self._update(order=order)
        self._refresh()

    def set_shown(self, code: int, shown: bool) -> None:
        """Draw a category, or not."""
        self._hidden = self._hidden - {code} if shown else self._hidden | {code}
        self._painter.set_hidden(self.painting, self._hidden)
        self._refresh()

    def set_all_shown(self, shown: bool) -> None:
        """Draw all categories, or none."""
        self._hidden = frozenset() if shown else frozenset(row.code for row in self.state.rows)
        self._painter.set_hidden(self.painting, self._hidden)
        self._refresh()

    def _on_section(self, opened: OpenedSection | None) -> None:
        order = self.state.order
        listed = self._left.exchange(opened, _Listed(self._own_names, self._hidden, order))
        listed = listed or _Listed(order=order)
        self._own_names, self._hidden = listed.own_names, listed.hidden
        self._clear()
        self._update(order=listed.order)

    def _clear(self) -> None:
        """Show none; those hidden are so still when some of the same names come."""
        self._counted = CountedCells.unknown(0, 0)
        self._labels = LabelSet(())
        self._update(key="", rows=(), min_confidence=0.0, histogram=(), cells=0, failure=None)

    def _on_selected(self, name: str | None) -> None:
        if self.state.key:
            self._painter.isolate(self.painting, self._isolated_code(name))
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
        title = f"{self.painting} · {self.state.key}"
        self._painter.paint_categories(self.painting, title, self._counted.drawn(), colors, names)
        self._painter.set_hidden(self.painting, self._hidden)
        self._painter.isolate(self.painting, self._isolated_code(self._selected))

    def _repaint(self, rows: npt.NDArray[np.int64], codes: npt.NDArray[np.int64]) -> None:
        if len(rows):
            self._painter.update_categories(self.painting, rows, codes)
        self._refresh()

    def _isolated_code(self, name: str | None) -> int | None:
        if name == UNASSIGNED:
            return UNASSIGNED_CODE
        return None if name is None or name not in self._labels.names else self._labels.code(name)

    def _refresh(self) -> None:
        """Show the counts in the order wanted."""
        self._update(rows=self._rows())

    def _rows(self) -> tuple[LegendRow, ...]:
        shown, colors, own = self._labels.names, self._labels.colors, self._own_names
        counts = self._counted.counts.tolist()
        rows = [
            LegendRow(code, shown[code], colors[code], counts[code],
                      own_name="" if own[code] == shown[code] else own[code])
            for code in self._order(counts)
        ]  # fmt: skip
        if self._counted.unassigned:
            unassigned = self._counted.unassigned
            rows.append(LegendRow(UNASSIGNED_CODE, UNASSIGNED, UNASSIGNED_COLOR, unassigned))
        selected, hidden = self._selected, self._hidden
        return tuple(
            replace(row, shown=row.code not in hidden, isolated=row.name == selected)
            for row in rows
        )

    def _order(self, counts: Sequence[int]) -> Sequence[int]:
        """Codes of all categories as they are listed."""
        codes, order = range(len(counts)), self.state.order
        if order == "cells":
            return sorted(codes, key=lambda code: -counts[code])
        if order == "name":
            return sorted(codes, key=lambda code: self._labels.names[code].casefold())
        return codes
