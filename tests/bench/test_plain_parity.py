"""What the benchmarks measure against says what the published code says, and so do we."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from plain_cellmemory import PlainCellMemory, annotate_plain, bin_cells, tokens_of
from published_cases import CASES, Case, close, load_case
from tagscope.core.labels import LabelSet
from tagscope.core.section import Cells
from tagscope.inference.annotate import AnnotateConfig, annotate
from tagscope.io.readers import read_reference
from tagscope.models.cellmemory.config import CellMemoryConfig, Mode
from tagscope.models.cellmemory.convert import to_published
from tagscope.models.cellmemory.model import CellMemory
from tagscope.models.cellmemory.network import CellMemoryNetwork
from tagscope.models.preprocessing import Preprocessing

CPU = torch.device("cpu")


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, shared: Path) -> Case:
    return load_case(shared / "parity" / "cellmemory" / request.param)


def plain(case: Case) -> PlainCellMemory:
    network = PlainCellMemory(case.config, case.sizes["n_genes"], case.sizes["n_classes"])
    network.load_state_dict(case.state)
    return network.eval()


def gene_ids(case: Case) -> torch.Tensor:
    if "gene_ids" in case.inputs:
        return case.inputs["gene_ids"]
    return torch.arange(1, case.sizes["n_genes"] + 1).expand(case.tokens.shape)


@torch.no_grad()
def test_forward(case: Case) -> None:
    network, expected = plain(case), case.expected
    logits, cls, memory = network(case.tokens, gene_ids(case))
    close(network.embedding(case.tokens, gene_ids(case)), expected["embedding_out"])
    close(logits, expected["logits"])
    close(cls, expected["cls"])
    close(memory, expected["memory_embedding"])
    level_one, level_two = network.scores()
    close(level_one, expected["cls_attention_scores"])
    close(level_two, expected["memory_scores"])
    for layer in range(case.config.layers):
        write, broadcast = network.attention_log[2 * layer : 2 * layer + 2]
        close(write.mean(1), expected[f"layer{layer}.attn_write"])
        close(broadcast.mean(1), expected[f"layer{layer}.attn_broadcast"])


def test_gradients_and_training(case: Case) -> None:
    network = plain(case)
    for pe in (network.transformer.pe, network.transformer.enc.memory.input_gate_projector.pe):
        assert not pe.pos_emb_weight.requires_grad
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-4)
    losses = []
    for step in range(len(case.scalars["adam_losses_dropout_off_lr3e4"])):
        loss = torch.nn.functional.cross_entropy(
            network(case.tokens, gene_ids(case))[0], case.inputs["labels"]
        )
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            for name, parameter in network.named_parameters():
                norm = case.scalars["grad_l2_norm_per_parameter"][name]
                assert (parameter.grad is None) == (norm is None), name
                if norm is not None:
                    assert parameter.grad.norm().item() == pytest.approx(norm, rel=2e-4, abs=2e-5)
        optimizer.step()
    assert losses == pytest.approx(
        case.scalars["adam_losses_dropout_off_lr3e4"], rel=1e-4, abs=2e-5
    )


def test_reading_cells(case: Case) -> None:
    if case.config.encoding == "round":
        assert case.sizes["exp_bin"] == "bin_norm"  # the benchmarks run on quantile bins alone
        return
    values = Preprocessing().apply(case.cells()).toarray()
    binned = bin_cells(values, case.config.max_bin)
    np.testing.assert_array_equal(binned, case.inputs["binned"].numpy())
    if case.config.mode == "full" or (binned > 0).sum(1).max() > case.config.max_tokens:
        return  # which genes of too many are drawn is chance
    tokens, genes = tokens_of(binned, case.tokens.shape[1])
    np.testing.assert_array_equal(tokens, case.tokens.numpy())
    np.testing.assert_array_equal(genes, case.inputs["gene_ids"].numpy())


def assert_same_annotation(cells: Cells, network: CellMemoryNetwork, labels: int) -> None:
    """Annotated by the published mathematics and by us, a section gets the same numbers."""
    plain_network = PlainCellMemory(network.config, len(cells.panel), labels)
    plain_network.load_state_dict(to_published(network.state_dict(), network.config))
    values = Preprocessing().apply(cells)
    theirs = annotate_plain(plain_network, values, network.config, CPU)
    names = LabelSet(tuple(f"type {i}" for i in range(labels)))
    model = CellMemory(network, cells.panel, names, Preprocessing())
    ours = annotate(cells, model, AnnotateConfig(attention=True, device="cpu"))
    assert ours.gene_scores is not None
    for found, wanted in (
        (ours.annotation.probabilities, theirs.probabilities),
        (ours.annotation.embedding, theirs.embedding),
        (ours.gene_scores.scores.toarray(), theirs.gene_scores),
    ):
        np.testing.assert_allclose(found, wanted, atol=2e-5, rtol=1e-4)


def test_a_small_section(case: Case) -> None:
    network = case.network()
    network.config = replace(case.config, encoding="bins", max_tokens=10_000)
    assert_same_annotation(case.cells(), network, case.sizes["n_classes"])


@pytest.mark.parametrize("mode", ["expressed", "full"])
def test_a_real_section(mode: Mode, shared: Path) -> None:
    path = shared / "data" / "annotation" / "merfish_hypothalamus_3samples.h5ad"
    cells = read_reference(path, "cell_type").cells.take(np.arange(0, 6000, 20))
    torch.manual_seed(0)
    config = CellMemoryConfig(mode=mode, width=64, ffn=128, compat="published")
    network = CellMemoryNetwork(config, len(cells.panel), 15)
    assert_same_annotation(cells, network, 15)
