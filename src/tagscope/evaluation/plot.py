"""Confusion, reliability and distances as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from tagscope.evaluation.agreement_result import LabelAgreement

_LONGEST_NAME = 30
# above this many types the counts inside the cells are no longer legible
_MOST_WITH_COUNTS = 25
_FEW_CELLS = 10


def confusion_figure(
    confusion: pd.DataFrame, *, rows: str = "true type", columns: str = "predicted label"
) -> Figure:
    """Rows of ``confusion`` as shares of each, the counts written inside; the axes' names are
    given.

    Drawn with the Agg canvas alone: no global state, so it is safe in any thread.
    """
    height, width = confusion.shape
    figure = Figure(figsize=(3.5 + 0.32 * width, 2.6 + 0.32 * height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    counts = confusion.to_numpy(dtype=np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(width), [_elided(c) for c in confusion.columns], rotation=90)
    axes.set_yticks(range(height), [_elided(r) for r in confusion.index])
    axes.set_xlabel(columns)
    axes.set_ylabel(rows)
    figure.colorbar(image, ax=axes, label="share of the row's cells", shrink=0.7)
    if max(height, width) <= _MOST_WITH_COUNTS:
        for row, column in zip(*np.nonzero(counts), strict=True):
            ink = "black" if shares[row, column] > 0.5 else "white"
            text = f"{int(counts[row, column]):,}"
            axes.text(column, row, text, ha="center", va="center", fontsize=6, color=ink)
    return figure


def agreement_figure(agreement: LabelAgreement) -> Figure:
    """Kinds of agreement as shares of a bar: of all cells, and of the cells of every label that
    any model gives, most cells first."""
    types = agreement.types.index
    codes = {name: code for code, name in enumerate(agreement.names)}
    of_bar = [("all cells", np.ones(len(agreement), np.bool_))]
    of_bar += [(str(name), (agreement.codes == codes[str(name)]).any(axis=0)) for name in types]
    figure = Figure(figsize=(7.5, 1.6 + 0.26 * len(of_bar)), layout="constrained")
    FigureCanvasAgg(figure)
    axes, left = figure.add_subplot(), np.zeros(len(of_bar))
    size = len(agreement.kinds)
    counts = np.array([np.bincount(agreement.kind[rows], minlength=size) for _, rows in of_bar])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for kind, (name, color) in enumerate(
        zip(agreement.kinds.names, agreement.kinds.colors, strict=True)
    ):
        if counts[:, kind].any():
            axes.barh(range(len(of_bar)), shares[:, kind], 0.8, left, color=color, label=name)
            left += shares[:, kind]
    names = [
        f"{_elided(name)} ({total:,})"
        for (name, _), total in zip(of_bar, counts.sum(axis=1), strict=True)
    ]
    axes.set_yticks(range(len(of_bar)), names)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="share of the cells that any model gives the label")
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    return figure


def reliability_figure(curve: pd.DataFrame) -> Figure:
    """Accuracy against confidence, and how many cells have each (``reliability_curve``).

    Bins of fewer than ten cells, which say little, are pale.
    """
    figure = Figure(figsize=(4.2, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    width, middle = curve["high"] - curve["low"], (curve["high"] + curve["low"]) / 2
    colors = np.where(curve["cells"] < _FEW_CELLS, "#d6ebf8", "#56b4e9")
    above.bar(middle, curve["accuracy"], width, color=colors, edgecolor="white")
    above.plot([0, 1], [0, 1], color="0.4", linestyle="--", linewidth=1, label="honest")
    above.plot(curve["confidence"], curve["accuracy"], "o", color="#d55e00", label="mean of a bin")
    above.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of right labels")
    above.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=8)
    error = (curve["cells"] * (curve["accuracy"] - curve["confidence"]).abs()).sum()
    figure.suptitle(f"expected calibration error {error / curve['cells'].sum():.3f}", fontsize=9)
    below.bar(middle, curve["cells"], width, color="0.6", edgecolor="white")
    below.set(xlabel="confidence", ylabel="cells")
    return figure


def distance_figure(distances: pd.DataFrame, metric: str) -> Figure:
    """Distances of query groups (rows) to reference types; a dot marks the nearest type."""
    rows, columns = distances.shape
    figure = Figure(figsize=(3.5 + 0.32 * columns, 2.6 + 0.32 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    values = distances.to_numpy(dtype=np.float64)
    image = axes.imshow(values, cmap="cividis_r", vmin=0, aspect="auto")
    axes.plot(values.argmin(axis=1), range(rows), "o", color="white", markersize=4)
    axes.set_xticks(range(columns), [_elided(c) for c in distances.columns], rotation=90)
    axes.set_yticks(range(rows), [_elided(r) for r in distances.index])
    axes.set_xlabel("reference type")
    axes.set_ylabel("query group")
    figure.colorbar(image, ax=axes, label=f"{metric} distance of centroids", shrink=0.7)
    return figure


def _elided(name: object) -> str:
    text = str(name)
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"
