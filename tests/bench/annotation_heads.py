"""Labels told from an OmniCell's embeddings, beside logistic regression on the same cells.

    python tests/bench/annotation_heads.py run --out rows.jsonl --bundles DIR --task bz5_14 ...
    python tests/bench/annotation_heads.py table rows.jsonl

For every task within a technology and every seed a small OmniCell that was pretrained on the file
that holds reference and query, without labels (``omnicell_uses.py``), is given heads that learn
from the reference for the query (``--panel``) and label the query. "default" and "published" are
the recipes of ``train --model omnicell``, "linear" is logistic regression on the same embedding,
standardised (C = 0.1); "logistic" and "balanced" are those on expression of
``annotation_accuracy.py``, the same for all seeds, "same genes" the first of them on those genes
alone that the OmniCell reads.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

import tagscope as ts
from annotation_accuracy import Row, baseline, row, shown
from annotation_tasks import TASKS, Task
from omnicell_uses import bundle_of, command_line
from tagscope.inference.annotate import annotate
from tagscope.models.registry import load_model
from tagscope.training.fit import train

# Whose cells the OmniCell of a task within a technology has learned from.
DATASETS = {
    "hypo71": "hypothalamus", "hypo17": "hypothalamus", "bz5_14": "mpfc", "bz14_5": "mpfc",
    "cosmx": "cosmx", "embryo": "embryo", "by3": "by3", "osmfish": "osmfish",
    "pbmc_v1": "pbmc", "pbmc_v2": "pbmc", "pbmc_5": "pbmc", "mop": "mop",
}  # fmt: skip
PLAIN, RECIPES = ("logistic", "balanced"), ("published", "default")
VARIANTS = (*PLAIN, "same genes", "linear", *RECIPES)


def scored(name: str, seed: int, options: argparse.Namespace) -> Iterator[Row]:
    init = bundle_of(DATASETS[name], seed, options)
    if seed == 0:
        yield from (baseline(name, variant) for variant in PLAIN)
        yield baseline(name, "same genes", init.panel)
    with tempfile.TemporaryDirectory() as folder:
        for recipe in RECIPES:
            yield from heads(name, recipe, seed, init, Path(folder))


def heads(name: str, recipe: str, seed: int, init: ts.Bundle, folder: Path) -> Iterator[Row]:
    """The recipe's heads and, with the default one, logistic regression on its embedding."""
    task, started = TASKS[name](), time.monotonic()
    config = ts.TrainConfig(recipe=recipe, seed=seed, device="cpu")
    bundle = train(
        task.reference, folder / recipe, config, init=init,
        panel=task.query.panel, section=task.query,
    )  # fmt: skip
    seconds = time.monotonic() - started
    model, asked = load_model(bundle, torch.device("cpu")), ts.AnnotateConfig(device="cpu")
    found = annotate(task.query, model, asked).annotation
    yield row(name, recipe, seed, task, np.array(bundle.labels.names), found.probabilities,
              found.novelty, bundle.training["accuracy"], seconds)  # fmt: skip
    if recipe == "default":
        known = annotate(task.reference.cells, model, asked).annotation.embedding
        yield linear(name, seed, task, known, found.embedding)


def linear(name: str, seed: int, task: Task, known: np.ndarray, asked: np.ndarray) -> Row:
    started, mean, sd = time.monotonic(), known.mean(0), np.maximum(known.std(0), 1e-6)
    model = LogisticRegression(C=0.1, max_iter=2000).fit((known - mean) / sd, task.reference.codes)
    probabilities = model.predict_proba((asked - mean) / sd)
    labels = np.array(task.reference.labels.names)[model.classes_]
    return row(name, "linear", seed, task, labels, probabilities, -probabilities.max(1), None,
               time.monotonic() - started)  # fmt: skip


def table(found: list[dict[str, Any]]) -> None:
    of: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for one in found:
        of[one["task"], one["variant"]].append(one)
    print("| task | method | seeds | accuracy | macro-F1 | ECE |")
    print("|---|---|---|---|---|---|")
    for name in DATASETS:
        for variant in VARIANTS:
            if rows := of.get((name, variant)):
                cells = [shown(rows, key) for key in ("accuracy", "macro_f1", "ece")]
                line = [TASKS[name]().name, variant, str(len(rows)), *cells]
                print("| " + " | ".join(line) + " |")


if __name__ == "__main__":
    command_line(__doc__ or "", DATASETS, scored, table)
