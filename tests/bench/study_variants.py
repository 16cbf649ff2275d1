"""What the training study tries beyond the numbers of a recipe: each is a way to patch training."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from annotation_tasks import Task
from tagscope.core.section import Cells
from tagscope.models.cellmemory import network as networks
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.tokenise import tokenise
from tagscope.training import prepare
from tagscope.training.cellmemory import CellMemoryLoop, CellMemoryMember
from tagscope.training.measurement import Measurement
from tagscope.training.reading import hide_genes

Patch = AbstractContextManager[Any]

_UPDATES, _CELLS, _RATE, _HIDDEN = 500, 64, 1e-3, (0.15, 0.6)


def background(wanted: float) -> Callable[[Task], Patch]:
    """Cells get this mean share of background whatever the section shows."""

    def as_wanted(reference: Cells, section: Cells) -> Measurement | None:
        totals = [float(np.median(c.totals[c.totals > 0])) for c in (reference, section)]
        sums = np.asarray(section.values.sum(axis=0), dtype=np.float64).ravel()
        depth = totals[1] / totals[0]
        if depth >= 1 and not wanted:
            return None
        return Measurement(depth, wanted, sums / sums.sum())

    return lambda _: patch.object(prepare, "measurement", as_wanted)


def soft_bins(_: Task) -> Patch:
    """A value between two bins gets an embedding between theirs: ten anchors under 100 bins."""
    plain = networks.CellMemoryNetwork.__init__

    def with_anchors(self: nn.Module, config: CellMemoryConfig, genes: int, labels: int) -> None:
        plain(self, config, genes, labels)
        self.tokens = _Anchored(config.max_bin, config.width)

    return patch.object(networks.CellMemoryNetwork, "__init__", with_anchors)


def warm_up(task: Task) -> Patch:
    """First learn, from the cells of reference and section without labels, to say hidden genes."""
    start = CellMemoryMember.start

    def started(self: CellMemoryMember, *arguments: object) -> CellMemoryLoop:
        loop: CellMemoryLoop = start(self, *arguments)  # type: ignore[arg-type]
        _learn_expression(self, task.query, loop)
        return loop

    return patch.object(CellMemoryMember, "start", started)


def _learn_expression(member: CellMemoryMember, query: Cells, loop: CellMemoryLoop) -> None:
    """Regress the standardised log values of hidden genes on the CLS token."""
    reference = member.prepared.reference.cells.take(member.split.training)
    rng, network = np.random.default_rng([member.seed, 9]), loop.network
    sources = [member.as_measured(reference, rng), query.restrict(reference.panel)]
    sources = [cells.take(np.flatnonzero(cells.totals > 0)) for cells in sources]
    values = [_standardised(member.preprocessing.apply(cells).toarray()) for cells in sources]
    tokens = [tokenise(c, c.panel, member.model, member.preprocessing) for c in sources]
    decoder = nn.Linear(member.model.width, len(reference.panel))
    learned = [*network.parameters(), *decoder.parameters()]
    optimizer = torch.optim.AdamW(learned, lr=_RATE)
    network.train()
    for update in range(_UPDATES):
        side = update % len(sources)
        rows = rng.choice(len(sources[side]), min(_CELLS, len(sources[side])), replace=False)
        whole = tokens[side].batch(rows)
        full = member.model.mode == "full"
        batch = hide_genes(whole, rng.uniform(*_HIDDEN), rng, alike=full)
        said = decoder(network(batch.tokens, batch.genes, batch.padding).embedding)
        unread = torch.ones(said.shape, dtype=torch.bool)
        read = ~batch.padding & (batch.genes >= 0)
        unread[read.nonzero()[:, 0], batch.genes[read]] = False
        optimizer.zero_grad(set_to_none=True)
        F.mse_loss(said[unread], values[side][rows][unread]).backward()
        optimizer.step()


def _standardised(values: np.ndarray) -> Tensor:
    spread = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return torch.from_numpy(np.clip(scaled, -5, 5)).float()


class _Anchored(nn.Module):
    """An embedding of many bins that lie on straight lines between ten learned anchors."""

    padding_idx = 0
    mix: Tensor

    def __init__(self, bins: int, width: int) -> None:
        super().__init__()
        self.anchors = nn.Parameter(torch.randn(10, width))
        places = np.linspace(0, 9, bins)
        mix = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(10)))
        mix = np.concatenate((np.zeros((1, 10)), mix))  # padding stays zero
        self.register_buffer("mix", torch.from_numpy(mix).float(), persistent=False)

    @property
    def weight(self) -> Tensor:
        return self.mix @ self.anchors

    def forward(self, tokens: Tensor) -> Tensor:
        return F.embedding(tokens, self.weight)
