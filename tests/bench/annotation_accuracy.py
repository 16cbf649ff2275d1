"""Accuracy on the shared data's tasks, beside logistic regression on the same cells.

    python tests/bench/annotation_accuracy.py run --out rows.jsonl --task hypo71 --seed 0 ...
    python tests/bench/annotation_accuracy.py table rows.jsonl

``run`` trains and scores every task, variant and seed that OUT does not hold yet, and adds a line
each; several processes may share one OUT, and leave a file beside it for what they took on.
``table`` prints means over seeds as markdown. Tasks are those of ``annotation_tasks.py``; a model
is trained for the query section (``--panel SECTION``). "default", "full" (one network in full mode)
and "published" are CellMemory's, "cellpatch" and those with its name CellPatch's from scratch, but
"cellpatch-pretrained": one network that goes on from a CellPatch that was pretrained by the small
preset on the cells of reference and query, once a seed, kept in the folder ``$TAGSCOPE_BUNDLES``.
The baseline is that of the data's README: counts scaled to the reference's median total, log1p,
z-scored with the reference's mean and sd, clipped at ±10, ``LogisticRegression(C=0.1)``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core a process: run as many as there are cores

import numpy as np
import scanpy as sc
import torch
from anndata import AnnData
from sklearn.linear_model import LogisticRegression

import tagscope as ts
from annotation_tasks import TASKS, Task, standardised
from tagscope.core.panel import GenePanel
from tagscope.evaluation.annotation import evaluate_labels
from tagscope.inference.annotate import annotate
from tagscope.io.cell_source import source_of
from tagscope.models.registry import load_model
from tagscope.training.fit import train
from tagscope.training.pretrain import pretrain
from tagscope.training.recipe import RecipeName

FULL_GENES = 300  # full mode reads every gene of every cell: no more than these
PATCHES: dict[str, RecipeName] = {
    "cellpatch": "default", "cellpatch-published": "published", "cellpatch-paper": "paper",
    "cellpatch-pretrained": "default",
}  # fmt: skip
SAME_CELLS = {"hypo17": "hypo71", "bz14_5": "bz5_14", "pbmc_v2": "pbmc_v1", "pbmc_5": "pbmc_v1"}
BUNDLES = Path(os.environ.get("TAGSCOPE_BUNDLES", Path(tempfile.gettempdir()) / "bundles"))
VARIANTS = ("logistic", "balanced", "default", "full", "published", *PATCHES)


@dataclass(frozen=True)
class Row:
    """One training, scored: ``ece`` calibration error, ``unseen`` AUROC of unseen types."""

    task: str
    variant: str
    seed: int
    accuracy: float
    macro_f1: float
    ece: float
    unseen: float | None
    validation_accuracy: float | None
    seconds: float


def row(task: str, variant: str, seed: int, scored: Task, labels: np.ndarray,
        probabilities: np.ndarray, unusual: np.ndarray, validation: float | None,
        seconds: float) -> Row:  # fmt: skip
    report = evaluate_labels(
        labels[probabilities.argmax(1)], scored.truth, probabilities.max(1),
        seen=set(scored.reference.labels.names),
    )  # fmt: skip
    unseen = None
    if scored.unseen.any():
        from sklearn.metrics import roc_auc_score

        unseen = float(roc_auc_score(scored.unseen, unusual))
    assert report.calibration_error is not None
    return Row(task, variant, seed, report.accuracy, report.macro_f1, report.calibration_error,
               unseen, validation, round(seconds, 1))  # fmt: skip


def baseline(name: str, variant: str, among: GenePanel | None = None) -> Row:
    """Logistic regression on expression, of the genes that ``among`` has too if given."""
    task, started = TASKS[name](), time.monotonic()
    shared = task.reference.cells.panel.columns_in(task.query.panel) >= 0
    panel = task.reference.cells.panel.take(np.flatnonzero(shared))
    panel = panel if among is None else panel.take(panel.shared_with(among))
    known, asked = task.reference.cells.restrict(panel), task.query.restrict(panel)
    known_values, asked_values = standardised(known, asked)
    weight = "balanced" if variant == "balanced" else None
    model = LogisticRegression(C=0.1, max_iter=2000, class_weight=weight)
    model.fit(known_values, task.reference.codes)
    probabilities = model.predict_proba(asked_values)
    labels = np.array(task.reference.labels.names)[model.classes_]
    return row(name, variant, 0, task, labels, probabilities, -probabilities.max(1), None,
               time.monotonic() - started)  # fmt: skip


def trained(name: str, variant: str, seed: int) -> Row:
    """A CellMemory, or a CellPatch from scratch, by one of its recipes."""
    task, started = TASKS[name](), time.monotonic()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # scanpy's numba has set its own
    init = None
    if variant in PATCHES:
        if variant == "cellpatch-pretrained":
            init = pretrained(name, task, seed)
        folds = None if init is None else 1
        config = ts.TrainConfig(recipe=PATCHES[variant], seed=seed, folds=folds, device="cpu")
        network, panel = ts.network_for(config, "cellpatch"), task.query.panel
    else:
        recipe = "published" if variant == "published" else "default"
        folds = 1 if variant == "full" else None  # every gene of every cell takes its time
        config = ts.TrainConfig(recipe=recipe, seed=seed, folds=folds, device="cpu")
        network = ts.network_for(config, mode="expressed" if variant == "default" else "full")
        panel = most_variable(task) if variant == "full" else task.query.panel
    with tempfile.TemporaryDirectory() as folder:
        bundle = train(
            task.reference, Path(folder) / "model", config, panel=panel,
            section=task.query, model_config=network, init=init,
        )  # fmt: skip
        seconds = time.monotonic() - started
        model = load_model(bundle, torch.device("cpu"))
        found = annotate(task.query, model, ts.AnnotateConfig(device="cpu")).annotation
    unusual = getattr(found, "novelty", None)
    unusual = -found.confidence if unusual is None else unusual
    return row(name, variant, seed, task, np.array(bundle.labels.names), found.probabilities,
               unusual, bundle.training["accuracy"], seconds)  # fmt: skip


def pretrained(name: str, task: Task, seed: int) -> ts.Bundle:
    """A CellPatch that has read the cells of both parts, without their labels."""
    path = BUNDLES / f"cellpatch-{SAME_CELLS.get(name, name)}-{seed}"
    if path.exists():
        return ts.load_bundle(path)
    sources = [source_of(cells) for cells in (task.reference.cells, task.query)]
    return pretrain(sources, path, ts.PretrainConfig(seed=seed, device="cpu"), model="cellpatch")


def most_variable(task: Task) -> GenePanel:
    """The shared genes, of more than 300 those that vary most in the reference."""
    cells = task.reference.cells
    shared = cells.panel.take(np.flatnonzero(cells.panel.columns_in(task.query.panel) >= 0))
    if len(shared) <= FULL_GENES:
        return shared
    table = AnnData(cells.restrict(shared).values.copy())
    sc.pp.normalize_total(table)
    sc.pp.log1p(table)
    sc.pp.highly_variable_genes(table, n_top_genes=FULL_GENES)
    return shared.take(np.flatnonzero(table.var["highly_variable"]))


def run(options: argparse.Namespace) -> None:
    for seed in options.seed:
        for variant in options.variant:
            for task in options.task:
                wanted = (task, variant, 0 if variant in VARIANTS[:2] else seed)
                claim = options.out.with_name(f"{options.out.name}.{'.'.join(map(str, wanted))}")
                done = {(r["task"], r["variant"], r["seed"]) for r in read(options.out)}
                if wanted in done or not claimed(claim):
                    continue
                plain = variant in VARIANTS[:2]
                found = baseline(task, variant) if plain else trained(*wanted)
                with options.out.open("a") as file:
                    file.write(json.dumps(asdict(found)) + "\n")
                print(found, file=sys.stderr, flush=True)


def claimed(path: Path) -> bool:
    """Whether this process is the one to do a piece of work."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        return True
    return False


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(options: argparse.Namespace) -> None:
    of: dict[tuple[str, str], list[dict]] = defaultdict(list)
    for found in read(options.rows):
        of[found["task"], found["variant"]].append(found)
    print("| task | method | seeds | accuracy | macro-F1 | ECE | AUROC of unseen | s |")
    print("|---|---|---|---|---|---|---|---|")
    for name in TASKS:
        for variant in VARIANTS:
            if rows := of.get((name, variant)):
                cells = [shown(rows, key) for key in ("accuracy", "macro_f1", "ece", "unseen")]
                seconds = f"{np.mean([r['seconds'] for r in rows]):.0f}"
                line = [TASKS[name]().name, variant, str(len(rows)), *cells, seconds]
                print("| " + " | ".join(line) + " |")


def shown(rows: list[dict], key: str) -> str:
    values = [r[key] for r in rows if r[key] is not None]
    if not values:
        return "–"
    spread = f" ± {np.std(values):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run")
    running.add_argument("--out", type=Path, required=True)
    running.add_argument("--task", nargs="+", choices=TASKS, default=list(TASKS))
    running.add_argument("--variant", nargs="+", choices=VARIANTS, default=list(VARIANTS[:3]))
    running.add_argument("--seed", nargs="+", type=int, default=[0, 1, 2])
    running.set_defaults(run=run)
    showing = commands.add_parser("table")
    showing.add_argument("rows", type=Path)
    showing.set_defaults(run=table)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
