"""STAGATE's published mathematics done plainly. Needs torch alone.

Every edge's product of attention and a cell's values is held, both halves add them up at the hidden
layer's width, and the reconstruction of all genes is made. The weights are tied cleanly. Held to
the published numbers by ``test_plain_stagate.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everybody knows


@dataclass
class PlainStagate:
    """Weights ``first`` (G, H), ``second`` (H, D), ``source`` and ``target`` (H,), and Adam."""

    first: Tensor
    second: Tensor
    source: Tensor
    target: Tensor
    optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        for weight in self.weights:
            weight.requires_grad_()
        self.optimizer = torch.optim.Adam(self.weights, lr=1e-3, weight_decay=1e-4)

    @property
    def weights(self) -> list[Tensor]:
        return [self.first, self.source, self.target, self.second]

    def __call__(self, x: Tensor, sources: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Embedding (N, D) and reconstruction (N, G) of cells x (N, G) with edges (E,)."""
        projected = x @ self.first
        sent, asked = projected @ self.source, projected @ self.target
        scores = torch.sigmoid(sent[sources] + asked[targets])
        most = scores.new_zeros(len(x)).scatter_reduce(0, targets, scores.detach(), "amax")
        powers = (scores - most[targets]).exp()
        sums = powers.new_zeros(len(x)).scatter_add(0, targets, powers)
        attention = powers / sums[targets]
        hidden = F.elu(_mixed(attention, projected, sources, targets))
        embedding = hidden @ self.second
        decoded = F.elu(_mixed(attention, embedding @ self.second.T, sources, targets))
        return embedding, decoded @ self.first.T

    def step(self, x: Tensor, sources: Tensor, targets: Tensor) -> tuple[float, float]:
        """One update: the loss and the gradient's norm."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.mse_loss(x, self(x, sources, targets)[1])
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.weights, 5.0)
        self.optimizer.step()
        return loss.item(), norm.item()


def _mixed(attention: Tensor, values: Tensor, sources: Tensor, targets: Tensor) -> Tensor:
    messages = attention[:, None] * values[sources]
    places = targets[:, None].expand_as(messages)
    return torch.zeros_like(values).scatter_add(0, places, messages)
