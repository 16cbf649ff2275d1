"""Labels told from an OmniCell's embeddings, beside logistic regression on the same cells.

    python tests/bench/annotation_heads.py run --out rows.jsonl --seeds 5
    python tests/bench/annotation_heads.py run --out rows.jsonl --task bz5_14 --bundle DIR/{task}
    python tests/bench/annotation_heads.py table rows.jsonl

For every task within a technology and every seed ``run`` pretrains a small OmniCell on the file
that holds reference and query, without labels, trains heads on the reference for the query
(``--panel``) and labels the query; it adds a line each that OUT does not hold yet, and prints the
table in the end. "default" and "published" are the recipes of ``train --model omnicell``, "linear"
is logistic regression on the same embedding, standardised (C = 0.1); "logistic" and "balanced" are
those on expression of ``annotation_accuracy.py``. With ``--bundle`` nothing is pretrained, and the
seed is that of the heads alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

import tagscope as ts
from annotation_accuracy import Row, baseline, read, row, shown
from annotation_tasks import SHARED, TASKS, Task
from tagscope.inference.annotate import annotate
from tagscope.models.registry import load_model
from tagscope.training.fit import train

# The file of every task within a technology, and the column that tells its sections apart.
FILES = {
    "hypo71": ("merfish_hypothalamus_3samples", "sample"),
    "hypo17": ("merfish_hypothalamus_3samples", "sample"),
    "bz5_14": ("starmap_mpfc_bz5_bz14", "section"),
    "bz14_5": ("starmap_mpfc_bz5_bz14", "section"),
    "cosmx": ("cosmx_lung_nsclc", "fov"),
    "embryo": ("seqfish_mouse_embryo2", None),
    "by3": ("starmap_by3_v1", None),
    "osmfish": ("osmfish", None),
    "pbmc_v1": ("pbmc_3tech", None),
    "pbmc_v2": ("pbmc_3tech", None),
    "pbmc_5": ("pbmc_3tech", None),
    "mop": ("scrna_mop", None),
}
PLAIN, RECIPES = ("logistic", "balanced"), ("published", "default")
VARIANTS = (*PLAIN, "linear", *RECIPES)


def omnicell(name: str, seed: int, folder: Path, options: argparse.Namespace) -> ts.Bundle:
    if options.bundle is not None:
        return ts.load_bundle(options.bundle.format(task=name))
    out = folder / f"{name}-{seed}"
    if out.exists():
        return ts.load_bundle(out)
    file, sections = FILES[name]
    config = ts.PretrainConfig(
        stage=options.stage, epochs=options.epochs, most_genes=options.most_genes, seed=seed,
        device=options.device,
    )  # fmt: skip
    path = SHARED / "data" / "annotation" / f"{file}.h5ad"
    return ts.pretrain(path, out=out, config=config, sections=sections)


def heads(
    name: str, recipe: str, seed: int, init: ts.Bundle, folder: Path, device: str
) -> Iterator[Row]:
    """The recipe's heads and, with the default one, logistic regression on its embedding."""
    task, started = TASKS[name](), time.monotonic()
    config = ts.TrainConfig(recipe=recipe, seed=seed, device=device)
    bundle = train(
        task.reference, folder / f"{name}-{seed}-{recipe}", config, init=init,
        panel=task.query.panel, section=task.query, overwrite=True,
    )  # fmt: skip
    seconds = time.monotonic() - started
    model, asked = load_model(bundle, torch.device(device)), ts.AnnotateConfig(device=device)
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


def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for seed in range(options.seeds):
            for name in options.task:
                for variant in (*PLAIN, *RECIPES):
                    plain = variant in PLAIN
                    wanted = (name, variant, 0 if plain else seed)
                    rows = read(options.out)
                    if wanted in {(r["task"], r["variant"], r["seed"]) for r in rows}:
                        continue
                    if plain:
                        add(options.out, baseline(name, variant))
                        continue
                    init = omnicell(name, seed, folder, options)
                    for found in heads(name, variant, seed, init, folder, options.device):
                        add(options.out, found)
    show(options.out)


def add(out: Path, found: Row) -> None:
    with out.open("a") as file:
        file.write(json.dumps(asdict(found)) + "\n")
    print(found, file=sys.stderr, flush=True)


def show(path: Path) -> None:
    of: dict[tuple[str, str], list[dict]] = defaultdict(list)
    for found in read(path):
        of[found["task"], found["variant"]].append(found)
    print("| task | method | seeds | accuracy | macro-F1 | ECE |")
    print("|---|---|---|---|---|---|")
    for name in FILES:
        for variant in VARIANTS:
            if rows := of.get((name, variant)):
                cells = [shown(rows, key) for key in ("accuracy", "macro_f1", "ece")]
                line = [TASKS[name]().name, variant, str(len(rows)), *cells]
                print("| " + " | ".join(line) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run")
    running.add_argument("--out", type=Path, required=True)
    running.add_argument("--task", nargs="+", choices=FILES, default=list(FILES))
    running.add_argument("--seeds", type=int, default=5)
    running.add_argument("--bundle", help="OmniCells to take, as DIR/{task}")
    running.add_argument("--stage", choices=("cells", "spatial"), default="cells")
    running.add_argument("--epochs", type=int, help="of pretraining; the preset's if not given")
    running.add_argument("--most-genes", type=int, default=200, help="of pretraining")
    running.add_argument("--device", default="cpu")
    running.set_defaults(run=run)
    showing = commands.add_parser("table")
    showing.add_argument("rows", type=Path)
    showing.set_defaults(run=lambda options: show(options.rows))
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
