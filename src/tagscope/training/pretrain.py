"""Pretrain a network on cells without labels."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from tagscope.core.labels import LabelSet
from tagscope.core.provenance import Provenance
from tagscope.io.cell_source import CellSource
from tagscope.jobs import JobCancelled, JobContext
from tagscope.memory import keep_freed_memory
from tagscope.models.bundle import Bundle, load_bundle, save_bundle
from tagscope.models.device import choose_device, device_name
from tagscope.training.checkpoint import checkpoint_path, read_checkpoint, write_checkpoint
from tagscope.training.parallel import World, joined, own_device
from tagscope.training.pretrain_cellpatch import cellpatch_task
from tagscope.training.pretrain_loop import PretrainLoop
from tagscope.training.pretrain_omnicell import omnicell_task
from tagscope.training.pretrain_recipe import PretrainConfig, PretrainRecord
from tagscope.training.pretrain_task import Asked, Task
from tagscope.training.sitting import Progress, own_random_numbers, refuse_existing

Pretrained = Literal["omnicell", "cellpatch"]

_TASKS: dict[Pretrained, Callable[[Asked], Task]] = {
    "omnicell": omnicell_task, "cellpatch": cellpatch_task,
}  # fmt: skip


def pretrain(
    sources: Sequence[CellSource],
    out: Path,
    config: PretrainConfig | None = None,
    *,
    model: Pretrained = "omnicell",
    init: Bundle | None = None,
    resume: bool = False,
    overwrite: bool = False,
    context: JobContext | None = None,
) -> Bundle:
    """Learn to tell hidden genes, and save the weights with the lowest loss on cells held out.

    The vocabulary is the genes of the data, or that of ``init``, whose weights are gone on from; a
    CellPatch's grows by the genes that are new.
    ``context`` hears ``step("training", updates done, updates of all stages,
    partial=PretrainRecord)`` whenever the cells held out were looked at, and finer steps of the
    stages ``"reading genes"`` and ``"spatial updates"`` or ``"cells updates"``.
    A checkpoint beside ``out`` is kept until training has finished; ``resume`` goes on from it, to
    the same numbers as without a break. Started by ``torchrun``, all processes share every update.

    Raises
    ------
    JobCancelled
        If the job was cancelled; ``out`` then is a bundle of the best so far, if there was any, and
        the training can be resumed.
    InputError
        If the cells cannot be trained on.
    ArgumentError
        If there is nothing to resume, it was started with other data or settings, or cells without
        places are to be read with neighbours.
    OutputError
        If ``out`` exists and neither ``overwrite`` nor ``resume`` is set.
    """
    config, context = config or PretrainConfig(), context or JobContext()
    refuse_existing(out, resume or overwrite)
    keep_freed_memory()
    device = own_device(choose_device(config.device))
    with joined(device) as world, own_random_numbers(config.seed), _scratch(out, world) as folder:
        task = _TASKS[model](Asked(sources, config, init, device, world, folder, context))
        restored = read_checkpoint(out, task.request) if resume else None
        progress = Progress.after(restored, _Standing)
        try:
            _run(task, progress, out, context)
        except JobCancelled:
            if world.leads and any(standing.best for standing in progress.standings):
                _save(task, progress, out, stopped="cancelled")
            raise
        if world.leads:
            _save(task, progress, out, stopped="all epochs")
            checkpoint_path(out).unlink(missing_ok=True)
        world.wait()
    return load_bundle(out)


@dataclass
class _Standing:
    """How far a stage has come: the records so far, and the weights with the lowest loss."""

    stage: str
    history: list[PretrainRecord] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    lowest: float = math.inf

    @property
    def updates(self) -> int:
        """Updates done."""
        return self.history[-1].update if self.history else 0

    def add(self, record: PretrainRecord, network: nn.Module) -> None:
        """Keep a record, and the weights where it is the best so far."""
        self.history.append(record)
        if record.validation_loss < self.lowest or not self.best:
            self.lowest = record.validation_loss
            weights = network.state_dict()
            self.best = {name: value.detach().cpu().clone() for name, value in weights.items()}

    def to_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {**vars(self), "history": [asdict(record) for record in self.history]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> _Standing:
        """Inverse of :meth:`to_dict`."""
        history = [PretrainRecord(**record) for record in data["history"]]
        return cls(**{**data, "history": history})


def _begin(progress: Progress[_Standing], loop: PretrainLoop) -> _Standing:
    """A stage's standing: as the checkpoint left it, or from the best of the one before."""
    if progress.standings and loop.number == len(progress.standings):
        loop.network.load_state_dict(progress.standings[-1].best)
    return progress.begin(loop.number, loop, lambda: _Standing(loop.stage))


def _updates(progress: Progress[_Standing]) -> int:
    """Updates done in all stages."""
    return sum(standing.updates for standing in progress.standings)


def _last(progress: Progress[_Standing]) -> _Standing:
    """The last stage of which there are weights."""
    return next(standing for standing in reversed(progress.standings) if standing.best)


def _run(task: Task, progress: Progress[_Standing], out: Path, context: JobContext) -> None:
    total = sum(task.loop(number).updates for number in range(len(task.stages)))
    for number in range(max(0, len(progress.standings) - 1), len(task.stages)):
        loop = task.loop(number)
        context.change_pace("training")
        context.step("training", _updates(progress), total)
        standing = _begin(progress, loop)
        while standing.updates < loop.updates:
            standing.add(_round(loop, standing.updates, context), loop.network)
            if task.asked.world.leads:
                write_checkpoint(out, progress.checkpoint(task.request, loop))
            context.step("training", _updates(progress), total, partial=standing.history[-1])


def _round(loop: PretrainLoop, first: int, context: JobContext) -> PretrainRecord:
    last = min(first + loop.updates_per_round, loop.updates)
    train_loss = loop.train(first, last, context)
    rate = loop.optimizer.param_groups[0]["lr"]
    epoch = last / loop.updates_per_epoch
    return PretrainRecord(loop.stage, epoch, last, train_loss, loop.validate(context), rate)


def _save(task: Task, progress: Progress[_Standing], out: Path, *, stopped: str) -> Bundle:
    return save_bundle(
        out,
        **task.contents(_learned(progress)),
        panel=task.vocabulary,
        labels=LabelSet(()),
        training=_account(task, progress, stopped),
        state=_last(progress).best,
        overwrite=True,  # asked for before training began
    )


def _learned(progress: Progress[_Standing]) -> list[str]:
    """The stages of which there are weights: fewer than all where it was stopped."""
    return [standing.stage for standing in progress.standings if standing.best]


def _account(task: Task, progress: Progress[_Standing], stopped: str) -> dict[str, Any]:
    """How it was trained, and how well it told the hidden genes of cells that it had not seen."""
    inputs = {f"cells_{index}": part.name for index, part in enumerate(task.corpus.parts)}
    if task.asked.init is not None:
        inputs |= {"init": str(task.asked.init.path), "init_digest": task.asked.init.digest}
    provenance = Provenance(
        verb="pretrain",
        parameters=asdict(task.asked.config),
        inputs={**inputs, "data_sha256": task.corpus.digest()},
        seed=task.asked.config.seed,
        device=device_name(task.asked.device),
        seconds=round(progress.seconds, 1),
        extra={"precision": str(task.asked.precision), "processes": task.asked.world.size},
    )
    return {
        "validation_loss": _last(progress).lowest,
        "history": [asdict(record) for one in progress.standings for record in one.history],
        "stages": _learned(progress),
        "stopped": stopped,
        "cells": {
            "training": len(task.corpus.training), "validation": len(task.corpus.validation)
        },
        "recipe": asdict(task.recipe),
        **task.record(),
        "provenance": json.loads(provenance.to_json()),
    }  # fmt: skip


@contextlib.contextmanager
def _scratch(out: Path, world: World) -> Iterator[Path]:
    """A folder beside the bundle that all processes see; it is removed in the end."""
    folder = out.with_name(f".{out.name}.ranks")
    if world.leads:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        yield folder
    finally:
        if world.leads:
            shutil.rmtree(folder, ignore_errors=True)
