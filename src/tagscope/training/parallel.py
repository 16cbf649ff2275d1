"""One training in several processes, as ``torchrun`` starts them; they share every update."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch import distributed as dist


@dataclass(frozen=True)
class World:
    """The ``size`` processes of a training, of which this one is number ``rank``."""

    rank: int = 0
    size: int = 1

    @property
    def alone(self) -> bool:
        """Whether there is no other."""
        return self.size == 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Make each tensor the sum of all processes', in place and in one message."""
        if self.alone:
            return
        flat = torch.cat([tensor.detach().flatten().float() for tensor in tensors])
        dist.all_reduce(flat)
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, total in zip(tensors, torch.split(flat, sizes), strict=True):
            tensor.copy_(total.view_as(tensor))

    def wait(self) -> None:
        """Go on when all have come here."""
        if not self.alone:
            dist.barrier()


def own_device(device: torch.device) -> torch.device:
    """The card of this process, where each has one of its own."""
    if device.type != "cuda" or not dist.is_torchelastic_launched():
        return device
    card = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(card)
    return card


@contextmanager
def joined(device: torch.device) -> Iterator[World]:
    """Meet the other processes that ``torchrun`` started; alone without it."""
    if not dist.is_torchelastic_launched():
        yield World()
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
