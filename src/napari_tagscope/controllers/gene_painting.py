"""A gene on the tissue: its attention and its expression, alone or beside each other."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_tagscope.controllers.contrast import limits_of
from napari_tagscope.controllers.expression import Expression
from napari_tagscope.controllers.painter import Painter
from napari_tagscope.state import ViewerState

Quantity = Literal["attention", "expression", "both"]
COLORMAPS = {"attention": "magma", "expression": "viridis"}
OF_ATTENTION = "level 1, mean over heads"
SCORE = "attention score"
Tops = tuple[tuple[str, float, str], ...]


class GenePainting:
    """Paints genes of the open section; ``expression`` is None until it has been read."""

    def __init__(self, viewer_state: ViewerState, painter: Painter) -> None:
        self._viewer_state = viewer_state
        self._painter = painter
        self._painted: dict[str, npt.NDArray[np.float32]] = {}
        self.expression: Expression | None = None

    def forget(self) -> None:
        """Forget what was painted and read: another section is open."""
        self._painted, self.expression = {}, None

    def paint(self, gene: str, chosen: Quantity, percentile: float) -> Tops:
        """Paint a gene, "" for none, as far as its values are known; as :meth:`end_colors`."""
        wanted = (COLORMAPS if chosen == "both" else (chosen,)) if gene else ()
        found = {quantity: self._values(gene, quantity) for quantity in wanted}
        self._painted = {name: values for name, values in found.items() if values is not None}
        again = self._painter.on_view(*self._painted)
        with nullcontext() if again else self._painter.at_once():
            for quantity, values in self._painted.items():
                facts, unit = self._said_of(quantity)
                self._painter.paint_values(
                    quantity, f"{quantity} · {gene}", values, colormap=COLORMAPS[quantity],
                    facts=facts, unit=unit, alone=not again,
                )  # fmt: skip
            tops = self.end_colors(percentile)
            if len(self._painted) > 1 and not again:
                self._painter.show_beside(*self._painted)
        return tops

    def end_colors(self, percentile: float) -> Tops:
        """End the colours of what is painted at a percentile of the values above 0.

        Which quantities they are, and the values there with their unit; attention has none.
        """
        tops = []
        for quantity, values in self._painted.items():
            limits = limits_of(values, percentile)
            if limits is not None:
                self._painter.set_limits(quantity, *limits)
                known = self.expression if quantity == "expression" else None
                tops.append((quantity, limits[1], known.unit if known else ""))
        return tuple(tops)

    def _said_of(self, quantity: str) -> tuple[str, str]:
        """What stands below the title of a painted quantity, and the unit at its colour bar."""
        if quantity == "expression" and self.expression is not None:
            return self.expression.unit, self.expression.unit_at_bar
        result = self._viewer_state.result
        return ("" if result is None else f"{OF_ATTENTION}, {result.key}"), SCORE

    def _values(self, gene: str, quantity: str) -> npt.NDArray[np.float32] | None:
        opened, result = self._viewer_state.opened, self._viewer_state.result
        if quantity == "expression":
            if opened is None or self.expression is None:
                return None
            return self.expression.of(opened.section.panel.position(gene, ensembl=gene))
        if result is None or result.gene_scores is None:
            return None
        if result.gene_scores.panel.position(gene) < 0:
            return np.full(len(result.annotation.ids), np.nan, dtype=np.float32)
        return result.gene_scores.column(gene)
