"""CellPatch, alone and joined with STAGATE, on a CUDA device says what it says on the CPU.

Needs torch, numpy and pytest alone: ``PYTHONPATH=src python -m pytest -c /dev/null tests/gpu``.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.models.cellpatch.network import CellPatchNetwork, Genes
from tagscope.models.cellpatch_stagate.network import CellPatchStagate
from tagscope.models.stagate.network import Neighbourhood, Pattern, SparseRows, squares_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]

GENES, LABELS, CELLS, NEAR = 300, 9, 64, 5
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def cells() -> Genes:
    """Genes of cells of different lengths, one of them empty."""
    rng = np.random.default_rng(0)
    padding = np.arange(GENES) >= rng.integers(5, GENES, CELLS)[:, None]
    padding[3] = True
    genes = np.broadcast_to(np.arange(GENES), padding.shape).copy()
    values = rng.gamma(2.0, 1.0, padding.shape).astype(np.float32)
    parts = (torch.from_numpy(part) for part in (genes, values, padding))
    return Genes(*parts)


@pytest.mark.parametrize("compat", ["none", "published"])
@pytest.mark.parametrize("layers", [0, 2])
def test_labels_and_attention(compat, layers):
    torch.manual_seed(7)
    config = CellPatchConfig(layers=layers, dropout=0.0, compat=compat)
    network = CellPatchNetwork(config, GENES, LABELS).eval()

    def ask(device: torch.device) -> tuple[Tensor, Tensor]:
        with torch.inference_mode():
            found = network.to(device)(cells().to(device), attention=True)
            assert found.attention is not None
            return network.logits(found.patches)[0].cpu(), found.attention.cpu()

    for one, other in zip(ask(CPU), ask(CUDA), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-4)


def test_the_gradient_of_labels():
    torch.manual_seed(7)
    network = CellPatchNetwork(CellPatchConfig(dropout=0.0), GENES, LABELS)
    wanted = torch.arange(CELLS) % LABELS

    def gradients(device: torch.device) -> list[Tensor]:
        network.to(device).zero_grad(set_to_none=True)
        logits, _ = network.logits(network(cells().to(device)).patches)
        torch.nn.functional.cross_entropy(logits, wanted.to(device)).backward()
        return [w.grad.cpu() for w in network.parameters() if w.grad is not None]

    for one, other in zip(gradients(CPU), gradients(CUDA), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-2, atol=1e-5)


def expression() -> SparseRows:
    rng = np.random.default_rng(1)
    values = rng.gamma(2.0, 1.0, (CELLS, GENES)) * (rng.random((CELLS, GENES)) < 0.1)
    values[3] = 0
    rows, columns = np.nonzero(values)
    offsets = np.searchsorted(rows, np.arange(CELLS + 1))
    pattern = Pattern(torch.from_numpy(columns), torch.from_numpy(offsets), GENES)
    return SparseRows(pattern, torch.from_numpy(values[rows, columns].astype(np.float32)))


def neighbourhood() -> Neighbourhood:
    columns = (np.arange(CELLS)[:, None] + np.arange(NEAR)) % CELLS
    offsets = np.arange(CELLS + 1) * NEAR
    return Neighbourhood.whole(
        Pattern(
            torch.from_numpy(np.sort(columns, axis=1).ravel()), torch.from_numpy(offsets), CELLS
        )
    )


@pytest.mark.parametrize("concatenate", [True, False])
def test_the_union_reads_zeros_and_learns_alike(concatenate):
    torch.manual_seed(7)
    config = CellPatchConfig(layers=0, projection=None, decoder_layers=0, dropout=0.0)
    network = CellPatchStagate(config, GENES, 64, 8, concatenate)

    def ask(device: torch.device) -> list[Tensor]:
        network.to(device).zero_grad(set_to_none=True)
        x, near = expression().to(device), neighbourhood().to(device)
        coded = network(x, near)
        loss = network.squared_error(x, coded, float(squares_of(x, CELLS))) / (CELLS * GENES)
        loss.backward()
        grads = [w.grad.cpu() for w in network.parameters() if w.grad is not None]
        return [network.features(x).detach().cpu(), coded.embedding.detach().cpu(),
                loss.detach().cpu(), *grads]  # fmt: skip

    for one, other in zip(ask(CPU), ask(CUDA), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-2, atol=1e-4)
