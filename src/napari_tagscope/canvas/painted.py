"""A painting with its layer and its legend."""

from __future__ import annotations

from napari_tagscope.canvas.layer import CellImage
from napari_tagscope.canvas.legend import LegendEntry, elide
from napari_tagscope.canvas.painting import Look, Painting
from napari_tagscope.canvas.values import UNASSIGNED_CODE, CategoryTable, Table
from tagscope.core.labels import UNASSIGNED, UNASSIGNED_COLOR

TRANSLUCENT = 0.45  # opacity that leaves types and nuclei to be told


class Painted:
    """A painting with its layer; ``categories`` are the names in its legend."""

    def __init__(
        self, painting: Painting, layer: CellImage, categories: tuple[str, ...] = ()
    ) -> None:
        self.painting = painting
        self.layer = layer
        self.categories = categories

    @property
    def table(self) -> Table:
        return self.painting.table

    def set_look(self, look: Look) -> None:
        """Draw the cells so when next painted."""
        self.painting.look = look
        self.layer.opacity = TRANSLUCENT if look == "translucent" else 1.0
        self.layer.set_outlined(look == "outlines")

    def legend_entries(self) -> list[LegendEntry]:
        """A line per category, and one for ``Unassigned``."""
        table = self.table
        if not isinstance(table, CategoryTable):
            return []
        codes = [*range(len(self.categories)), UNASSIGNED_CODE]
        names = [*self.categories, UNASSIGNED]
        colors = [*table.colors, UNASSIGNED_COLOR]
        counts = table.counts()
        return [
            LegendEntry(elide(names[code]), colors[code], int(counts[code]), not table.draws(code))
            for code in codes
        ]
