"""Heatmaps of mean scores: TAGs by group, slots by group, slot programs.

Drawn with matplotlib's objects and the Agg canvas: no pyplot, so it is safe in any thread.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tagscope.errors import ArgumentError
from tagscope.io.atomic import written_whole

PICTURES = (".png", ".svg", ".pdf")
_RC: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "tagscope", "pdf.fonttype": 42}
_COLORS = "cividis"  # Nuñez et al. 2018: the same with every kind of colour vision
_CELL = 0.13  # inches: a name of 6.5 points fits beside it
_FONT_SIZE = 6.5
_LONGEST_NAME = 28
_MOST_NUMBERED = 25  # above this many columns a number no longer fits into its field


def tag_heatmap(
    means: pd.DataFrame,
    by: str,
    *,
    top: int = 5,
    scaled: bool = False,
    label: str = "mean attention",
) -> Figure:
    """Mean scores, rows genes, columns groups.

    ``means`` (genes, groups). The genes are the union of each group's ``top``, each placed at the
    group that has the most of it, so that a group's own genes lie on the diagonal. ``scaled``
    divides each gene by its highest mean.
    """
    values = means.loc[diagonal_order(means, top)]
    if scaled:
        values = values.div(values.max(axis=1), axis=0)
        label += " / gene's highest"
    return heatmap(values, rows="gene", columns=by, label=label)


def diagonal_order(means: pd.DataFrame, top: int) -> list[str]:
    """Union of the ``top`` rows of every column, by the column where each is highest."""
    values = means.to_numpy(dtype=np.float64)
    order = np.argsort(-values, axis=0, kind="stable")[:top]
    listed = sorted({int(row) for column in order.T for row in column})
    listed = [row for row in listed if values[row].max() > 0]
    listed.sort(key=lambda row: (int(values[row].argmax()), -values[row].max()))
    return [str(means.index[row]) for row in listed]


def heatmap(
    values: pd.DataFrame, *, rows: str, columns: str, label: str, numbered: bool = False
) -> Figure:
    """A frame as fields of colour, 0 the darkest; ``numbered`` writes each number into its field.

    Every row and column is named; long names are elided.
    """
    height, width = values.shape
    numbered = numbered and width <= _MOST_NUMBERED
    cell = 2 * _CELL if numbered else _CELL
    figure = Figure(figsize=(2.6 + cell * max(width, 4), 1.9 + _CELL * max(height, 8)))
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    matrix = values.to_numpy(dtype=np.float64)
    image = axes.imshow(matrix, cmap=_COLORS, vmin=0, aspect="auto", interpolation="nearest")
    axes.set_xticks(range(width), [elided(c) for c in values.columns], rotation=90)
    axes.set_yticks(range(height), [elided(r) for r in values.index])
    axes.tick_params(labelsize=_FONT_SIZE, length=1.5, pad=1.5)
    axes.set_xlabel(columns, fontsize=_FONT_SIZE + 1)
    axes.set_ylabel(rows, fontsize=_FONT_SIZE + 1)
    bar = figure.colorbar(image, ax=axes, shrink=min(1.0, 8 / max(height, 8)), aspect=15)
    bar.set_label(label, fontsize=_FONT_SIZE + 1)
    bar.ax.tick_params(labelsize=_FONT_SIZE)
    if numbered:
        for (row, column), value in np.ndenumerate(matrix):
            ink = "black" if value > 0.5 * np.nanmax(matrix) else "white"
            axes.text(
                column, row, f"{value:.2f}",
                ha="center", va="center", color=ink, fontsize=_FONT_SIZE - 1.5,
            )  # fmt: skip
    return figure


def write_figure(figure: Figure, path: Path, *, overwrite: bool = False) -> Path:
    """Write a figure as PNG (200 dots an inch), SVG or PDF; it appears whole or not at all.

    Raises
    ------
    ArgumentError
        If the suffix is another.
    """
    require_picture(path)
    stamp = {"Date": None} if path.suffix.lower() == ".svg" else {}
    with written_whole(path, overwrite=overwrite) as beside, matplotlib.rc_context(_RC):
        figure.savefig(beside, dpi=200, metadata=stamp)
    return path


def require_picture(path: Path) -> None:
    """Refuse a path whose suffix is none of :data:`PICTURES`."""
    if path.suffix.lower() not in PICTURES:
        raise ArgumentError(
            f"A picture cannot be written as {path.name}.",
            f"Its name must end in {', '.join(PICTURES)}.",
            "Choose another name.",
        )


def elided(name: object) -> str:
    """A long name without its middle: names of one family differ at their ends."""
    text, half = str(name), (_LONGEST_NAME - 1) // 2
    return text if len(text) <= _LONGEST_NAME else f"{text[:half]}…{text[-half:]}"
