"""First weights that know tokens are ordered."""

from __future__ import annotations

import math

import torch

from tagscope.models.cellmemory.network import CellMemoryNetwork

_TURNS = 1.0  # typical number of half waves over all tokens


@torch.no_grad()
def order_tokens(network: CellMemoryNetwork) -> None:
    """Start the token embeddings as smooth random curves over the tokens.

    Independent random rows, torch's default, leave the network to learn every bin by itself; on
    curves, what it learns of one bin holds for its neighbours. Each channel is a random cosine of
    unit variance. The padding row stays zero.
    """
    weight = network.tokens.weight
    count, width = weight.shape
    places = torch.linspace(0, math.pi, count)[:, None]
    frequencies = torch.randn(width).abs() * _TURNS
    phases = torch.rand(width) * 2 * math.pi
    curves = math.sqrt(2) * torch.cos(places * frequencies + phases)
    if network.tokens.padding_idx is not None:
        curves[network.tokens.padding_idx] = 0
    weight.copy_(curves)
