"""First weights of the default recipe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.network import CellMemoryNetwork
from tagscope.models.preprocessing import Preprocessing
from tagscope.training.corpus import CellValues, Corpus, Part
from tagscope.training.initial import (
    corpus_components,
    gene_components,
    order_tokens,
    relate_genes,
)


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


def programs(cells: int, seed: int, depth: float = 1.0) -> Cells:
    """Two programs of ten genes each that vary apart, and one gene that is never expressed."""
    rng = np.random.default_rng(seed)
    strength = rng.lognormal(1.5, 1, (cells, 2)) * depth
    counts = rng.poisson(np.repeat(strength, 10, axis=1)).astype(np.float32)
    values = sp.csr_matrix(np.hstack([counts, np.zeros((cells, 1), np.float32)]))
    return Cells(values, GenePanel(tuple(f"G{i}" for i in range(21))),
                 np.array([f"c{i}" for i in range(cells)]))  # fmt: skip


def test_genes_of_one_program_start_together() -> None:
    sources = [programs(300, 0), programs(200, 1, depth=0.4)]
    components = gene_components(sources, Preprocessing(20.0), 32, seed=0)
    assert components.shape == (21, 21)
    network = CellMemoryNetwork(CellMemoryConfig(width=32, ffn=8), 21, 2)
    before = network.genes.weight.detach().clone()
    relate_genes(network.genes.weight[1:22], components)
    genes = network.genes.weight.detach()
    assert (genes[0] == 0).all()
    assert torch.equal(genes[21], before[21])  # nothing is known of a gene that never varies
    torch.testing.assert_close(genes[1:21].norm(dim=1), torch.full((20,), 32**0.5))
    alike = torch.corrcoef(genes[1:21])
    within = torch.block_diag(torch.ones(10, 10), torch.ones(10, 10)).bool()
    assert alike[within].mean() > alike[~within].mean() + 0.4


def part(cells: Cells, genes: np.ndarray, held: int = 0) -> Part:
    """Some of the genes of cells, the first cells held out."""
    logged = Preprocessing(20.0).apply(cells)[:, genes]
    values = CellValues(logged.data, logged.indices, logged.indptr.astype(int), len(genes), "")
    return Part("cells", genes, values, np.arange(len(cells)) < held)


def test_a_corpus_of_files_with_other_genes_tells_it_too() -> None:
    first, second = np.r_[0:15, 20], np.r_[5:21]
    corpus = Corpus((part(programs(300, 0), first), part(programs(200, 1), second)))
    components = corpus_components(corpus, 21, 8, seed=0)
    assert components.shape == (21, 8)
    assert np.allclose(components[20], 0, atol=1e-5)
    alike = np.corrcoef(components[:20])
    within = np.kron(np.eye(2), np.ones((10, 10))).astype(bool)
    assert alike[within].mean() > alike[~within].mean() + 0.4
    # What no file measured together is told apart by what both vary with.
    assert alike[:5, 5:10].mean() > alike[:5, 15:20].mean() + 0.4


def test_cells_held_out_of_a_corpus_are_not_looked_at() -> None:
    cells, every = programs(300, 0), np.arange(21)
    rest = corpus_components(Corpus((part(cells.take(np.arange(100, 300)), every),)), 21, 4, 0)
    held = corpus_components(Corpus((part(cells, every, held=100),)), 21, 4, 0)
    np.testing.assert_array_equal(held, rest)


def test_components_do_not_tell_technologies_apart() -> None:
    """What one source sees more of in every cell is no way in which genes vary together."""
    one, other = (replace(programs(300, seed), normalised=True) for seed in (0, 1))
    more = other.values.toarray()
    more[:, :3] += 40
    shifted = replace(other, values=sp.csr_matrix(more))
    plain = gene_components([one, other], Preprocessing(), 4, seed=0)
    np.testing.assert_allclose(
        gene_components([one, shifted], Preprocessing(), 4, seed=0), plain, atol=1e-4
    )
