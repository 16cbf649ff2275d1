"""CellMemory on a CUDA device says what it says on the CPU.

Needs torch, numpy and pytest alone: ``PYTHONPATH=src python -m pytest -c /dev/null tests/gpu``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.network import CellMemoryNetwork, NetworkOutput

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]

GENES, LABELS, CELLS = 120, 9, 64
CONFIGS = {
    "expressed": CellMemoryConfig(dropout=0.0),
    "full": CellMemoryConfig(mode="full", dropout=0.0),
    "both": CellMemoryConfig(encoding="both", max_bin=20, max_value=9, dropout=0.0),
    "top-k": CellMemoryConfig(top_k=20, dropout=0.0),
    "published": CellMemoryConfig(compat="published", dropout=0.0),
}


def network(config: CellMemoryConfig) -> CellMemoryNetwork:
    torch.manual_seed(7)
    return CellMemoryNetwork(config, GENES, LABELS)


def batch(config: CellMemoryConfig) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens, genes and padding of cells of different lengths, one of them empty."""
    rng = np.random.default_rng(0)
    padding = np.zeros((CELLS, GENES), np.bool_)
    genes = np.broadcast_to(np.arange(GENES), padding.shape).copy()
    if config.mode == "expressed":
        padding = np.arange(GENES) >= rng.integers(5, GENES, CELLS)[:, None]
        padding[3] = True
        genes[padding] = -1
    tokens = rng.integers(1, config.tokens, padding.shape)
    tokens[padding] = 0
    return torch.from_numpy(tokens), torch.from_numpy(genes), torch.from_numpy(padding)


def ask(asked: CellMemoryNetwork, device: str) -> NetworkOutput:
    arrays = [array.to(device) for array in batch(asked.config)]
    with torch.inference_mode():
        return asked.to(device).eval()(*arrays, gene_scores=True, slot_scores=True)


def assert_alike(said: NetworkOutput, wanted: NetworkOutput, config: CellMemoryConfig) -> None:
    """Equal within rounding; with top-k, where rounding decides ties, but for a few cells."""
    spared = 0 if config.top_k is None else CELLS // 20
    for part in ("logits", "embedding", "gene_scores", "slot_scores"):
        ours, theirs = getattr(said, part).cpu(), getattr(wanted, part).cpu()
        torch.testing.assert_close(ours, theirs, atol=1e-2 if spared else 2e-4, rtol=2e-3)
        close = torch.isclose(ours, theirs, atol=2e-4, rtol=2e-3).flatten(1).all(1)
        assert (~close).sum() <= spared


@pytest.fixture(autouse=True)
def full_fp32() -> None:
    """The default precision of matrix products is full fp32; TF32 would hide mistakes."""
    torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("name", CONFIGS)
def test_cuda_agrees_with_the_cpu(name: str) -> None:
    ours = network(CONFIGS[name])
    cpu, cuda = ask(ours, "cpu"), ask(ours, "cuda")
    assert_alike(cuda, cpu, CONFIGS[name])


@pytest.mark.parametrize("name", CONFIGS)
def test_a_table_of_pairs_changes_nothing(name: str) -> None:
    plain, ours = ask(network(CONFIGS[name]), "cuda"), network(CONFIGS[name]).to("cuda").eval()
    tokens, genes, padding = (array.to("cuda") for array in batch(ours.config))
    keys = (genes + 1) * ours.config.tokens + tokens
    found, rows = keys.unique(return_inverse=True)
    with torch.inference_mode():
        table = ours.pair_table(found % ours.config.tokens, found // ours.config.tokens - 1)
        said = ours(rows, genes, padding, table=table, gene_scores=True, slot_scores=True)
    assert_alike(said, plain, CONFIGS[name])


def test_one_pad_stands_for_all() -> None:
    ours = network(CONFIGS["published"]).to("cuda").eval()
    tokens, genes, padding = (array.to("cuda") for array in batch(ours.config))
    more = torch.nn.functional.pad
    longer = (
        more(tokens, (0, 40)),
        more(genes, (0, 40), value=-1),
        more(padding, (0, 40), value=True),
    )
    one = more(tokens, (0, 1)), more(genes, (0, 1), value=-1), more(padding, (0, 1), value=True)
    pads = longer[2].sum(dim=1).float()
    with torch.inference_mode():
        torch.testing.assert_close(
            ours(*one, pads=pads).logits, ours(*longer).logits, atol=2e-4, rtol=2e-3
        )


@pytest.mark.parametrize("name", CONFIGS)
def test_gradients_agree_with_the_cpu(name: str) -> None:
    gradients = []
    for device in ("cpu", "cuda"):
        ours = network(CONFIGS[name]).to(device).train()
        arrays = [array.to(device) for array in batch(ours.config)]
        labels = (torch.arange(CELLS) % LABELS).to(device)
        torch.nn.functional.cross_entropy(ours(*arrays).logits, labels).backward()
        gradients.append({key: p.grad.cpu() for key, p in ours.named_parameters()})
    for key, gradient in gradients[0].items():
        largest = gradient.abs().max().item()
        torch.testing.assert_close(gradients[1][key], gradient, atol=2e-3 * largest, rtol=1e-2)


@pytest.mark.parametrize("name", ["expressed", "full"])
@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_bf16_agrees_with_fp32(name: str, device: str) -> None:
    ours = network(replace(CONFIGS[name], width=128, ffn=256))
    exact = ask(ours, device)
    with torch.autocast(device, torch.bfloat16):
        rounded = ask(ours, device)
    difference = (rounded.logits.float() - exact.logits).abs().max()
    assert difference < 0.05 * exact.logits.abs().max()
    torch.testing.assert_close(rounded.gene_scores.sum(1), exact.gene_scores.sum(1),
                               atol=0.02, rtol=0)  # fmt: skip
    clear = exact.logits.topk(2, dim=1).values.diff(dim=1).abs().squeeze(1) > 0.1
    same = rounded.logits.argmax(1) == exact.logits.argmax(1)
    assert same[clear].all()
