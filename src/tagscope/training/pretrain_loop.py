"""Updates of a network that learns to tell hidden genes, and how well it does so."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from tagscope.jobs import JobCancelled, JobContext
from tagscope.training.corpus import Corpus, Ints, Part
from tagscope.training.parallel import World
from tagscope.training.pretrain_recipe import Schedule

# Numbers in the widest activations of one chunk. On a CPU a chunk takes well under a second, which
# is how soon a cancel is noticed, and an update has some to be shared.
_CHUNK = {"cpu": 1 << 19, "mps": 1 << 24, "cuda": 1 << 28}
_UPDATES = 500  # between two looks at the cells held out, at most
_VALIDATION = 1 << 32  # no chunk of training has such a number


@dataclass(frozen=True)
class PretrainLoop(ABC):
    """One stage of a pretraining: ``number`` counts stages from 0.

    Cells of an update go through the network in chunks, which are dealt out to the processes of
    ``world``. What a chunk hides, and its dropout, are seeded by its place, so that the number of
    processes changes nothing.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    recipe: Schedule
    corpus: Corpus
    stage: str
    number: int
    seed: int
    device: torch.device
    precision: torch.dtype
    world: World = field(default_factory=World)

    @abstractmethod
    def width_of(self, part: Part) -> int:
        """Numbers in the widest activations of a cell of a part, and of what is read with it."""

    @abstractmethod
    def loss(
        self, part: Part, rows: Ints, seed: int, tally: Tensor, *, training: bool
    ) -> tuple[Tensor, int]:
        """Sum of the losses of the hidden genes of some cells, and how many were hidden.

        All that is drawn is drawn by ``seed``. In training what the update has to know in its end
        is added to ``tally``.
        """

    def tally(self) -> Tensor:
        """What an update counts beside the losses, added up over all processes; nothing."""
        return torch.zeros(0)

    def settle(self, tally: Tensor, loss: float) -> None:  # noqa: B027 - most have nothing to add
        """Add to the gradients what only the whole update tells, by its mean ``loss``."""

    @cached_property
    def training(self) -> Ints:
        """The cells to learn from."""
        return self.corpus.training

    @property
    def updates_per_epoch(self) -> int:
        """Updates of one pass over the training cells."""
        return -(-len(self.training) // self.recipe.batch_size)

    @property
    def updates(self) -> int:
        """Updates of the stage."""
        return self.updates_per_epoch * self.recipe.epochs_for(len(self.training))

    @property
    def updates_per_round(self) -> int:
        """Updates between two looks at the cells held out."""
        return min(self.updates_per_epoch, _UPDATES)

    def train(self, first: int, last: int, context: JobContext) -> float:
        """The updates from ``first`` to ``last``; the mean loss of a hidden gene."""
        self.network.train()
        total = torch.zeros(2, dtype=torch.float64)
        size, order = self.recipe.batch_size, np.empty(0, np.int64)
        for update in range(first, last):
            epoch, place = divmod(update, self.updates_per_epoch)
            if place == 0 or not len(order):
                rng = np.random.default_rng([self.seed, self.number, epoch])
                order = rng.permutation(self.training)
            for group in self.optimizer.param_groups:
                group["lr"] = self.recipe.rate(update, self.updates)
            total += self.update(order[place * size : (place + 1) * size], update, context)
            self._report(update + 1 - first, last - first, context)
        return float(total[0] / total[1].clamp_min(1))

    def update(self, cells: Ints, number: int, context: JobContext) -> Tensor:
        """One update on the given cells; sum of the losses and how many genes were hidden, (2,).

        The gradient is that of the mean over all hidden genes, and what :meth:`settle` adds.
        """
        self.optimizer.zero_grad(set_to_none=True)
        found, tally = torch.zeros(2, dtype=torch.float64), self.tally()
        cancelled = torch.zeros(1)
        for seed, part, rows in self._own_chunks(cells, number):
            loss, hidden = self.loss(part, rows, seed, tally, training=True)
            loss.backward()  # type: ignore[no-untyped-call]
            found += torch.tensor([loss.item(), hidden])
            self._heed(context, cancelled)
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        self._share(parameters, found, tally, cancelled)
        gradients = [p.grad for p in parameters if p.grad is not None]
        torch._foreach_div_(gradients, float(found[1].clamp_min(1)))
        self.settle(tally, float(found[0] / found[1].clamp_min(1)))
        torch.nn.utils.clip_grad_norm_(parameters, self.recipe.clip_norm)
        self.optimizer.step()
        return found

    @torch.no_grad()
    def validate(self, context: JobContext) -> float:
        """Mean loss of a hidden gene of the cells held out, always the same genes hidden."""
        self.network.eval()
        found, cancelled = torch.zeros(2, dtype=torch.float64), torch.zeros(1)
        for seed, part, rows in self._own_chunks(self.corpus.validation, _VALIDATION):
            loss, hidden = self.loss(part, rows, seed, self.tally(), training=False)
            found += torch.tensor([loss.item(), hidden])
            self._heed(context, cancelled)
        self._share([], found, cancelled)
        return float(found[0] / found[1].clamp_min(1))

    def _own_chunks(self, cells: Ints, number: int) -> Iterator[tuple[int, Part, Ints]]:
        """This process's chunks with their seeds."""
        numbers = _CHUNK[self.device.type]
        chunks = self.corpus.chunks(cells, lambda part: max(1, numbers // self.width_of(part)))
        for index, (part, rows) in enumerate(chunks):
            if index % self.world.size == self.world.rank:
                asked = [self.seed, self.number, number, index]
                yield int(np.random.SeedSequence(asked).generate_state(1)[0]), part, rows

    def _share(self, parameters: list[nn.Parameter], *sums: Tensor) -> None:
        """Add up what all processes found, the last of it whether one was cancelled."""
        if self.world.alone:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        there = [tensor.to(self.device) for tensor in sums]
        gradients = [p.grad for p in parameters if p.grad is not None]
        self.world.add_up([*gradients, *there])
        for tensor, total in zip(sums, there, strict=True):
            tensor.copy_(total)
        if sums[-1].item():
            raise JobCancelled(self.stage)

    def _heed(self, context: JobContext, cancelled: Tensor) -> None:
        """Leave when the job was cancelled; of several processes, all together at the next sum."""
        if context.cancelled and not self.world.alone:
            cancelled.fill_(1)
        elif context.cancelled:
            raise JobCancelled(self.stage)

    def _report(self, done: int, total: int, context: JobContext) -> None:
        """Say how far the round is; of several processes a cancel is answered at the next sum."""
        try:
            context.step(f"{self.stage} updates", done, total)
        except JobCancelled:
            if self.world.alone:
                raise
