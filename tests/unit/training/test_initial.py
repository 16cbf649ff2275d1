"""First weights of the default recipe."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.network import CellMemoryNetwork
from tagscope.training.initial import order_tokens


@pytest.mark.parametrize("mode", ["expressed", "full"])
def test_neighbouring_tokens_start_alike(mode: str) -> None:
    torch.manual_seed(0)
    config = replace(CellMemoryConfig(width=256, ffn=8), mode=mode)
    network = CellMemoryNetwork(config, 5, 2)
    order_tokens(network)
    rows = network.tokens.weight.detach()
    assert (rows[0] == 0).all() == (mode == "expressed")  # padding stays zero
    assert 0.8 < rows[1:].std() < 1.2
    steps = [(rows[10] - rows[10 + step]).norm().item() for step in (1, 5, 20, 40)]
    assert steps == sorted(steps)
    assert steps[0] < 0.15 * steps[-1]
