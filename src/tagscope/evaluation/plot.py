"""The confusion matrix as a picture."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_LONGEST_NAME = 30
# above this many types the counts inside the cells are no longer legible
_MOST_WITH_COUNTS = 25


def confusion_figure(confusion: pd.DataFrame) -> Figure:
    """Rows of ``confusion`` as shares of each true type, the counts written inside.

    Drawn with the Agg canvas alone: no global state, so it is safe in any thread.
    """
    rows, columns = confusion.shape
    figure = Figure(figsize=(3.5 + 0.32 * columns, 2.6 + 0.32 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    counts = confusion.to_numpy(dtype=np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(columns), [_elided(c) for c in confusion.columns], rotation=90)
    axes.set_yticks(range(rows), [_elided(r) for r in confusion.index])
    axes.set_xlabel("predicted label")
    axes.set_ylabel("true type")
    figure.colorbar(image, ax=axes, label="share of the true type's cells", shrink=0.7)
    if max(rows, columns) <= _MOST_WITH_COUNTS:
        for row, column in zip(*np.nonzero(counts), strict=True):
            ink = "black" if shares[row, column] > 0.5 else "white"
            text = f"{int(counts[row, column]):,}"
            axes.text(column, row, text, ha="center", va="center", fontsize=6, color=ink)
    return figure


def _elided(name: object) -> str:
    text = str(name)
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"
