"""One network of a training: what it trains on, and how far it has come."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tagscope.core.section import Cells
from tagscope.jobs import JobContext
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.network import CellMemoryNetwork
from tagscope.models.cellmemory.tokenise import Preprocessing, tokenise
from tagscope.training.initial import Floats, order_tokens, relate_genes
from tagscope.training.loop import Examples, Loop, label_weights
from tagscope.training.metrics import accuracy, confusion_matrix, macro_f1
from tagscope.training.prepare import Prepared
from tagscope.training.recipe import EpochRecord, Recipe
from tagscope.training.splits import Split
from tagscope.training.thinning import thin

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Member:
    """The network of one ``fold`` (from 0) and its part of the cells."""

    fold: int
    prepared: Prepared
    recipe: Recipe
    model: CellMemoryConfig
    preprocessing: Preprocessing
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

    def training(self, epoch: int, context: JobContext) -> Examples:
        """What one epoch (from 0) trains on: the training cells, as the section measures them."""
        rng = np.random.default_rng([self.seed, epoch, 2])
        cells = self.prepared.reference.cells.take(self.split.training)
        codes = self.prepared.reference.codes[self.split.training]
        if self.prepared.measured is None:
            return self._examples(thin(cells, self.recipe.thinning, rng), codes, context)
        return self._examples(self.as_measured(cells, rng), codes, context)

    def validation(self, context: JobContext) -> Examples:
        """The validation cells, encoded."""
        return self._examples(self.validation_cells(), self.validation_codes, context)

    def training_as_validation(self, most: int, context: JobContext) -> Examples:
        """At most so many training cells, measured like the validation cells."""
        rng, rows = np.random.default_rng([self.seed, 6]), self.split.training
        if len(rows) > most:
            rows = np.sort(rng.choice(rows, most, replace=False))
        cells = self.as_measured(self.prepared.reference.cells.take(rows), rng)
        return self._examples(cells, self.prepared.reference.codes[rows], context)

    def validation_cells(self) -> Cells:
        """The cells held out, as the section that the model is meant for measures them."""
        cells = self.prepared.reference.cells.take(self.split.validation)
        return self.as_measured(cells, np.random.default_rng([self.seed, 3]))

    def as_measured(self, cells: Cells, rng: np.random.Generator) -> Cells:
        """Cells as the section measures them, where that is known and differs."""
        measured = self.prepared.measured
        return cells if measured is None else measured.of(cells, rng)

    def _examples(self, cells: Cells, codes: Ints, context: JobContext) -> Examples:
        tokens = tokenise(
            cells, cells.panel, self.model, self.preprocessing, seed=self.seed, context=context
        )
        return Examples(tokens, codes)

    def start(
        self, components: Floats | None, device: torch.device, precision: torch.dtype
    ) -> Loop:
        """The network with its first weights, ready for the first epoch."""
        torch.manual_seed(self.seed)
        reference, recipe = self.prepared.reference, self.recipe
        network = CellMemoryNetwork(self.model, len(reference.cells.panel), self.labels)
        if not recipe.published:
            order_tokens(network)
        if components is not None:
            relate_genes(network, components)
        optimizer = torch.optim.AdamW(
            _groups(network.to(device), recipe.weight_decay),
            lr=recipe.learning_rate,
            fused=device.type in ("cpu", "cuda"),
        )
        codes = reference.codes[self.split.training]
        weights = label_weights(codes, self.labels, recipe.rare_power).to(device)
        tree = reference.tree
        levels = [] if tree is None else [tree.ancestors(level) for level in range(len(tree) - 1)]
        ancestors = tuple(torch.from_numpy(codes).to(device) for codes in levels)
        return Loop(network, optimizer, recipe, self.seed, device, precision, weights, ancestors)


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

    def add(self, record: EpochRecord, logits: Tensor, network: CellMemoryNetwork) -> None:
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


def _groups(network: CellMemoryNetwork, decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices alone: biases, norms and the CLS token go free."""
    matrices = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": decay},
        {"params": others, "weight_decay": 0.0},
    ]
