"""How well an embedding mixes batches and keeps types apart: scIB's metrics.

Luecken et al. 2022 (Nature Methods 19:41); computed by the scib-metrics package (YosefLab), with
the metrics and the weights of its ``Benchmarker``.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from tagscope.errors import ArgumentError
from tagscope.evaluation.embedded import EmbeddedCells
from tagscope.io.atomic import written_whole
from tagscope.jobs import JobContext

BIOLOGY, BATCH = "biology", "batch"
_WEIGHTS = {BIOLOGY: 0.6, BATCH: 0.4}
_NEIGHBOURS = 90  # LISI; kBET looks at 50 of them, graph connectivity at 15
_COMPONENTS = 50
_WITHOUT_LABELS = ("iLISI", "PCR comparison")


@dataclass(frozen=True)
class IntegrationConfig:
    """How to score an integration."""

    cells: int = 20_000
    """Most cells to score; of more, as many are drawn at random."""
    seed: int = 0
    """Seed of that draw and of the principal components before integration."""

    def __post_init__(self) -> None:
        if self.cells <= _NEIGHBOURS or self.seed < 0:
            raise ArgumentError(
                f"An integration cannot be scored with {self.cells} cells and seed {self.seed}.",
                f"More than {_NEIGHBOURS} cells and a seed from 0 on are needed.",
                "Give more cells, or another seed.",
                {"cells": None, "seed": None},
            )


@dataclass(frozen=True)
class IntegrationReport:
    """scIB's metrics of one embedding; each is from 0 to 1, and 1 is best.

    ``metrics`` has the index ``metric`` and the columns ``kind`` (``biology`` or ``batch``) and
    ``value``, NaN where a metric is not defined for these cells (kBET without a label of ten cells
    in two batches). ``biology`` and ``batch`` are the means of what is defined, ``total`` 0.6 of
    the first and 0.4 of the second. ``n_cells`` of ``n_labelled`` cells were scored.
    """

    metrics: pd.DataFrame
    n_cells: int
    n_labelled: int
    cells_per_batch: dict[str, int]
    n_types: int
    seed: int

    @property
    def biology(self) -> float:
        """Mean of the metrics of biological conservation."""
        return self._mean(BIOLOGY)

    @property
    def batch(self) -> float:
        """Mean of the metrics of batch correction."""
        return self._mean(BATCH)

    @property
    def total(self) -> float:
        """0.6 biology + 0.4 batch."""
        return _WEIGHTS[BIOLOGY] * self.biology + _WEIGHTS[BATCH] * self.batch

    def _mean(self, kind: str) -> float:
        return float(self.metrics.loc[self.metrics["kind"] == kind, "value"].mean())

    def to_dict(self) -> dict[str, Any]:
        """The numbers, JSON-ready; a metric that is not defined is None."""
        values = self.metrics["value"]
        return {
            "total": self.total,
            "biology": self.biology,
            "batch": self.batch,
            "metrics": {str(n): None if np.isnan(v) else float(v) for n, v in values.items()},
            "cells_scored": self.n_cells,
            "cells_labelled": self.n_labelled,
            "cells_per_batch": self.cells_per_batch,
            "types": self.n_types,
            "seed": self.seed,
        }

    def to_text(self) -> str:
        """The report for a terminal."""
        batches = ", ".join(f"{name} {cells:,}" for name, cells in self.cells_per_batch.items())
        lines = [
            f"integration of {self.n_cells:,} cells ({batches}), {self.n_types} types",
            f"{'total':>30}  {self.total:.3f}",
        ]
        for kind, mean in ((BIOLOGY, self.biology), (BATCH, self.batch)):
            lines.append(f"{kind:>30}  {mean:.3f}")
            of_kind = self.metrics.loc[self.metrics["kind"] == kind, "value"]
            lines += [f"{name:>30}    {_shown(value)}" for name, value in of_kind.items()]
        return "\n".join(lines)

    def write_into(self, folder: Path) -> None:
        """Add integration.json and integration.csv to a folder that is being written."""
        (folder / "integration.json").write_text(json.dumps(self.to_dict(), indent=2) + "\n")
        means = {"biology": self.biology, "batch": self.batch, "total": self.total}
        rows = pd.DataFrame({"kind": "aggregate", "value": means}).rename_axis(index="metric")
        pd.concat([self.metrics, rows]).to_csv(folder / "integration.csv", float_format="%.6g")

    def write(self, folder: Path | str, *, overwrite: bool = False) -> Path:
        """Write integration.json and integration.csv; the folder appears whole or not at all."""
        folder = Path(folder)
        with written_whole(folder, overwrite=overwrite) as beside:
            beside.mkdir(exist_ok=True)
            self.write_into(beside)
        return folder


def score_integration(
    cells: EmbeddedCells,
    config: IntegrationConfig | None = None,
    *,
    context: JobContext | None = None,
) -> IntegrationReport:
    """Score the embedding of labelled cells from two batches or more.

    Cells without a label are left out. Neighbours are exact. "PCR comparison" sets the embedding
    against the first 50 principal components of the cells' expression.

    Raises
    ------
    ArgumentError
        If there are fewer than two batches or labels, no label occurs in two batches, there are
        too few cells, or scib-metrics is not installed.
    """
    config, context = config or IntegrationConfig(), context or JobContext()
    scib = _library()
    labelled = np.flatnonzero(cells.labels != "")
    scored = cells.take(_drawn(labelled, config))
    _refuse_unmixable(scored)
    rows = []
    measures = _measures(scib, scored, config.seed)
    for done, (name, (kind, measure)) in enumerate(measures.items()):
        context.step("scoring the integration", done, len(measures))
        rows.append({"metric": name, "kind": kind, "value": _quietly(measure)})
    context.step("scoring the integration", len(measures), len(measures))
    batches, counts = np.unique(scored.batch, return_counts=True)
    return IntegrationReport(
        metrics=pd.DataFrame(rows).set_index("metric"),
        n_cells=len(scored),
        n_labelled=len(labelled),
        cells_per_batch={str(b): int(n) for b, n in zip(batches, counts, strict=True)},
        n_types=len(np.unique(scored.labels)),
        seed=config.seed,
    )


def score_mixing(
    cells: EmbeddedCells,
    config: IntegrationConfig | None = None,
    *,
    context: JobContext | None = None,
) -> dict[str, float]:
    """How well an embedding mixes batches, of cells whose types nobody knows.

    Those of :func:`score_integration`'s metrics that need no label, by name. A tissue whose
    sections differ in what they are made of is mixed less than fully by the best of embeddings.

    Raises
    ------
    ArgumentError
        If there are fewer than two batches, too few cells, or scib-metrics is not installed.
    """
    config, context = config or IntegrationConfig(), context or JobContext()
    scib = _library()
    scored = cells.take(_drawn(np.arange(len(cells)), config))
    _refuse(_few_cells_or_batches(scored, "are there"))
    measures = _measures(scib, scored, config.seed)
    found = {}
    for done, name in enumerate(_WITHOUT_LABELS):
        context.step("scoring the mixing", done, len(_WITHOUT_LABELS))
        found[name] = _quietly(measures[name][1])
    context.step("scoring the mixing", len(found), len(found))
    return found


def _drawn(rows: npt.NDArray[np.int64], config: IntegrationConfig) -> npt.NDArray[np.int64]:
    """All rows, or as many as are to be scored."""
    if len(rows) <= config.cells:
        return rows
    rng = np.random.default_rng(config.seed)
    return np.sort(rng.choice(rows, config.cells, replace=False))


def _measures(
    scib: ModuleType, cells: EmbeddedCells, seed: int
) -> dict[str, tuple[str, Callable[[], float]]]:
    """Every metric of the library's ``Benchmarker``: its kind, and how to compute it."""
    x, labels, batch = cells.embedding, cells.labels.astype(object), cells.batch.astype(object)
    distances, indices = NearestNeighbors(n_neighbors=_NEIGHBOURS).fit(x).kneighbors(x)
    nearest = scib.nearest_neighbors.NeighborsResults(indices=indices, distances=distances)
    few, some = nearest.subset_neighbors(n=15), nearest.subset_neighbors(n=50)
    clusters: dict[str, float] = {}

    def clustered(name: str) -> float:
        if not clusters:
            clusters.update(scib.nmi_ari_cluster_labels_kmeans(x, labels))
        return clusters[name]

    return {
        "isolated labels": (BIOLOGY, lambda: scib.isolated_labels(x, labels, batch)),
        "k-means NMI": (BIOLOGY, lambda: clustered("nmi")),
        "k-means ARI": (BIOLOGY, lambda: clustered("ari")),
        "silhouette of labels": (BIOLOGY, lambda: scib.silhouette_label(x, labels)),
        "cLISI": (BIOLOGY, lambda: scib.clisi_knn(nearest, labels)),
        "BRAS": (BATCH, lambda: scib.bras(x, labels, batch)),
        "iLISI": (BATCH, lambda: scib.ilisi_knn(nearest, batch)),
        "kBET": (BATCH, lambda: scib.kbet_per_label(some, batch, labels)),
        "graph connectivity": (BATCH, lambda: scib.graph_connectivity(few, labels)),
        "PCR comparison": (
            BATCH,
            lambda: scib.pcr_comparison(_components(cells, seed), x, batch, categorical=True),
        ),
    }


def _components(cells: EmbeddedCells, seed: int) -> np.ndarray[Any, Any]:
    """The first principal components of the cells' expression, (N, at most 50)."""
    values = cells.expression.values
    count = min(_COMPONENTS, min(values.shape) - 1)
    return np.asarray(PCA(count, svd_solver="arpack", random_state=seed).fit_transform(values))


def _quietly(measure: Callable[[], float]) -> float:
    """A metric's value, without the warnings that go with values this report explains itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="PCR comparison score is negative")
        warnings.filterwarnings("ignore", message="Mean of empty slice")
        return float(measure())


def _library() -> ModuleType:
    """scib-metrics, which brings jax and is installed by those who want these metrics."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Tensorflow not installed")
            library = import_module("scib_metrics")
    except ImportError as error:
        raise ArgumentError(
            f"The metrics of integration need the package scib-metrics, which cannot be imported "
            f"({error}).",
            "It is an optional part of TAGscope.",
            'Run: pip install "tagscope[metrics]"',
        ) from error
    library.settings.verbosity = logging.WARNING
    return library


def _refuse_unmixable(cells: EmbeddedCells) -> None:
    per_label = pd.crosstab(cells.labels, cells.batch)
    mixed = ((per_label > 0).sum(axis=1) > 1) & (per_label.sum(axis=1) > per_label.shape[1])
    problem = _few_cells_or_batches(cells, "have a label")
    if not problem and len(per_label) < 2:
        problem = f"All cells have one label ({per_label.index[0]!r})"
    elif not problem and not mixed.any():
        problem = "No label occurs in two batches"
    _refuse(problem)


def _few_cells_or_batches(cells: EmbeddedCells, what: str) -> str:
    batches = np.unique(cells.batch)
    if len(cells) <= _NEIGHBOURS:
        return f"Only {len(cells)} cells {what}"
    return "" if len(batches) > 1 else f"All cells are of one batch ({str(batches[0])!r})"


def _refuse(problem: str) -> None:
    if problem:
        raise ArgumentError(
            f"{problem}, so that there is no integration to score.",
            f"More than {_NEIGHBOURS} cells of two batches with labels in common are needed.",
            "Choose other columns of batches and labels.",
            {"batch": None, "truth": None},
        )


def _shown(value: float) -> str:
    return "not defined" if np.isnan(value) else f"{value:.3f}"
