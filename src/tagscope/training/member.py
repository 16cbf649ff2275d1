"""One network of a training: what it trains on, and how far it has come."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.jobs import JobContext
from tagscope.models.base import Capability
from tagscope.models.novelty import NoveltyModel
from tagscope.training.loop import Examples, Loop, label_weights
from tagscope.training.metrics import accuracy, confusion_matrix, macro_f1
from tagscope.training.prepare import Prepared
from tagscope.training.recipe import EpochRecord, Recipe, TrainConfig
from tagscope.training.splits import Split, splits

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Contents:
    """What a bundle holds of a model beside its labels: see :class:`tagscope.models.bundle.Bundle`;
    ``state`` is its weights."""

    model: str
    config: dict[str, Any]
    panel: GenePanel
    preprocessing: dict[str, Any]
    capabilities: frozenset[Capability]
    state: dict[str, Tensor]


@dataclass(frozen=True)
class Member(ABC):
    """The network of one ``fold`` (from 0) and its part of the cells."""

    fold: int
    prepared: Prepared
    recipe: Recipe
    seed: int
    split: Split

    @property
    def labels(self) -> int:
        """C, the number of labels."""
        return len(self.prepared.reference.labels)

    @property
    def validation_codes(self) -> Ints:
        """Label codes of the validation cells."""
        return self.prepared.reference.codes[self.split.validation]

    @abstractmethod
    def training(self, epoch: int, context: JobContext) -> Examples:
        """What one epoch (from 0) trains on: the training cells, as the section measures them."""

    @abstractmethod
    def validation(self, context: JobContext) -> Examples:
        """The validation cells, encoded."""

    @abstractmethod
    def training_as_validation(self, most: int, context: JobContext) -> Examples:
        """At most so many training cells, measured like the validation cells."""

    @abstractmethod
    def start(self, device: torch.device, precision: torch.dtype) -> Loop:
        """The network with its first weights, ready for the first epoch."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What tells the network from any other, JSON-ready."""

    @property
    def inputs(self) -> dict[str, str]:
        """What it was made of beside the reference, for the record."""
        return {}

    @property
    def record(self) -> dict[str, Any]:
        """What else of its training the bundle's account says."""
        return {}

    @abstractmethod
    def contents(
        self, states: Sequence[Mapping[str, Tensor]], usual: NoveltyModel | None
    ) -> Contents:
        """A bundle of the weights of this network and of others like it."""

    def validation_cells(self) -> Cells:
        """The cells held out, as the section that the model is meant for measures them."""
        cells = self.prepared.reference.cells.take(self.split.validation)
        return self.as_measured(cells, np.random.default_rng([self.seed, 3]))

    def as_measured(self, cells: Cells, rng: np.random.Generator) -> Cells:
        """Cells as the section measures them, where that is known and differs."""
        measured = self.prepared.measured
        return cells if measured is None else measured.of(cells, rng)

    def _optimizer(self, network: nn.Module, device: torch.device) -> torch.optim.Optimizer:
        decay, rate = self.recipe.weight_decay, self.recipe.learning_rate
        fused, network = device.type in ("cpu", "cuda"), network.to(device)
        if self.recipe.penalty == "loss":
            return torch.optim.Adam(network.parameters(), rate, weight_decay=decay, fused=fused)
        return torch.optim.AdamW(_groups(network, decay), rate, fused=fused)

    def _weights(self, device: torch.device) -> Tensor:
        """Weight of every label in the loss, (C,)."""
        codes = self.prepared.reference.codes[self.split.training]
        return label_weights(codes, self.labels, self.recipe.rare_power).to(device)

    def _ancestors(self, device: torch.device) -> tuple[Tensor, ...]:
        """For every coarser level of labels the code of each label there, (C,) int64."""
        tree = self.prepared.reference.tree
        levels = [] if tree is None else [tree.ancestors(level) for level in range(len(tree) - 1)]
        return tuple(torch.from_numpy(codes).to(device) for codes in levels)


def shares_of(
    prepared: Prepared, recipe: Recipe, config: TrainConfig
) -> list[tuple[int, Prepared, Recipe, int, Split]]:
    """The first fields of every member of a training."""
    reference = prepared.reference
    parts = splits(reference.codes, recipe, config.validation, config.seed, prepared.groups)
    labels = len(reference.labels)
    return [
        (fold, prepared, recipe.for_cells(len(part.training), labels),
         _seed(config.seed, fold), part)
        for fold, part in enumerate(parts)
    ]  # fmt: skip


def _seed(seed: int, fold: int) -> int:
    """A member's seed; the first one's is the training's own."""
    return seed if fold == 0 else int(np.random.SeedSequence([seed, fold]).generate_state(1)[0])


@dataclass
class Standing:
    """How far a member has come: the epochs so far and the best of them.

    ``best`` holds the weights after the epoch with the lowest validation loss, ``logits`` (V, C)
    what these say of the validation cells.
    """

    history: list[EpochRecord] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = 0
    logits: Tensor = field(default_factory=lambda: torch.empty(0))

    def finished(self, recipe: Recipe) -> bool:
        """Whether all epochs are done, or patience is at its end."""
        waited = len(self.history) - self.best_epoch
        impatient = bool(recipe.patience) and waited >= recipe.patience
        return len(self.history) >= recipe.epochs or impatient

    def reason(self, recipe: Recipe) -> str:
        """Why it ended, or would."""
        return "all epochs" if len(self.history) >= recipe.epochs else "patience"

    def add(self, record: EpochRecord, logits: Tensor, network: nn.Module) -> None:
        """Keep a record, and the weights where it is the best so far."""
        lowest = min((past.validation_loss for past in self.history), default=math.inf)
        self.history.append(record)
        if record.validation_loss < lowest or not self.best:
            self.best_epoch, self.logits = record.epoch, logits
            weights = network.state_dict()
            self.best = {name: value.detach().cpu().clone() for name, value in weights.items()}

    def to_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {**vars(self), "history": [asdict(record) for record in self.history]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Standing:
        """Inverse of :meth:`to_dict`."""
        history = [EpochRecord(**record) for record in data["history"]]
        return cls(**{**data, "history": history})


def train_member(
    member: Member,
    loop: Loop,
    standing: Standing,
    context: JobContext,
    after_epoch: Callable[[EpochRecord], None],
) -> None:
    """Train until the member has finished; ``after_epoch`` hears every epoch's record."""
    validation = member.validation(context)
    while not standing.finished(member.recipe):
        epoch = len(standing.history)
        loss = loop.train_epoch(member.training(epoch, context), epoch, context)
        record, logits = _validate(member, loop, validation, epoch, loss, context)
        standing.add(record, logits, loop.network)
        after_epoch(record)


def _validate(
    member: Member,
    loop: Loop,
    validation: Examples,
    epoch: int,
    train_loss: float,
    context: JobContext,
) -> tuple[EpochRecord, Tensor]:
    codes, loss = validation.codes, train_loss
    logits = torch.empty(0, member.labels)
    if len(codes):
        logits, _ = loop.predict(validation, context)
        loss = loop.validation_loss(logits, codes, epoch)
    confusion = confusion_matrix(codes, logits.argmax(dim=1).numpy(), member.labels)
    rate = loop.optimizer.param_groups[0]["lr"]
    scores = accuracy(confusion), macro_f1(confusion)
    return EpochRecord(epoch + 1, train_loss, loss, *scores, rate, member.fold + 1), logits


def _groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices alone: biases, norms and the CLS token go free."""
    matrices = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": decay},
        {"params": others, "weight_decay": 0.0},
    ]
