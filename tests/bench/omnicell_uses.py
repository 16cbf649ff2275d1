"""What the benchmarks of OmniCell's uses share: real cells, models of them, and a command line.

A model is a bundle ``DIR/DATASET-SEED``; one that is missing is pretrained there: the preset
``small``, on the cells of the file alone, without their labels.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core a process: run as many as there are cores

import anndata
import numpy as np
import torch
from sklearn.decomposition import PCA

import tagscope as ts
from annotation_accuracy import read
from annotation_tasks import SHARED, cell_class, labelled, renamed, standardised
from tagscope.core.section import Cells, Reference
from tagscope.jobs import JobContext
from tagscope.models.bundle import Bundle
from tagscope.models.omnicell.embedded import embedded
from tagscope.models.registry import load_omnicell

COMPONENTS = 20


@dataclass(frozen=True)
class Dataset:
    """``types`` and ``batch`` are columns of ``obs``, "" where there are none."""

    name: str
    file: str
    types: str = "cell_type"
    batch: str = ""

    @property
    def path(self) -> Path:
        return SHARED / "data" / f"{self.file}.h5ad"


MPFC = "annotation/starmap_mpfc_bz5_bz14"
DATASETS = {
    "hypothalamus": Dataset(
        "MERFISH hypothalamus", "annotation/merfish_hypothalamus_3samples", batch="sample"
    ),
    "mpfc": Dataset("STARmap mPFC", MPFC, batch="section"),
    "osmfish": Dataset("osmFISH cortex", "annotation/osmfish"),
    "by3": Dataset("STARmap BY3", "annotation/starmap_by3_v1"),
    "mop": Dataset("scRNA MOp", "annotation/scrna_mop", batch="library"),
    "cosmx": Dataset("CosMx lung", "annotation/cosmx_lung_nsclc", batch="fov"),
    "embryo": Dataset("seqFISH embryo", "annotation/seqfish_mouse_embryo2"),
    "pbmc": Dataset("PBMC, 3 technologies", "annotation/pbmc_3tech", batch="batch"),
    "molcart": Dataset(
        "molcart cortex", "unlabelled/molcart_mouse_cortex_3sections", types="", batch="section"
    ),
}


@dataclass(frozen=True)
class Labelled:
    """N cells, their types and batches (N,), "" where the file has none."""

    cells: Cells
    types: np.ndarray
    batch: np.ndarray


@cache
def cells_of(name: str) -> Labelled:
    dataset = DATASETS[name]
    if dataset.types:
        reference = ts.read_reference(dataset.path, dataset.types)
        cells, types = reference.cells, np.array(reference.labels.names)[reference.codes]
    else:
        cells = ts.open_section(dataset.path, sections=dataset.batch).section.cells
        types = np.full(len(cells), "")
    batch = np.full(len(cells), "")
    if dataset.batch:
        obs = anndata.read_h5ad(dataset.path, backed="r").obs
        batch = obs[dataset.batch].astype(str).loc[cells.ids].to_numpy(dtype=np.str_)
    return Labelled(cells, types, batch)


@cache
def classes_of_two_technologies() -> tuple[Reference, Reference]:
    """scRNA MOp and STARmap mPFC over the genes that both have, by class."""
    motor = renamed(labelled("scrna_mop", "subclass"), cell_class)
    frontal = renamed(labelled("starmap_mpfc_bz5_bz14"), cell_class)
    panel = frontal.cells.panel
    panel = panel.take(panel.shared_with(motor.cells.panel))
    return tuple(  # type: ignore[return-value]
        Reference(one.cells.restrict(panel), one.labels, one.codes) for one in (motor, frontal)
    )


def taught(name: str) -> list[Cells]:
    """The cells that a model of this name learns from."""
    if name == "mop_mpfc":
        return [reference.cells for reference in classes_of_two_technologies()]
    return [cells_of(name).cells]


def bundle_of(name: str, seed: int, options: argparse.Namespace) -> Bundle:
    """The model, pretrained where it is missing."""
    path = options.bundles / f"{name}-{seed}"
    if path.exists():
        return ts.load_bundle(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    print(f"pretraining {path}", file=sys.stderr, flush=True)
    config = ts.PretrainConfig(
        stage="cells", epochs=options.epochs, most_genes=options.most_genes, seed=seed, device="cpu"
    )
    return ts.pretrain(taught(name), out=path, config=config)


def embedding_of(cells: Cells, bundle: Bundle) -> np.ndarray:
    """Embeddings (N, d) of cells, each read alone."""
    model = load_omnicell(bundle, torch.device("cpu"))
    reading = model.reading(cells.panel)
    return embedded(model, model.read(cells, reading), reading, JobContext())


def known_to(bundle: Bundle, cells: Cells) -> Cells:
    """The cells over the genes that a model reads."""
    return cells.restrict(cells.panel.take(cells.panel.shared_with(bundle.panel)))


def components_of(known: Cells, asked: Sequence[Cells]) -> list[np.ndarray]:
    """Principal components of log-normalised, z-scored counts, fitted to the ``known`` cells."""
    own, _ = standardised(known, known)
    model = PCA(min(COMPONENTS, min(own.shape) - 1), svd_solver="full").fit(own)
    return [model.transform(standardised(known, cells)[1]) for cells in asked]


def command_line(
    doc: str,
    tasks: Collection[str],
    work: Callable[[str, int, argparse.Namespace], Iterable[Any]],
    table: Callable[[list[dict[str, Any]]], None],
) -> None:
    """``run`` adds a line for each row that ``work`` gives of a task and seed; ``table`` prints."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run")
    running.add_argument("--out", type=Path, required=True)
    running.add_argument("--bundles", type=Path, required=True, metavar="DIR")
    running.add_argument("--task", nargs="+", choices=tasks, default=list(tasks))
    running.add_argument("--seed", nargs="+", type=int, default=list(range(5)))
    running.add_argument("--epochs", type=int, help="of models that are missing")
    running.add_argument("--most-genes", type=int, help="that these read; else the preset's 100")
    running.add_argument("--quick", action="store_true", help="one task, seed and epoch")
    running.set_defaults(do=lambda options: _run(options, work))
    showing = commands.add_parser("table")
    showing.add_argument("rows", type=Path)
    showing.set_defaults(do=lambda options: table(read(options.rows)))
    options = parser.parse_args()
    options.do(options)


def _run(
    options: argparse.Namespace, work: Callable[[str, int, argparse.Namespace], Iterable[Any]]
) -> None:
    if options.quick:  # a model of one epoch must not be taken for another
        options.task, options.seed, options.epochs = options.task[:1], [0], 1
        options.bundles = Path(tempfile.mkdtemp())
    done = {(row["task"], row["seed"]) for row in read(options.out)}
    for task in options.task:
        for seed in options.seed:
            if (task, seed) in done:
                continue
            rows = list(work(task, seed, options))
            with options.out.open("a") as file:
                file.writelines(json.dumps(asdict(row)) + "\n" for row in rows)
            for row in rows:
                print(row, file=sys.stderr, flush=True)
