"""What the deletion and insertion test found, as tables and as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tagscope.core.labels import LabelSet
from tagscope.io.atomic import written_whole

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TESTS = ("deletion", "insertion")
ORDERS = ("attention", "random", "expression")
ALL = "(all)"
AREAS_SUFFIX, PICTURE_SUFFIX = ".areas.csv", ".png"


@dataclass(frozen=True)
class Curves:
    """The curves of N cells, O orders and S steps, arrays that are filled as cells are done.

    ``probability`` (N, 2, O, S) of the cell's label, deletion first; ``kept`` likewise, 1 where the
    likeliest label is still that one; both are means over draws. ``shares`` (N, S) of the cell's
    genes that are hidden, or shown: 0 in the first step, 1 in the last.
    """

    probability: Floats
    kept: Floats
    shares: Floats

    @classmethod
    def empty(cls, cells: int, orders: int, steps: int) -> Curves:
        """Zeros."""
        shape = (cells, len(TESTS), orders, steps)
        return cls(np.zeros(shape), np.zeros(shape), np.zeros((cells, steps)))

    def put(self, positions: Ints, other: Curves) -> None:
        """Take over the curves of some cells."""
        self.probability[positions] = other.probability
        self.kept[positions] = other.kept
        self.shares[positions] = other.shares

    def set_ends(self, whole: Floats, nothing: tuple[Floats, Floats]) -> None:
        """The two ends that all orders share: the whole cell, and the cell without genes."""
        for test, (full, empty) in enumerate(((0, -1), (-1, 0))):
            self.probability[:, test, :, full] = whole[:, None]
            self.kept[:, test, :, full] = 1
            self.probability[:, test, :, empty] = nothing[0][:, None]
            self.kept[:, test, :, empty] = nothing[1][:, None]

    def add(
        self, test: int, order: int, step: int, weight: float, probability: Floats, kept: Floats
    ) -> None:
        """Add one draw, (N,) each."""
        self.probability[:, test, order, step] += weight * probability
        self.kept[:, test, order, step] += weight * kept

    def areas(self) -> Floats:
        """Area under each cell's curve of probability over share, (N, 2, O), from 0 to 1."""
        return np.asarray(np.trapezoid(self.probability, self.shares[:, None, None], axis=-1))


@dataclass(frozen=True)
class FaithfulnessReport:
    """How labels hang on the genes with the most attention.

    ``curves`` has one row per type, test, order and percentage; the type ``(all)`` stands for all
    cells of the sample, in which rare types weigh as much as common ones.

    - ``test``: ``deletion`` hides the first genes of the order, ``insertion`` shows them alone;
    - ``order``: by ``attention``, ``random`` (mean over draws), or by ``expression``;
    - ``percent`` of a cell's genes hidden or shown, ``share`` what it came to (a cell has whole
      genes, and at least one), ``cells``;
    - ``probability`` of the label that the whole cell got, mean over cells; ``label_kept``, share
      of cells whose likeliest label is still that one; ``…_se`` their standard errors over cells.

    ``areas`` has one row per type, test and order: ``area`` under the curve of probability over
    share, from 0 to 1, with its standard error; ``attention_minus``, the area by attention less
    this one, cell by cell, with its standard error. Attention is the more faithful the lower it
    is by deletion and the higher by insertion.
    """

    by: str
    curves: pd.DataFrame
    areas: pd.DataFrame

    @classmethod
    def of(
        cls, by: str, groups: LabelSet, codes: Ints, percent: Sequence[float], found: Curves
    ) -> FaithfulnessReport:
        """Average the curves of N cells by type; ``codes`` (N,) of their types."""
        steps = [0.0, *percent, 100.0]
        curves = pd.concat(
            [_curve_rows(name, rows, steps, found) for name, rows in _parts(groups, codes)],
            ignore_index=True,
        )
        areas = found.areas()
        measured = pd.concat(
            [_area_rows(name, areas[rows]) for name, rows in _parts(groups, codes)],
            ignore_index=True,
        )
        return cls(by, curves, measured)

    def to_text(self) -> str:
        """The areas over all cells, and of how many types attention is the better order."""
        lines = []
        for test, better in zip(TESTS, (-1, 1), strict=True):
            areas = self.areas[self.areas["test"] == test]
            overall = areas[areas["type"] == ALL]
            lines.append(f"{test} ({'lower' if better < 0 else 'higher'} is more faithful):")
            for row in overall.itertuples():
                lines.append(f"{row.order:>12}  area {row.area:.3f} ± {row.area_se:.3f}")
            for order in ORDERS[1:]:
                others = areas[(areas["order"] == order) & (areas["type"] != ALL)]
                wins = int((better * others["attention_minus"] > 0).sum())
                lines.append(f"{'':>12}  attention before {order} in {wins} of {len(others)} types")
        return "\n".join(lines)

    def write(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Write the curves as CSV, and beside it ``NAME.areas.csv`` and ``NAME.png``.

        Each file appears whole or not at all, the CSV last.
        """
        from tagscope.interpret.faithfulness_plot import faithfulness_figure
        from tagscope.interpret.heatmap import write_figure

        path = Path(path)
        figure = faithfulness_figure(self)
        with (
            written_whole(path, overwrite=overwrite) as of_curves,
            written_whole(path.with_suffix(AREAS_SUFFIX), overwrite=overwrite) as of_areas,
        ):
            write_figure(figure, path.with_suffix(PICTURE_SUFFIX), overwrite=overwrite)
            self.areas.to_csv(of_areas, index=False, float_format="%.6g")
            self.curves.to_csv(of_curves, index=False, float_format="%.6g")
        return path


def _parts(groups: LabelSet, codes: Ints) -> Iterator[tuple[str, Ints]]:
    """All cells, then those of every type that has any."""
    yield ALL, np.arange(len(codes))
    for code in np.unique(codes):
        yield groups.names[code], np.flatnonzero(codes == code)


def _curve_rows(name: str, rows: Ints, steps: Sequence[float], found: Curves) -> pd.DataFrame:
    share = found.shares[rows].mean(axis=0)
    frames = []
    for test, test_name in enumerate(TESTS):
        for order, order_name in enumerate(ORDERS):
            probability, kept = found.probability[rows, test, order], found.kept[rows, test, order]
            frames.append(
                pd.DataFrame(
                    {
                        "type": name,
                        "cells": len(rows),
                        "test": test_name,
                        "order": order_name,
                        "percent": steps,
                        "share": share,
                        "probability": probability.mean(axis=0),
                        "probability_se": _standard_error(probability),
                        "label_kept": kept.mean(axis=0),
                        "label_kept_se": _standard_error(kept),
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def _area_rows(name: str, areas: Floats) -> pd.DataFrame:
    """Areas (n, 2, O) of the cells of one type."""
    rows = []
    for test, test_name in enumerate(TESTS):
        by_attention = areas[:, test, ORDERS.index("attention")]
        for order, order_name in enumerate(ORDERS):
            own = areas[:, test, order]
            differs = order_name != "attention"
            less = by_attention - own if differs else np.full(len(own), np.nan)
            rows.append(
                {
                    "type": name,
                    "cells": len(areas),
                    "test": test_name,
                    "order": order_name,
                    "area": own.mean(),
                    "area_se": _standard_error(own),
                    "attention_minus": less.mean(),
                    "attention_minus_se": _standard_error(less),
                }
            )
    return pd.DataFrame(rows)


def _standard_error(values: Floats) -> Floats | float:
    """Standard error of the mean over the first axis; NaN for a single cell."""
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan) if values.ndim > 1 else np.nan
    error: Floats = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return error
