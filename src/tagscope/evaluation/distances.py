"""Which reference type each group of a query is nearest to, in the space of one model.

The question of founder cells (CellMemory, Wang et al. 2025, Genome Biology 26:178): from which
healthy type does a group of altered cells come?
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from tagscope.errors import ArgumentError
from tagscope.evaluation.embedded import EmbeddedCells, require_one_space
from tagscope.io.atomic import written_whole
from tagscope.jobs import JobContext

Metric = Literal["cosine", "euclidean"]
Doubles = npt.NDArray[np.float64]

_INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class DistanceConfig:
    """How to compare groups of a query with types of a reference."""

    metric: Metric = "cosine"
    """Distance that ranks the types; both are reported."""
    bootstraps: int = 200
    """Times that cells are drawn again, with replacement, for the intervals."""
    seed: int = 0
    """Seed of these draws."""

    def __post_init__(self) -> None:
        if self.metric not in ("cosine", "euclidean") or self.bootstraps < 1 or self.seed < 0:
            raise ArgumentError(
                f"Distances cannot be had with metric {self.metric!r}, {self.bootstraps} "
                f"bootstraps and seed {self.seed}.",
                "The metric is cosine or euclidean, bootstraps are at least 1, a seed at least 0.",
                "Give values within these bounds.",
                {"metric": None, "bootstraps": None, "seed": None},
            )


@dataclass(frozen=True)
class GroupDistances:
    """Distances between the centroids of query groups and of reference types.

    - ``pairs``: a row per ``group`` and ``type``: ``cosine`` (1 − the cosine between the two
      centroids) and ``euclidean`` distance, each with ``_low`` and ``_high``, the central 95 % of
      the bootstraps.
    - ``groups``: a row per group: ``cells``; ``spread`` (root mean square distance of its cells
      from their centroid) and ``spread_cosine`` (mean cosine distance from it); ``nearest`` type by
      ``config.metric`` with its ``distance``; ``second`` type; ``margin`` by which the second is
      farther; ``support``, the share of bootstraps with the same nearest type.
    - ``types``: ``cells``, ``spread`` and ``spread_cosine`` of every reference type.
    """

    pairs: pd.DataFrame
    groups: pd.DataFrame
    types: pd.DataFrame
    config: DistanceConfig
    by: str
    label: str

    def matrix(self, metric: Metric | None = None) -> pd.DataFrame:
        """Query groups (rows) × reference types (columns)."""
        wide = self.pairs.pivot(index="group", columns="type", values=metric or self.config.metric)
        return wide.loc[list(self.groups.index), list(self.types.index)]

    def to_text(self) -> str:
        """A line per group for a terminal."""
        width = max(len(str(group)) for group in self.groups.index)
        return "\n".join(
            f"{group!s:>{width}}  {row['cells']:7,} cells  nearest {row['nearest']} "
            f"({row['distance']:.3f}; {row['support']:.0%} of bootstraps)"
            + (f", then {row['second']} (+{row['margin']:.3f})" if row["second"] else "")
            for group, row in self.groups.iterrows()
        )

    def write(self, folder: Path | str, *, overwrite: bool = False) -> Path:
        """Write distances.csv, groups.csv, types.csv, distances.json and distances.png.

        The folder appears whole or not at all.
        """
        from tagscope.evaluation.plot import distance_figure  # drawing is slow to import

        folder = Path(folder)
        said = {**asdict(self.config), "by": self.by, "label": self.label}
        with written_whole(folder, overwrite=overwrite) as beside:
            beside.mkdir(exist_ok=True)
            self.pairs.to_csv(beside / "distances.csv", index=False, float_format="%.6g")
            self.groups.to_csv(beside / "groups.csv", float_format="%.6g")
            self.types.to_csv(beside / "types.csv", float_format="%.6g")
            (beside / "distances.json").write_text(json.dumps(said, indent=2) + "\n")
            figure = distance_figure(self.matrix(), self.config.metric)
            figure.savefig(beside / "distances.png", dpi=200)
        return folder


def group_distances(
    query: EmbeddedCells,
    reference: EmbeddedCells,
    config: DistanceConfig | None = None,
    *,
    by: str = "group",
    label: str = "type",
    context: JobContext | None = None,
) -> GroupDistances:
    """Compare the groups of a query with the types of a reference.

    A bootstrap draws the cells of every group and of every type again, so that its intervals hold
    the uncertainty of both centroids. Cells without a label are left out.

    Parameters
    ----------
    query, reference
        Cells whose ``labels`` are the groups and the types.
    by, label
        What these columns are called.

    Raises
    ------
    ArgumentError
        If the two were embedded by different models, or one of them has no labelled cell.
    """
    config, context = config or DistanceConfig(), context or JobContext()
    require_one_space(query, reference)
    groups, types = _by_label(query, by), _by_label(reference, label)
    rng = np.random.default_rng(config.seed)
    centres = {name: x.mean(axis=0) for name, x in groups.items()}
    founders = {name: x.mean(axis=0) for name, x in types.items()}
    found = _both(_stacked(centres), _stacked(founders))
    drawn: list[dict[str, Doubles]] = []
    for done in range(config.bootstraps):
        context.step("drawing cells again", done, config.bootstraps)
        drawn.append(_both(_stacked(_redrawn(groups, rng)), _stacked(_redrawn(types, rng))))
    context.step("drawing cells again", config.bootstraps, config.bootstraps)
    samples = {metric: np.stack([d[metric] for d in drawn]) for metric in found}
    return GroupDistances(
        pairs=_pairs(list(groups), list(types), found, samples),
        groups=_nearest(groups, list(types), found[config.metric], samples[config.metric]),
        types=_spreads(types).rename_axis(index="type"),
        config=config,
        by=by,
        label=label,
    )


def _by_label(cells: EmbeddedCells, column: str) -> dict[str, Doubles]:
    """Embedding of every label's cells, (n, D), in the order of names."""
    names = [str(name) for name in np.unique(cells.labels) if name]
    if not names:
        raise ArgumentError(
            f"No cell has a label in {column!r}.",
            "Groups of cells are needed.",
            "Choose another grouping or another label column.",
            {"by": None, "label": None},
        )
    return {name: cells.embedding[cells.labels == name].astype(np.float64) for name in names}


def _redrawn(groups: dict[str, Doubles], rng: np.random.Generator) -> dict[str, Doubles]:
    """Centroids of as many cells of each group, drawn with replacement."""
    return {
        name: np.bincount(rng.integers(len(x), size=len(x)), minlength=len(x)) @ x / len(x)
        for name, x in groups.items()
    }


def _stacked(centroids: dict[str, Doubles]) -> Doubles:
    return np.stack(list(centroids.values()))


def _cosine(a: Doubles, b: Doubles) -> Doubles:
    """1 − cosine of rows, (N, M), 0 to 2; a row of zeros is at distance 1 from all."""
    lengths = [np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]
    unit = [x / np.where(n > 0, n, 1) for x, n in zip((a, b), lengths, strict=True)]
    return np.asarray(np.clip(1 - unit[0] @ unit[1].T, 0, 2))


def _euclidean(a: Doubles, b: Doubles) -> Doubles:
    """Euclidean distances of rows, (N, M)."""
    return np.asarray(np.linalg.norm(a[:, None] - b[None], axis=2))


_METRICS: dict[str, Callable[[Doubles, Doubles], Doubles]] = {
    "cosine": _cosine,
    "euclidean": _euclidean,
}


def _both(a: Doubles, b: Doubles) -> dict[str, Doubles]:
    return {name: distance(a, b) for name, distance in _METRICS.items()}


def _pairs(
    groups: list[str], types: list[str], found: dict[str, Doubles], samples: dict[str, Doubles]
) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "group": np.repeat(groups, len(types)),
        "type": np.tile(types, len(groups)),
    }
    for metric, values in found.items():
        low, high = np.percentile(samples[metric], _INTERVAL, axis=0)
        columns[metric] = values.ravel()
        columns[f"{metric}_low"], columns[f"{metric}_high"] = low.ravel(), high.ravel()
    return pd.DataFrame(columns)


def _nearest(
    groups: dict[str, Doubles], types: list[str], values: Doubles, samples: Doubles
) -> pd.DataFrame:
    """``values`` (groups, types); ``samples`` (bootstraps, groups, types)."""
    order = np.argsort(values, axis=1, kind="stable")
    rows, first = np.arange(len(values)), order[:, 0]
    frame = _spreads(groups).rename_axis(index="group")
    frame["nearest"] = np.array(types)[first]
    frame["distance"] = values[rows, first]
    second = order[:, 1] if len(types) > 1 else None
    frame["second"] = np.array(types)[second] if second is not None else ""
    frame["margin"] = values[rows, second] - values[rows, first] if second is not None else np.nan
    frame["support"] = (samples.argmin(axis=2) == first).mean(axis=0)
    return frame


def _spreads(groups: dict[str, Doubles]) -> pd.DataFrame:
    rows = []
    for x in groups.values():
        centre = x.mean(axis=0)
        rows.append(
            {
                "cells": len(x),
                "spread": float(np.sqrt(np.square(x - centre).sum(axis=1).mean())),
                "spread_cosine": float(_cosine(x, centre[None]).mean()),
            }
        )
    return pd.DataFrame(rows, index=list(groups))
