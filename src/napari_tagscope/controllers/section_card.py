"""What was found in a section, in a few rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tagscope.api import OpenedSection

_OTHER_VALUES = {True: "log-normalised", False: "not raw counts"}


@dataclass(frozen=True)
class Card:
    """What was found: ``rows`` are a name and a value with its unit."""

    title: str
    path: str
    rows: tuple[tuple[str, str], ...]


def describe(opened: OpenedSection) -> Card:
    """What was found in a section, with units."""
    section, source = opened.section, opened.source
    counts = not section.cells.normalised and not any(f.severity == "error" for f in opened.notes)
    values = "raw counts" if counts else _OTHER_VALUES[section.cells.normalised]
    shapes = {"polygons": section.outlines, "label image": section.labels}
    outlines = " and ".join(name for name, found in shapes.items() if found is not None)
    low, high = np.nanmin(section.xy, axis=0), np.nanmax(section.xy, axis=0)
    width, height = high - low
    rows = [
        ("Cells", f"{len(section):,}"),
        ("Genes", f"{len(section.panel):,}"),
        ("Technology", source.technology),
        ("Extent", f"{width:,.0f} × {height:,.0f} {_unit(section.unit)}"),
        ("Shapes", outlines or "centroids only"),
        ("Values", f"{values} in {source.layer or 'X'}"),
    ]
    if section.pieces is not None:
        rows.insert(2, ("Sections", f"{len(section.pieces.names):,} side by side"))
    if counts:
        rows.append(("Median", f"{np.median(section.cells.totals):,.0f} counts"))
    if source.table is not None:
        rows.append(("Table", source.table))
    return Card(source.path.stem, str(source.path), tuple(rows))


def _unit(unit: str) -> str:
    return "(unit unknown)" if unit == "unknown" else unit
