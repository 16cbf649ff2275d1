"""Deletion and insertion curves, and the areas under them by type."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tagscope.interpret.heatmap import elided

if TYPE_CHECKING:
    from tagscope.interpret.faithfulness_report import FaithfulnessReport

# Okabe and Ito (2008); every order has its own marker too
_STYLES = {
    "attention": ("#d55e00", "o"),
    "random": ("#7f7f7f", "s"),
    "expression": ("#0072b2", "^"),
}
_NAMES = {
    "attention": "most attention first",
    "random": "random genes",
    "expression": "most expressed first",
}
_FONT_SIZE = 7.0


def faithfulness_figure(report: FaithfulnessReport) -> Figure:
    """Above the curves over all cells, deletion and insertion; below the areas by type.

    Bands and bars are 95 % intervals over cells (1.96 standard errors).
    """
    types = list(dict.fromkeys(report.areas["type"]))
    figure = Figure(figsize=(7.0, 3.0 + 1.1 + 0.16 * len(types)))
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(3.0, 1.1 + 0.16 * len(types)))
    for column, test in enumerate(("deletion", "insertion")):
        _draw_curves(figure.add_subplot(grid[0, column]), report.curves, types[0], test)
        axes = figure.add_subplot(grid[1, column])
        _draw_areas(axes, report.areas[report.areas["test"] == test], types, test)
        if column:
            axes.set_yticklabels([])
    return figure


def _draw_curves(axes: Axes, curves: pd.DataFrame, everything: str, test: str) -> None:
    chosen = curves[(curves["type"] == everything) & (curves["test"] == test)]
    for order, rows in chosen.groupby("order", sort=False):
        color, marker = _STYLES[str(order)]
        places = np.arange(len(rows))
        mean, error = rows["probability"], 1.96 * rows["probability_se"].fillna(0)
        axes.fill_between(places, mean - error, mean + error, color=color, alpha=0.2, linewidth=0)
        axes.plot(places, mean, color=color, marker=marker, markersize=3.5, linewidth=1.2,
                  label=_NAMES[str(order)])  # fmt: skip
        axes.plot(places, rows["label_kept"], color=color, linestyle=":", linewidth=1)
    axes.plot([], [], color="black", linestyle=":", linewidth=1, label="share keeping the label")
    percent = chosen["percent"].drop_duplicates()
    axes.set_xticks(range(len(percent)), [f"{p:g}" for p in percent])
    axes.set_ylim(0, 1.02)
    word = "hidden" if test == "deletion" else "shown"
    axes.set_xlabel(f"% of the cell's genes {word}", fontsize=_FONT_SIZE)
    axes.set_ylabel("probability of the label", fontsize=_FONT_SIZE)
    title = "Deletion: low is faithful" if test == "deletion" else "Insertion: high is faithful"
    axes.set_title(title, fontsize=_FONT_SIZE + 1)
    if test == "deletion":  # its lower left corner is empty
        axes.legend(fontsize=_FONT_SIZE - 1, frameon=False, loc="lower left")
    _plain(axes)


def _draw_areas(axes: Axes, areas: pd.DataFrame, types: list[str], test: str) -> None:
    for offset, order in zip((-0.22, 0.0, 0.22), _STYLES, strict=True):
        color, marker = _STYLES[order]
        rows = areas[areas["order"] == order].set_index("type").loc[types]
        axes.errorbar(
            rows["area"], np.arange(len(types)) + offset, xerr=1.96 * rows["area_se"].fillna(0),
            color=color, marker=marker, linestyle="", markersize=3, elinewidth=0.7,
        )  # fmt: skip
    counts = areas.drop_duplicates("type").set_index("type")["cells"]
    names = [f"{elided(name)} ({counts[name]})" for name in types]
    axes.set_yticks(range(len(types)), names)
    axes.set_ylim(len(types) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel(f"area under the {test} curve", fontsize=_FONT_SIZE)
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.tick_params(labelsize=_FONT_SIZE)
    axes.spines[["top", "right"]].set_visible(False)
