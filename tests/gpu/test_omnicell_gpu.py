"""OmniCell on a CUDA device says what it says on the CPU.

Needs torch, numpy and pytest alone: ``PYTHONPATH=src python -m pytest -c /dev/null tests/gpu``.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from tagscope.models.omnicell.config import OmniCellConfig
from tagscope.models.omnicell.network import OmniCellNetwork, Sequences, balance

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]

GENES, CELLS = 40, 12
CONFIG = OmniCellConfig(
    width=128, ffn=256, layers=3, heads=4, rotary_width=32, shared_experts=2, routed_experts=6,
    experts_used=3, dropout=0.0,
)  # fmt: skip


def network() -> OmniCellNetwork:
    torch.manual_seed(7)
    return OmniCellNetwork(CONFIG, GENES + 4)


def cells(neighbours: int, *, missing: bool = False) -> tuple[Sequences, Tensor]:
    """Cells and which of their tokens are counted; one cell expresses nothing."""
    rng = np.random.default_rng(0)
    shape = (CELLS, 1 + neighbours, GENES + 2)
    values = rng.uniform(0, 5, shape) * (rng.random(shape) < 0.4)
    values[..., (0, -1)] = 0
    values[3] = 0
    read = torch.from_numpy(values.astype(np.float32))
    places = torch.from_numpy(rng.uniform(0, 300, (*shape[:2], 2)).astype(np.float32))
    padding = None
    if missing:
        padding = torch.zeros(shape, dtype=torch.bool)
        padding[1, -1] = True
        read[1, -1] = 0
    sequences = Sequences(torch.arange(GENES + 2), read, places if neighbours else None, padding)
    return sequences, read > 0


def ask(asked: OmniCellNetwork, device: str, read: Sequences, counted: Tensor, **kw: int) -> Tensor:
    asked = asked.to(device).eval()
    with torch.inference_mode():
        table = asked.table(torch.arange(GENES + 2, device=device))
        return asked.pooled(table, read.to(torch.device(device)), counted.to(device), **kw).cpu()


@pytest.fixture(autouse=True)
def full_fp32() -> None:
    """The default precision of matrix products is full fp32; TF32 would hide mistakes."""
    torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("neighbours", [0, 4])
def test_cuda_agrees_with_the_cpu(neighbours: int, missing: bool) -> None:
    read, counted = cells(neighbours, missing=missing and neighbours > 0)
    for wanted in ({}, {"cells": 1}):
        cpu, cuda = (ask(network(), at, read, counted, **wanted) for at in ("cpu", "cuda"))
        torch.testing.assert_close(cuda, cpu, atol=2e-4, rtol=2e-3)


@pytest.mark.parametrize("neighbours", [0, 4])
def test_bf16_agrees_with_fp32(neighbours: int) -> None:
    read, counted = cells(neighbours)
    exact = ask(network(), "cuda", read, counted)
    rounded = ask(network().bfloat16(), "cuda", read, counted)
    some = exact.norm(dim=-1) > 0
    assert F.cosine_similarity(rounded[some].float(), exact[some], dim=-1).min() > 0.999


@pytest.mark.parametrize("neighbours", [0, 4])
def test_gradients_agree_with_the_cpu(neighbours: int) -> None:
    gradients = []
    read, counted = cells(neighbours)
    for device in ("cpu", "cuda"):
        ours = network().to(device).train()
        table = ours.table(torch.arange(GENES + 2, device=device))
        moved = read.to(torch.device(device))
        said = ours.scores(ours(table, moved))
        masked = counted[:, :, 1:-1].to(device)
        loss = F.huber_loss(said[masked], moved.values[:, :, 1:-1][masked])
        loss = loss + balance(table, torch.ones(GENES + 2, device=device))
        loss.backward()
        gradients.append({k: p.grad.cpu() for k, p in ours.named_parameters()
                          if p.grad is not None})  # fmt: skip
    for key, gradient in gradients[0].items():
        largest = gradient.abs().max().item()
        torch.testing.assert_close(
            gradients[1][key], gradient, atol=2e-3 * largest + 1e-7, rtol=1e-2
        )
