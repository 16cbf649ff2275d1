"""How much of a cell's counts may be missing: OmniCell's embedding and principal components.

    python tests/bench/dropout.py run --out rows.jsonl --bundles DIR --task mpfc --seed 0 ...
    python tests/bench/dropout.py table rows.jsonl

A rising share of the counts is removed at random: by binomial thinning ("thinned"), as a shallower
experiment would, or by setting values to zero ("zeroed"). The cells are embedded again, each alone,
and compared: k-means with as many clusters as types, ARI against the types; the share of a cell's
15 nearest that have its type; the cosine to the cell's undisturbed embedding, both about the mean
of the undisturbed ones. Principal components are those of the undisturbed cells.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors

import tagscope as ts
from annotation_accuracy import shown
from omnicell_uses import (
    DATASETS,
    bundle_of,
    cells_of,
    command_line,
    components_of,
    embedding_of,
    known_to,
)
from tagscope.core.section import Cells

TASKS = ("mpfc", "osmfish", "hypothalamus")
SHARES = tuple(round(0.1 * tenth, 1) for tenth in range(10))
PRINTED = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
MEASURES = {
    "ari": "ARI of k-means",
    "purity": "share of the 15 nearest of a cell's type",
    "cosine": "cosine to the undisturbed embedding",
}


@dataclass(frozen=True)
class Row:
    """``share`` of the counts was removed in this ``way``; ``counts`` are left in the median."""

    task: str
    method: str
    way: str
    share: float
    seed: int
    ari: float
    purity: float
    cosine: float
    counts: float


def scored(task: str, seed: int, options: argparse.Namespace) -> Iterator[Row]:
    bundle, types = bundle_of(task, seed, options), cells_of(task).types
    whole = known_to(bundle, cells_of(task).cells)
    shares = SHARES[::3] if options.quick else SHARES
    for way, disturb in (("thinned", thinned), ("zeroed", zeroed)):
        rng = np.random.default_rng(seed)
        kept = [disturb(whole, share, rng) for share in shares]
        spaces = {
            "OmniCell": [embedding_of(cells, bundle) for cells in kept],
            "PCA": components_of(whole, kept),
        }
        for method, spaced in spaces.items():
            for share, cells, values in zip(shares, kept, spaced, strict=True):
                found = measured(values, spaced[0], types, seed)
                counts = float(np.median(cells.totals))
                yield Row(task, method, way, share, seed, **found, counts=counts)


def thinned(cells: Cells, share: float, rng: np.random.Generator) -> Cells:
    """Every count is kept with the probability 1 − ``share``."""
    kept = rng.binomial(cells.values.data.astype(np.int64), 1 - share)
    return with_values(cells, kept)


def zeroed(cells: Cells, share: float, rng: np.random.Generator) -> Cells:
    """Every value that is not zero is kept with the probability 1 − ``share``."""
    return with_values(cells, cells.values.data * (rng.random(cells.values.nnz) >= share))


def with_values(cells: Cells, data: np.ndarray) -> Cells:
    values = cells.values.copy()
    values.data = data.astype(np.float32)
    values.eliminate_zeros()
    return replace(cells, values=values)


def measured(
    values: np.ndarray, undisturbed: np.ndarray, types: np.ndarray, seed: int
) -> dict[str, float]:
    clusters = KMeans(len(set(types)), n_init=5, random_state=seed).fit_predict(values)
    near = NearestNeighbors(n_neighbors=15).fit(values).kneighbors(return_distance=False)
    return {
        "ari": float(ts.evaluate_labels(clusters.astype(str), types).ari),
        "purity": float((types[near] == types[:, None]).mean()),
        "cosine": cosine(values - undisturbed.mean(0), undisturbed - undisturbed.mean(0)),
    }


def cosine(values: np.ndarray, others: np.ndarray) -> float:
    """Mean cosine of rows."""
    lengths = np.linalg.norm(values, axis=1) * np.linalg.norm(others, axis=1)
    return float(((values * others).sum(1) / np.maximum(lengths, 1e-12)).mean())


def table(rows: list[dict[str, Any]]) -> None:
    of: dict[tuple[str, str, str, float], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        of[row["task"], row["way"], row["method"], row["share"]].append(row)
    for measure, said in MEASURES.items():
        print(f"\n{said}, by share removed:\n")
        print("| data | removed by | method | " + " | ".join(map(str, PRINTED)) + " |")
        print("|---|---|---|" + "---|" * len(PRINTED))
        for task, way, method in dict.fromkeys(key[:3] for key in of):
            groups = (of.get((task, way, method, share), []) for share in PRINTED)
            line = [DATASETS[task].name, way, method, *(shown(one, measure) for one in groups)]
            print("| " + " | ".join(line) + " |")


if __name__ == "__main__":
    command_line(__doc__, TASKS, scored, table)
