"""Batches mixed and types kept apart: OmniCell's embedding beside principal components.

    python tests/bench/integration.py run --out rows.jsonl --bundles DIR --task mpfc --seed 0 ...
    python tests/bench/integration.py table rows.jsonl

scIB's metrics as ``tagscope evaluate --batch`` has them, of cells each read alone. Neither side is
told of batches: nothing is corrected. "PCA" is of the log-normalised, z-scored counts of the genes
that the model reads, "PCA, all genes" of all. Sections without types are scored for their mixing.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import tagscope as ts
from annotation_accuracy import shown
from omnicell_uses import (
    DATASETS,
    Labelled,
    bundle_of,
    cells_of,
    command_line,
    components_of,
    embedding_of,
    known_to,
)
from tagscope.core.normalise import log_cp10k
from tagscope.evaluation.embedded import EmbeddedCells
from tagscope.evaluation.integration import score_integration, score_mixing

TASKS = ("mpfc", "pbmc", "hypothalamus", "molcart", "mop")
COLUMNS = {
    "total": "total", "biology": "biology", "batch": "batch", "k-means ARI": "ARI",
    "cLISI": "cLISI", "iLISI": "iLISI", "kBET": "kBET", "graph connectivity": "connectivity",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """``total``, ``biology`` and ``batch`` are None without types."""

    task: str
    method: str
    seed: int
    total: float | None
    biology: float | None
    batch: float | None
    metrics: dict[str, float | None]
    cells: int


def scored(task: str, seed: int, options: argparse.Namespace) -> Iterator[Row]:
    bundle, given = bundle_of(task, seed, options), cells_of(task)
    known = known_to(bundle, given.cells)
    spaces = {
        "OmniCell": embedding_of(given.cells, bundle), "PCA": components_of(known, [known])[0],
    }  # fmt: skip
    if len(known.panel) < len(given.cells.panel):
        spaces["PCA, all genes"] = components_of(given.cells, [given.cells])[0]
    config = ts.IntegrationConfig(cells=1000 if options.quick else 20_000, seed=seed)
    for method, values in spaces.items():
        yield row(task, method, given, values, config)


def row(
    task: str, method: str, given: Labelled, values: np.ndarray, config: ts.IntegrationConfig
) -> Row:
    expression = replace(given.cells, values=log_cp10k(given.cells), normalised=True)
    cells = EmbeddedCells(values.astype(np.float32), given.types, given.batch, expression)
    if not DATASETS[task].types:
        mixing = score_mixing(cells, config)
        return Row(task, method, config.seed, None, None, None, mixing, len(cells))
    report = score_integration(cells, config).to_dict()
    means = (report[name] for name in ("total", "biology", "batch"))
    return Row(task, method, config.seed, *means, report["metrics"], report["cells_scored"])


def table(rows: list[dict[str, Any]]) -> None:
    of: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for found in rows:
        of[found["task"], found["method"]].append(found | found["metrics"])
    print("| data | method | seeds | " + " | ".join(COLUMNS.values()) + " |")
    print("|---|---|---|" + "---|" * len(COLUMNS))
    for (task, method), group in of.items():
        cells = [shown([{name: one.get(name) for name in COLUMNS} for one in group], name)
                 for name in COLUMNS]  # fmt: skip
        print("| " + " | ".join([DATASETS[task].name, method, str(len(group)), *cells]) + " |")


if __name__ == "__main__":
    command_line(__doc__, TASKS, scored, table)
