"""Train a CellMemory on a labelled reference."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tagscope.core.panel import GenePanel
from tagscope.core.provenance import Provenance
from tagscope.core.section import Cells, Reference
from tagscope.errors import OutputError
from tagscope.jobs import JobCancelled, JobContext
from tagscope.models.bundle import Bundle, save_bundle
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.model import CAPABILITIES
from tagscope.models.cellmemory.network import CellMemoryNetwork
from tagscope.models.cellmemory.tokenise import Preprocessing, tokenise
from tagscope.models.device import choose_device, choose_precision, keep_freed_memory
from tagscope.training.checkpoint import (
    Checkpoint,
    checkpoint_path,
    read_checkpoint,
    write_checkpoint,
)
from tagscope.training.initial import order_tokens
from tagscope.training.loop import Examples, Loop, label_weights
from tagscope.training.metrics import accuracy, confusion_matrix, macro_f1
from tagscope.training.prepare import Prepared, prepare, split
from tagscope.training.recipe import EpochRecord, Recipe, TrainConfig, recipe_of
from tagscope.training.thinning import thin, thin_to

Ints = npt.NDArray[np.int64]

__all__ = ["EpochRecord", "TrainConfig", "train"]


def train(
    reference: Reference,
    out: Path,
    config: TrainConfig | None = None,
    *,
    model_config: CellMemoryConfig | None = None,
    panel: GenePanel | None = None,
    section: Cells | None = None,
    resume: bool = False,
    overwrite: bool = False,
    context: JobContext | None = None,
) -> Bundle:
    """Train on ``reference`` and save the weights of the epoch with the lowest validation loss.

    With ``panel`` only the genes shared with it are used. With ``section``, the cells that the
    model is meant for, training and validation cells are thinned to their depth. ``context`` hears
    ``step("training", epoch, epochs, partial=EpochRecord)`` after every epoch, and finer steps of
    the stages ``"epoch N"`` and ``"validating"`` (cells). A checkpoint beside ``out`` is kept until
    training has finished; ``resume`` goes on from it, to the same numbers as without a break.

    Raises
    ------
    JobCancelled
        If the job was cancelled; ``out`` then is a bundle of the best epoch so far, if there was
        one, and the training can be resumed.
    InputError
        If the reference cannot be trained on.
    ArgumentError
        If there is nothing to resume, or it was started with other data or settings.
    OutputError
        If ``out`` exists and neither ``overwrite`` nor ``resume`` is set.
    """
    config, context = config or TrainConfig(), context or JobContext()
    _refuse_existing(out, resume or overwrite)
    keep_freed_memory()
    recipe = recipe_of(config)
    prepared = prepare(reference, panel, recipe, section)
    task = _task(prepared, recipe, config, model_config or default_model(recipe))
    with _own_random_numbers(config.seed):
        progress = _start(task, config)
        if resume:
            progress.restore(read_checkpoint(out, task.request))
        try:
            _run(task, progress, out, context)
        except JobCancelled:
            if progress.history:
                _save(task, progress, config, out, stopped="cancelled")
            raise
    bundle = _save(task, progress, config, out, stopped=progress.reason(recipe))
    checkpoint_path(out).unlink(missing_ok=True)
    return bundle


def default_model(recipe: Recipe) -> CellMemoryConfig:
    """The network a recipe trains where none is asked for."""
    return CellMemoryConfig() if recipe.published else CellMemoryConfig(width=64, ffn=128)


@dataclass(frozen=True)
class _Task:
    """What is trained on what; ``request`` tells it from any other."""

    prepared: Prepared
    recipe: Recipe
    model: CellMemoryConfig
    preprocessing: Preprocessing
    seed: int
    training_rows: Ints
    validation: Examples
    request: str

    def training(self, epoch: int) -> Examples:
        """What one epoch (from 0) trains on: the training cells, thinned."""
        rng = np.random.default_rng([self.seed, epoch, 2])
        cells = self.prepared.reference.cells.take(self.training_rows)
        share = self.prepared.share
        thinned = thin_to(cells, share, rng) if share else thin(cells, self.recipe.thinning, rng)
        tokens = tokenise(thinned, cells.panel, self.model, self.preprocessing, seed=self.seed)
        return Examples(tokens, self.prepared.reference.codes[self.training_rows])


@dataclass
class _Progress:
    """The training so far."""

    loop: Loop
    history: list[EpochRecord] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = 0
    confusion: list[list[int]] = field(default_factory=list)
    earlier_seconds: float = 0.0
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Time spent, earlier sittings included."""
        return self.earlier_seconds + time.monotonic() - self.started

    def waited(self) -> int:
        """Epochs since the best one."""
        return len(self.history) - self.best_epoch

    def finished(self, recipe: Recipe) -> bool:
        return len(self.history) >= recipe.epochs or self.waited() >= recipe.patience

    def reason(self, recipe: Recipe) -> str:
        return "all epochs" if len(self.history) >= recipe.epochs else "patience"

    def add(self, record: EpochRecord, confusion: np.ndarray[Any, Any]) -> None:
        """Keep a record, and the weights where it is the best so far."""
        lowest = min((past.validation_loss for past in self.history), default=math.inf)
        self.history.append(record)
        if record.validation_loss < lowest or not self.best:
            self.best_epoch = record.epoch
            self.confusion = confusion.tolist()
            weights = self.loop.network.state_dict()
            self.best = {name: value.detach().cpu().clone() for name, value in weights.items()}

    def checkpoint(self, request: str) -> Checkpoint:
        return Checkpoint(
            request,
            self.loop.network.state_dict(),
            self.loop.optimizer.state_dict(),
            [asdict(record) for record in self.history],
            self.best,
            self.best_epoch,
            self.confusion,
            self.seconds,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        self.loop.network.load_state_dict(checkpoint.network)
        self.loop.optimizer.load_state_dict(checkpoint.optimizer)
        self.history = [EpochRecord(**record) for record in checkpoint.history]
        self.best, self.best_epoch = checkpoint.best, checkpoint.best_epoch
        self.confusion, self.earlier_seconds = checkpoint.confusion, checkpoint.seconds


def _task(
    prepared: Prepared, recipe: Recipe, config: TrainConfig, model: CellMemoryConfig
) -> _Task:
    preprocessing = Preprocessing(prepared.target_sum)
    reference = prepared.reference
    model = _sized(model, prepared, preprocessing)
    rows, held_out = split(reference.codes, recipe, config.validation, config.seed)
    cells = reference.cells.take(held_out)
    if prepared.share:
        cells = thin_to(cells, prepared.share, np.random.default_rng([config.seed, 3]))
    tokens = tokenise(cells, cells.panel, model, preprocessing, seed=config.seed)
    validation = Examples(tokens, reference.codes[held_out])
    asked = {
        "model": model.to_dict(), "recipe": asdict(recipe), "seed": config.seed,
        "validation": config.validation, "precision": config.precision, "data": prepared.digest(),
        "share": prepared.share,
    }  # fmt: skip
    request = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    return _Task(prepared, recipe, model, preprocessing, config.seed, rows, validation, request)


def _sized(
    model: CellMemoryConfig, prepared: Prepared, preprocessing: Preprocessing
) -> CellMemoryConfig:
    """Rounded values need no more tokens than the reference has."""
    if model.encoding != "round":
        return model
    largest = preprocessing.apply(prepared.reference.cells).data.max()
    return replace(model, max_bin=max(2, min(model.max_bin, math.ceil(largest * model.resolution))))


def _start(task: _Task, config: TrainConfig) -> _Progress:
    device = choose_device(config.device)
    torch.manual_seed(config.seed)
    reference, recipe = task.prepared.reference, task.recipe
    network = CellMemoryNetwork(task.model, len(reference.cells.panel), len(reference.labels))
    if not recipe.published:
        order_tokens(network)
    optimizer = torch.optim.AdamW(
        _groups(network.to(device), recipe.weight_decay), lr=recipe.learning_rate,
        fused=device.type in ("cpu", "cuda"),
    )  # fmt: skip
    precision = choose_precision(config.precision, device)
    weights = label_weights(
        reference.codes[task.training_rows], len(reference.labels), recipe.rare_power
    )
    return _Progress(
        Loop(network, optimizer, recipe, config.seed, device, precision, weights.to(device))
    )


def _groups(network: CellMemoryNetwork, decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices alone: biases, norms and the CLS token go free."""
    matrices = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": decay},
        {"params": others, "weight_decay": 0.0},
    ]


def _run(task: _Task, progress: _Progress, out: Path, context: JobContext) -> None:
    recipe = task.recipe
    context.step("training", len(progress.history), recipe.epochs)
    while not progress.finished(recipe):
        epoch = len(progress.history)
        loss = progress.loop.train_epoch(task.training(epoch), epoch, context)
        record, confusion = _validate(task, progress.loop, epoch, loss, context)
        progress.add(record, confusion)
        write_checkpoint(out, progress.checkpoint(task.request))
        context.step("training", epoch + 1, recipe.epochs, partial=record)


def _validate(
    task: _Task, loop: Loop, epoch: int, train_loss: float, context: JobContext
) -> tuple[EpochRecord, np.ndarray[Any, Any]]:
    codes, labels = task.validation.codes, len(task.prepared.reference.labels)
    loss, predicted = train_loss, codes
    if len(codes):
        logits = loop.predict(task.validation, context)
        predicted = logits.argmax(dim=1).numpy()
        loss = loop.validation_loss(logits, codes, epoch)
    confusion = confusion_matrix(codes, predicted, labels)
    rate = loop.optimizer.param_groups[0]["lr"]
    record = EpochRecord(
        epoch + 1, train_loss, loss, accuracy(confusion), macro_f1(confusion), rate
    )
    return record, confusion


def _save(
    task: _Task, progress: _Progress, config: TrainConfig, out: Path, *, stopped: str
) -> Bundle:
    reference = task.prepared.reference
    return save_bundle(
        out,
        model="cellmemory",
        config=task.model.to_dict(),
        panel=reference.cells.panel,
        labels=reference.labels,
        preprocessing=task.preprocessing.to_dict(),
        capabilities=CAPABILITIES,
        training=_account(task, progress, config, stopped),
        state=progress.best,
        overwrite=True,  # asked for before training began
    )


def _account(task: _Task, progress: _Progress, config: TrainConfig, stopped: str) -> dict[str, Any]:
    """What the bundle tells of its training; NaN, which JSON lacks, becomes None."""
    best = progress.history[progress.best_epoch - 1]
    provenance = Provenance(
        verb="train",
        parameters=asdict(config),
        inputs={"data_sha256": task.prepared.digest()},
        seed=config.seed,
        device=str(progress.loop.device),
        seconds=round(progress.seconds, 1),
    )
    return {
        "accuracy": _number(best.accuracy),
        "macro_f1": _number(best.macro_f1),
        "confusion": progress.confusion,
        "history": [
            {name: _number(value) for name, value in asdict(record).items()}
            for record in progress.history
        ],
        "best_epoch": progress.best_epoch,
        "stopped": stopped,
        "cells": {"training": len(task.training_rows), "validation": len(task.validation)},
        "label_counts": task.prepared.label_counts,
        "recipe": {name: _number(value) for name, value in asdict(task.recipe).items()},
        "notes": list(task.prepared.notes),
        "provenance": json.loads(provenance.to_json()),
    }


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextlib.contextmanager
def _own_random_numbers(seed: int) -> Iterator[None]:
    """Draw from torch's generators without moving those of the caller."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _refuse_existing(out: Path, allowed: bool) -> None:
    if out.exists() and not allowed:
        raise OutputError(
            f"{out} exists.",
            "A model is not replaced unasked.",
            "Give --overwrite, or another --out.",
        )
