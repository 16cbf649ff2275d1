"""What every training needs around its updates: how far it has come, and its own random numbers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

import torch
from torch import nn

from tagscope.errors import OutputError
from tagscope.training.checkpoint import Checkpoint


class Standing(Protocol):
    """How far one part of a training has come, as a checkpoint can keep it."""

    def to_dict(self) -> dict[str, Any]:
        """For a checkpoint."""

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`."""


class Learning(Protocol):
    """A network under training."""

    @property
    def network(self) -> nn.Module:
        """Its weights."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The state of its updates."""


S = TypeVar("S", bound=Standing)


@dataclass
class Progress(Generic[S]):
    """The parts of a training so far (networks, stages), the last of them perhaps under way."""

    restored: Checkpoint | None = None
    standings: list[S] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def after(cls, restored: Checkpoint | None, kind: type[S]) -> Progress[S]:
        """As a checkpoint left it, with standings of a ``kind``; from the start without one."""
        kept = [] if restored is None else restored.standings
        return cls(restored, [kind.from_dict(data) for data in kept])

    @property
    def seconds(self) -> float:
        """Time spent, earlier sittings included."""
        earlier = self.restored.seconds if self.restored is not None else 0.0
        return earlier + time.monotonic() - self.started

    def begin(self, number: int, learning: Learning, new: Callable[[], S]) -> S:
        """The standing of a part (from 0), its network as a checkpoint left it if that has one."""
        if number == len(self.standings):
            self.standings.append(new())
        elif self.restored is not None and number == len(self.restored.standings) - 1:
            learning.network.load_state_dict(self.restored.network)
            learning.optimizer.load_state_dict(self.restored.optimizer)
        return self.standings[number]

    def checkpoint(self, request: str, learning: Learning) -> Checkpoint:
        """Everything needed to go on."""
        return Checkpoint(
            request,
            [standing.to_dict() for standing in self.standings],
            learning.network.state_dict(),
            learning.optimizer.state_dict(),
            self.seconds,
        )


@contextlib.contextmanager
def own_random_numbers(seed: int) -> Iterator[None]:
    """Draw from torch's generators without moving those of the caller."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def refuse_existing(out: Path, allowed: bool) -> None:
    """A bundle is not replaced unasked.

    Raises
    ------
    OutputError
        If ``out`` exists and that is not ``allowed``.
    """
    if out.exists() and not allowed:
        raise OutputError(
            f"{out} exists.",
            "A model is not replaced unasked.",
            "Write elsewhere, or ask for it to be replaced.",
            {"out": None, "overwrite": True},
        )
