"""Accuracy and macro-F1 on a real section, beside logistic regression on the same cells.

    python tests/bench/annotation_accuracy.py [--recipe published] [--recipe default] [--seed 0]

Reference: MERFISH mouse hypothalamus, animal 7; query: animal 1 (``shared/data``, found through
TAGSCOPE_SHARED). Writes a markdown table to stdout, progress to stderr. The baseline is that of the
data's README: counts scaled to the reference's median total, log1p, z-scored with the reference's
mean and sd, clipped at ±10, ``LogisticRegression(C=0.1)``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.linear_model import LogisticRegression

from tagscope.core.section import Reference
from tagscope.inference.annotate import AnnotateConfig, annotate
from tagscope.io.readers import read_reference
from tagscope.jobs import JobContext, Progress
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.registry import load_model
from tagscope.training.fit import EpochRecord, TrainConfig, train
from tagscope.training.metrics import accuracy, confusion_matrix, macro_f1

DATA = "data/annotation/merfish_hypothalamus_3samples.h5ad"
SHARED = os.environ.get("TAGSCOPE_SHARED", Path(__file__).resolve().parents[3] / "shared")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    method: str
    accuracy: float
    macro_f1: float
    epochs: str
    seconds: float

    def __str__(self) -> str:
        scores = f"{self.accuracy:.3f} | {self.macro_f1:.3f}"
        return f"| {self.method} | {scores} | {self.epochs} | {self.seconds:.0f} |"


def standardised(reference: Reference, query: Reference) -> tuple[np.ndarray, np.ndarray]:
    target = np.median(reference.cells.totals)

    def log_values(cells: Reference) -> np.ndarray:
        totals = np.maximum(cells.cells.totals, 1)
        return np.log1p(sp.diags(target / totals) @ cells.cells.values).toarray()

    known, asked = log_values(reference), log_values(query)
    mean, sd = known.mean(0), known.std(0)
    sd[sd == 0] = 1
    return np.clip((known - mean) / sd, -10, 10), np.clip((asked - mean) / sd, -10, 10)


def scored(method: str, codes: np.ndarray, query: Reference, epochs: str, seconds: float) -> Row:
    confusion = confusion_matrix(query.codes, codes, len(query.labels))
    return Row(method, accuracy(confusion), macro_f1(confusion), epochs, seconds)


def logistic_regression(reference: Reference, query: Reference, weight: str | None) -> Row:
    known, asked = standardised(reference, query)
    started = time.monotonic()
    model = LogisticRegression(C=0.1, max_iter=2000, class_weight=weight)
    model.fit(known, reference.codes)
    name = f"logistic regression{', balanced' if weight else ''}"
    return scored(name, model.predict(asked), query, "–", time.monotonic() - started)


def cellmemory(
    name: str, reference: Reference, query: Reference, config: TrainConfig,
    model_config: CellMemoryConfig | None,
) -> Row:  # fmt: skip
    started = time.monotonic()

    def listen(progress: Progress) -> None:
        if isinstance(progress.partial, EpochRecord):
            print(f"{time.monotonic() - started:6.0f} s {progress.partial}", file=sys.stderr)

    with tempfile.TemporaryDirectory() as folder:
        bundle = train(
            reference, Path(folder) / "model", config,
            model_config=model_config, context=JobContext(listen),
        )  # fmt: skip
        seconds = time.monotonic() - started
        model = load_model(bundle, torch.device("cpu"))
        result = annotate(query.cells, model, AnnotateConfig(device="cpu"))
    position = np.array([query.labels.code(label) for label in bundle.labels.names])
    epochs = f"{bundle.training['best_epoch']} of {len(bundle.training['history'])}"
    return scored(name, position[result.annotation.codes], query, epochs, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", action="append", choices=("published", "default"))
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    path = Path(SHARED) / DATA
    reference = read_reference(path, "cell_type", where='animal == "7"')
    query = read_reference(path, "cell_type", where='animal == "1"')
    codes = np.array([reference.labels.code(query.labels.names[code]) for code in query.codes])
    query = Reference(query.cells, reference.labels, codes)
    assert (codes >= 0).all(), "every type of the query is in the reference"
    methods: list[Callable[[], Row]] = [
        lambda weight=weight: logistic_regression(reference, query, weight)
        for weight in (None, "balanced")
    ]
    published = ("CellMemory, published recipe (full, bins)", "published",
                 CellMemoryConfig(mode="full"))  # fmt: skip
    ours = ("CellMemory, default recipe", "default", None)
    for name, recipe, model in (published, ours):
        if recipe in (chosen.recipe or ("published", "default")):
            config = TrainConfig(recipe=recipe, seed=chosen.seed, device="cpu")
            methods.append(
                lambda name=name, config=config, model=model: cellmemory(
                    name, reference, query, config, model
                )
            )
    print(f"{len(reference)} reference cells, {len(query)} query cells, "
          f"{len(reference.cells.panel)} genes, {len(reference.labels)} types, "
          f"seed {chosen.seed}\n")  # fmt: skip
    print("| method | accuracy | macro-F1 | best epoch | training, s |\n|---|---|---|---|---|")
    for method in methods:
        print(method(), flush=True)


if __name__ == "__main__":
    main()
