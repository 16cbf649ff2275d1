"""Soft ranks and sequences of OmniCell."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tagscope.core.neighbours import nearest_others
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Section, SideBySide
from tagscope.models.omnicell.config import OmniCellConfig
from tagscope.models.omnicell.model import OmniCell
from tagscope.models.omnicell.network import OmniCellNetwork, Sequences
from tagscope.models.omnicell.tokenise import OmniCellTokens, soft_ranks

CONFIG = OmniCellConfig(width=32, ffn=48, layers=2, heads=2, rotary_width=8, shared_experts=2,
                        routed_experts=4, experts_used=2, dropout=0.0)  # fmt: skip
GENES = 12


@pytest.fixture(scope="module")
def network() -> OmniCellNetwork:
    torch.manual_seed(0)
    return OmniCellNetwork(CONFIG, GENES + 2).eval()


@pytest.fixture
def counts() -> sp.csr_matrix:
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.8, (20, GENES)).astype(np.float32)
    counts[5] = 0
    return sp.csr_matrix(counts)


@pytest.fixture
def xy() -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 100, (20, 2))


@torch.inference_mode()
def embedded(network: OmniCellNetwork, tokens: OmniCellTokens, rows: np.ndarray) -> torch.Tensor:
    read = tokens.sequences(rows)
    return network.pooled(network.table(torch.arange(GENES + 2)), read, read.values > 0)


@pytest.mark.parametrize(
    ("values", "ranks"),
    [
        ([0, 3, 1, 1, 7], [0, 10 / 3, 5 / 3, 5 / 3, 5]),
        ([4, 9], [2.5, 5]),
        ([2, 2], [5, 5]),
        ([0, 0], [0, 0]),
    ],
)
def test_ranks_are_places_among_distinct_values_and_zero(values, ranks):
    found = soft_ranks(sp.csr_matrix(np.array([values], dtype=np.float32)))
    np.testing.assert_allclose(found.toarray()[0], ranks, rtol=1e-6)


def test_ranks_of_many_rows_are_those_of_each(counts):
    whole = soft_ranks(counts).toarray()
    for row in range(counts.shape[0]):
        np.testing.assert_array_equal(whole[row], soft_ranks(counts[row]).toarray()[0])


def test_neighbours_are_of_the_own_section_and_never_oneself():
    xy = np.array([[0, 0], [0, 0], [0, 0], [1, 0], [5, 0], [0, 0.1], [np.nan, 0]], dtype=float)
    pieces = np.array([0, 0, 0, 0, 0, 1, 0])
    near = nearest_others(xy, 2, pieces)
    for row in range(5):
        assert row not in near[row]
        assert set(near[row]) <= {0, 1, 2, 3, 4}
    assert set(near[0]) == {1, 2}
    assert near[4].tolist()[0] == 3
    assert near[5].tolist() == [-1, -1]  # alone in its section
    assert near[6].tolist() == [-1, -1]  # nowhere
    few = nearest_others(xy[:3], 5)
    assert (few[:, 2:] == -1).all()
    assert all(set(few[row, :2]) == {0, 1, 2} - {row} for row in range(3))


def test_a_small_section_gives_the_numbers_of_fewer_neighbours(network, counts, xy):
    ranks = soft_ranks(counts)[:4]
    many = OmniCellTokens(ranks, nearest_others(xy[:4], 6), xy[:4])
    few = OmniCellTokens(ranks, nearest_others(xy[:4], 3), xy[:4])
    rows = np.arange(4)
    torch.testing.assert_close(
        embedded(network, many, rows)[:, :4], embedded(network, few, rows), atol=1e-6, rtol=1e-5
    )


def test_moving_the_tissue_changes_nothing(network, counts, xy):
    near = nearest_others(xy, 3)
    here = OmniCellTokens(soft_ranks(counts), near, xy)
    there = OmniCellTokens(soft_ranks(counts), near, xy + 1e5)
    rows = np.arange(20)
    torch.testing.assert_close(
        embedded(network, here, rows), embedded(network, there, rows), atol=1e-5, rtol=1e-4
    )


def test_other_cells_of_a_batch_change_nothing(network, counts, xy):
    tokens = OmniCellTokens(soft_ranks(counts), nearest_others(xy, 3), xy)
    together = embedded(network, tokens, np.arange(20))
    for row in (0, 5, 19):
        alone = embedded(network, tokens, np.array([row]))[0]
        torch.testing.assert_close(alone, together[row], atol=1e-6, rtol=1e-5)


def test_the_order_of_cells_changes_nothing(network, counts, xy):
    order = np.random.default_rng(2).permutation(20)
    plain = OmniCellTokens(soft_ranks(counts), nearest_others(xy, 3), xy)
    moved = OmniCellTokens(soft_ranks(counts[order]), nearest_others(xy[order], 3), xy[order])
    torch.testing.assert_close(
        embedded(network, moved, np.arange(20)),
        embedded(network, plain, order), atol=1e-6, rtol=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize("neighbours", [0, 3])
@torch.inference_mode()
def test_expressed_genes_alone_are_all_genes_with_zeros_masked(network, counts, xy, neighbours):
    near = nearest_others(xy, neighbours) if neighbours else None
    rows, table = np.arange(20), network.table(torch.arange(GENES + 2))
    few = OmniCellTokens(soft_ranks(counts), near, xy, expressed=True).sequences(rows)
    assert few.values.shape[2] < GENES + 2
    some = network.pooled(table, few, few.values > 0)
    read = OmniCellTokens(soft_ranks(counts), near, xy).sequences(rows)
    zeros = read.values == 0
    zeros[..., (0, -1)] = False
    masked = Sequences(read.genes, read.values, read.places, zeros)
    torch.testing.assert_close(
        some, network.pooled(table, masked, read.values > 0), atol=1e-6, rtol=1e-5
    )


@pytest.mark.parametrize("pooling", ["genes", "expressed"])
def test_what_an_embedding_is_the_mean_of(network, counts, xy, pooling):
    """Of hidden states of genes, of all or of those expressed; never of start, end or padding."""
    panel = GenePanel(tuple("ABCDEFGHIJKL"))
    codes = np.arange(20) % 10 // 9  # of "b" two cells, fewer than neighbours
    pieces = SideBySide(("a", "b"), codes, np.zeros((20, 2)))
    section = Section(Cells(counts, panel, np.arange(20).astype(str)), xy, pieces=pieces)
    model = OmniCell(network, panel, pooling=pooling)
    reading = model.reading(panel, neighbours=3)
    tokens = model.read(section, reading)
    rows = np.arange(20)
    read = tokens.sequences(rows)
    with torch.inference_mode():
        hidden = network(model.table(reading), read)[:, :, 1:-1]
    taken = read.values[..., 1:-1] > 0 if pooling == "expressed" else ~read.padding[..., 1:-1]
    sums = (hidden * taken.unsqueeze(-1)).sum(dim=2)
    wanted = sums / sums.norm(dim=-1, keepdim=True).clamp_min(1e-7)
    assert not taken[:, -1].any(dim=-1).all()  # some have no third neighbour
    torch.testing.assert_close(model.embed(tokens, reading, rows), wanted, atol=1e-5, rtol=1e-4)


def test_lengths_are_those_of_the_longest_cell(counts, xy):
    near = nearest_others(xy, 2)
    tokens = OmniCellTokens(soft_ranks(counts), near, xy, expressed=True)
    for row in range(20):
        read = tokens.sequences(np.array([row]))
        assert tokens.lengths[row] == read.values[0].numel()
    assert (OmniCellTokens(soft_ranks(counts)).lengths == GENES + 2).all()
