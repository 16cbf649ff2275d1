"""What each choice of the default recipe is worth: one changed at a time, all else as it is.

    python tests/bench/training_study.py --out study.jsonl --seed 0 1 2
    python tests/bench/training_study.py --out study.jsonl --table

A line of OUT is one training of a single network (``--folds 3`` for three, averaged), scored on the
task's query; what OUT holds is not done again. Several processes may share OUT. Tasks are those of
``annotation_tasks.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import defaultdict
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

import tagscope as ts
from annotation_accuracy import claimed, read
from annotation_tasks import TASKS
from study_variants import background, soft_bins, warm_up
from tagscope.evaluation.annotation import evaluate_labels
from tagscope.inference.annotate import annotate
from tagscope.models.registry import load_model
from tagscope.training import fit
from tagscope.training.recipe import recipe_of

STUDIED = ("hypo17", "bz5_14", "mop_by3", "mop_seqfish")
# What is changed: numbers of the recipe or the network, or more, by a patch of the training.
CHANGES: dict[str, dict[str, Any]] = {
    "default": {},
    "random gene embeddings": {"recipe": {"components": False}},
    "bins alone": {"model": {"encoding": "bins"}},
    "rounded values alone": {"model": {"encoding": "round", "max_bin": 200}},
    "full mode": {"model": {"mode": "full"}},
    "1 layer": {"model": {"layers": 1}},
    "4 layers": {"model": {"layers": 4}},
    "width 32": {"model": {"width": 32, "ffn": 64}},
    "width 128": {"model": {"width": 128, "ffn": 256}},
    "dropout 0.3": {"model": {"dropout": 0.3}},
    "500 updates": {"recipe": {"updates": 500, "updates_per_label": 0}},
    "1,000 updates": {"recipe": {"updates": 1000, "updates_per_label": 0}},
    "4,000 updates": {"recipe": {"updates": 4000}},
    "background in none": {"patch": background(0.0)},
    "background in all, .1": {"patch": background(0.1)},
    "background in all, .3": {"patch": background(0.3)},
    "soft bins": {"patch": soft_bins, "model": {"max_bin": 100}},
    "warm-up on hidden genes": {"patch": warm_up},
    "no thinning": {"recipe": {"thinning": 1.0}},
    "no hidden genes": {"recipe": {"gene_dropout": 0.0}},
    "half of the genes hidden": {"recipe": {"gene_dropout": 0.5}},
    "no label smoothing": {"recipe": {"label_smoothing": 0.0}},
    "all labels weigh alike": {"recipe": {"rare_power": 0.0}},
    "rare labels weigh more": {"recipe": {"rare_power": 0.5}},
    "rare labels drawn more": {"recipe": {"balance": "sampling"}},
}  # fmt: skip


def trained_and_scored(task_name: str, change: str, seed: int, folds: int) -> dict[str, Any]:
    task, changed = TASKS[task_name](), CHANGES[change]
    config = ts.TrainConfig(folds=folds, seed=seed, device="cpu")
    recipe = replace(recipe_of(config), **changed.get("recipe", {}))
    started = time.process_time()
    patched = changed.get("patch", lambda _: nullcontext())(task)
    by_recipe = patch.object(fit, "recipe_of", lambda _: recipe)
    with tempfile.TemporaryDirectory() as folder, by_recipe, patched:
        bundle = fit.train(
            task.reference, Path(folder) / "model", config,
            model_config=ts.network_for(config, **changed.get("model", {})),
            panel=task.query.panel, section=task.query,
        )  # fmt: skip
        model = load_model(bundle, torch.device("cpu"))
        found = annotate(task.query, model, ts.AnnotateConfig(device="cpu")).annotation
    report = evaluate_labels(found.names(), task.truth, seen=set(task.reference.labels.names))
    return {"task": task_name, "change": change, "seed": seed, "accuracy": report.accuracy,
            "macro_f1": report.macro_f1, "seconds": time.process_time() - started}  # fmt: skip


def run(options: argparse.Namespace) -> None:
    for seed in options.seed:
        for change in options.change:
            for task in options.task:
                name = f"{options.out.name}.{task}.{change.replace(' ', '-')}.{seed}"
                done = {(r["task"], r["change"], r["seed"]) for r in read(options.out)}
                if (task, change, seed) in done or not claimed(options.out.with_name(name)):
                    continue
                row = trained_and_scored(task, change, seed, options.folds)
                with options.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")


def table(path: Path, seeds: list[int]) -> None:
    of: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for row in read(path):
        if row["seed"] in seeds:
            of[row["change"], row["task"]].append((row["accuracy"], row["macro_f1"]))
    tasks = [name for name in TASKS if any(task == name for _, task in of)]
    print(f"| change | {' | '.join(tasks)} |\n|---|{'---|' * len(tasks)}")
    for change in CHANGES:
        cells = [of.get((change, task)) for task in tasks]
        shown = ("–" if c is None else "{:.3f} / {:.3f}".format(*np.mean(c, axis=0)) for c in cells)
        if any(cells):
            print(f"| {change} | {' | '.join(shown)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--task", nargs="+", choices=TASKS, default=list(STUDIED))
    parser.add_argument("--change", nargs="+", choices=CHANGES, default=list(CHANGES))
    parser.add_argument("--seed", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--folds", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="print what OUT holds")
    options = parser.parse_args()
    if options.table:
        table(options.out, options.seed)
    else:
        run(options)


if __name__ == "__main__":
    main()
