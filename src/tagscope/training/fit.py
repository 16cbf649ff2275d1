"""Train a model on a labelled reference."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Reference
from tagscope.errors import ArgumentError
from tagscope.jobs import JobCancelled, JobContext
from tagscope.memory import keep_freed_memory
from tagscope.models.base import Capability
from tagscope.models.bundle import Bundle
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.models.device import choose_device, choose_precision
from tagscope.models.omnicell.config import HeadConfig
from tagscope.training.account import save
from tagscope.training.baseline import BaselineScores, logistic_regression
from tagscope.training.calibrate import calibrate
from tagscope.training.cellmemory import cellmemory_members
from tagscope.training.cellpatch import cellpatch_members
from tagscope.training.checkpoint import checkpoint_path, read_checkpoint, write_checkpoint
from tagscope.training.head import head_members
from tagscope.training.loop import Loop
from tagscope.training.member import Member, Standing, train_member
from tagscope.training.recipe import EpochRecord, TrainConfig, Trained
from tagscope.training.sitting import Progress, own_random_numbers, refuse_existing

__all__ = ["EpochRecord", "ModelConfig", "TrainConfig", "train"]

ModelConfig = CellMemoryConfig | CellPatchConfig | HeadConfig

_CONFIGS: dict[Trained, type[ModelConfig]] = {
    "cellmemory": CellMemoryConfig, "cellpatch": CellPatchConfig, "omnicell": HeadConfig,
}  # fmt: skip


def train(
    reference: Reference,
    out: Path,
    config: TrainConfig | None = None,
    *,
    model: Trained | None = None,
    model_config: ModelConfig | None = None,
    init: Bundle | None = None,
    panel: GenePanel | None = None,
    section: Cells | None = None,
    resume: bool = False,
    overwrite: bool = False,
    context: JobContext | None = None,
) -> Bundle:
    """Train on ``reference`` and save, of every network, the epoch with the lowest validation loss.

    What is trained is a CellMemory; a CellPatch, from the weights of ``init`` if given; or, with
    ``init``, a bundle of OmniCell, heads on its embedding of cells. ``model`` says which, where
    neither ``model_config`` nor ``init`` tells. With ``panel`` only the genes shared with it are
    used. With ``section``, the cells that the model is meant for, training and validation cells are
    brought to their depth and background, and first gene embeddings tell how genes vary together
    there too. ``context`` hears ``step("training", epochs done, epochs of all networks,
    partial=EpochRecord)`` after every epoch, and finer steps of the stages ``"preparing"``,
    ``"reading genes"``, ``"epoch N"``, ``"validating"``, ``"embedding"`` and ``"baseline"``.
    A checkpoint beside ``out`` is kept until training has finished; ``resume`` goes on from it, to
    the same numbers as without a break.

    Raises
    ------
    JobCancelled
        If the job was cancelled; ``out`` then is a bundle of the best epochs so far, if there were
        any, and the training can be resumed.
    InputError
        If the reference cannot be trained on.
    ArgumentError
        If there is nothing to resume, it was started with other data or settings, or
        ``model_config`` is of the other model.
    OutputError
        If ``out`` exists and neither ``overwrite`` nor ``resume`` is set.
    """
    config, context = config or TrainConfig(), context or JobContext()
    model = model or _told_by(model_config, init)
    refuse_start(model, init)
    refuse_existing(out, resume or overwrite)
    keep_freed_memory()
    with own_random_numbers(config.seed):
        members = _members(model, reference, config, model_config, init, panel, section, context)
        task = _Task(members, config, _request(members, config))
        progress = Progress.after(read_checkpoint(out, task.request) if resume else None, Standing)
        try:
            _run(task, progress, out, context)
            baseline = logistic_regression(task.members, context)
        except JobCancelled:
            if progress.standings and progress.standings[0].history:
                _save(task, progress, out, None, None, stopped="cancelled")
            raise
        reason = progress.standings[-1].reason(task.members[-1].recipe)
        bundle = _save(task, progress, out, baseline, context, stopped=reason)
    checkpoint_path(out).unlink(missing_ok=True)
    return bundle


@dataclass(frozen=True)
class _Task:
    """What is trained on what; ``request`` tells it from any other."""

    members: Sequence[Member]
    config: TrainConfig
    request: str

    @property
    def epochs(self) -> int:
        """Most epochs of all networks together."""
        return sum(member.recipe.epochs for member in self.members)


def _members(
    model: Trained,
    reference: Reference,
    config: TrainConfig,
    network: ModelConfig | None,
    init: Bundle | None,
    panel: GenePanel | None,
    section: Cells | None,
    context: JobContext,
) -> Sequence[Member]:
    if network is not None and not isinstance(network, _CONFIGS[model]):
        raise ArgumentError(
            f"The settings are those of a {type(network).__name__.removesuffix('Config')}.",
            f"A training of {model} takes a {_CONFIGS[model].__name__}.",
            "Give those of the model that is trained, or leave them out.",
            {"model": None},
        )
    if isinstance(network, CellPatchConfig) or model == "cellpatch":
        patches = network if isinstance(network, CellPatchConfig) else None
        return cellpatch_members(reference, init, config, patches, panel, section, context)
    if init is not None:
        head = network if isinstance(network, HeadConfig) else None
        return head_members(reference, init, config, head, panel, section, context)
    memory = network if isinstance(network, CellMemoryConfig) else None
    return cellmemory_members(reference, config, memory, panel, section, context)


def refuse_start(model: Trained, init: Bundle | None) -> None:
    """Refuse a training that starts from what its model cannot start from.

    Raises
    ------
    ArgumentError
        If the model is unknown, or ``init`` is missing, not wanted, or of another model.
    """
    if model not in _CONFIGS:
        raise ArgumentError(
            f"Models of kind {model!r} cannot be trained.",
            f"Those of {', '.join(_CONFIGS)} can.",
            "Choose another model.",
            {"model": None},
        )
    if init is None and model == "omnicell":
        raise ArgumentError(
            "An OmniCell was to learn labels from nothing.",
            "A bundle of OmniCell that was pretrained or converted is needed.",
            "Name it; pretraining on the section itself makes one.",
            {"init": None},
        )
    if init is None:
        return
    if model == "cellmemory":
        raise ArgumentError(
            "A CellMemory was to start from a bundle.",
            "It learns from the reference alone; an OmniCell's labels start from one.",
            "Leave the bundle out, or train an OmniCell.",
            {"init": False, "model": "omnicell"},
        )
    if init.model != model:
        raise ArgumentError(
            f"{init.path} is a model of kind {init.model!r}.",
            f"A bundle of {model} is needed.",
            "Choose one, or train another model.",
            {"init": None},
        )
    if model == "omnicell" and Capability.ANNOTATE in init.capabilities:
        raise ArgumentError(
            f"{init.path} is a model of kind {init.model!r} that knows labels already.",
            "A bundle of OmniCell that was pretrained or converted is needed.",
            "Choose one; the record of a bundle with labels names that it was made of.",
            {"init": None},
        )


def _told_by(network: ModelConfig | None, init: Bundle | None) -> Trained:
    """The model that settings, or a bundle to start from, are of."""
    named = next((name for name, kind in _CONFIGS.items() if isinstance(network, kind)), None)
    if named is not None:
        return named
    if init is None:
        return "cellmemory"
    return "cellpatch" if init.model == "cellpatch" else "omnicell"


def _request(members: Sequence[Member], config: TrainConfig) -> str:
    first = members[0]
    measured = first.prepared.measured
    asked = {
        **first.settings(), "recipe": asdict(first.recipe), "seed": config.seed,
        "validation": config.validation, "precision": config.precision,
        "data": first.prepared.digest(), "measured": measured and measured.to_dict(),
    }  # fmt: skip
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _run(task: _Task, progress: Progress[Standing], out: Path, context: JobContext) -> None:
    device = choose_device(task.config.device)
    precision = choose_precision(task.config.precision, device)
    context.step("training", _epochs(progress), task.epochs)
    for member in task.members:
        if _done(member, progress):
            continue
        loop = member.start(device, precision)
        standing = progress.begin(member.fold, loop, Standing)

        def after_epoch(record: EpochRecord, loop: Loop = loop) -> None:
            write_checkpoint(out, progress.checkpoint(task.request, loop))
            context.step("training", _epochs(progress), task.epochs, partial=record)

        train_member(member, loop, standing, context, after_epoch)


def _epochs(progress: Progress[Standing]) -> int:
    """Epochs done by all networks."""
    return sum(len(standing.history) for standing in progress.standings)


def _done(member: Member, progress: Progress[Standing]) -> bool:
    """Whether an earlier sitting finished a member."""
    if member.fold >= len(progress.standings):
        return False
    return progress.standings[member.fold].finished(member.recipe)


def _save(
    task: _Task,
    progress: Progress[Standing],
    out: Path,
    baseline: BaselineScores | None,
    context: JobContext | None,
    *,
    stopped: str,
) -> Bundle:
    done = [standing for standing in progress.standings if standing.history]
    members = task.members[: len(done)]
    device = choose_device(task.config.device)
    precision = choose_precision(task.config.precision, device)
    calibration = calibrate(members, done, device, precision, context)
    return save(
        out, members, done, task.config, baseline, calibration,
        stopped=stopped, seconds=progress.seconds,
    )  # fmt: skip
