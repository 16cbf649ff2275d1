"""A CellPatch as the rest of TAGscope asks it: what changes its answers, and what does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from small_reference import GENES, small_reference
from tagscope.core.labels import LabelSet
from tagscope.core.section import Cells
from tagscope.errors import ArgumentError, InputError
from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.models.cellpatch.model import CellPatch
from tagscope.models.cellpatch.network import CellPatchNetwork, Genes
from tagscope.models.cellpatch.tokenise import CellPatchPreprocessing, tokenise

CONFIG = CellPatchConfig(width=16, patches=8, heads=2, layers=1, projection=4)
LABELS = LabelSet(("a", "b", "c"))


@pytest.fixture(scope="module")
def cells() -> Cells:
    whole = small_reference((8, 6, 6)).cells
    values = whole.values.tolil()
    values[5] = 0
    return replace(whole, values=sp.csr_matrix(values))


@pytest.fixture(scope="module")
def model(cells) -> CellPatch:
    torch.manual_seed(0)
    networks = tuple(CellPatchNetwork(CONFIG, GENES, len(LABELS)).eval() for _ in range(2))
    return CellPatch(networks, cells.panel, LABELS, CellPatchPreprocessing())


def said(model: CellPatch, cells: Cells, rows: np.ndarray | None = None):
    tokens = model.tokenise(cells)
    batch = tokens.batch(np.arange(len(cells)) if rows is None else rows)
    return model(batch, gene_scores=True)


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_other_cells_of_a_batch_change_nothing(model, cells):
    whole = said(model, cells)
    for row in range(len(cells)):
        alone = said(model, cells, np.array([row]))
        close(alone.logits[0], whole.logits[row])
        close(alone.embedding[0], whole.embedding[row])
        read = alone.gene_scores.shape[1]
        close(alone.gene_scores[0], whole.gene_scores[row, :read])
        assert not whole.gene_scores[row, read:].any()


def test_permuting_cells_permutes_answers(model, cells):
    order = np.random.default_rng(0).permutation(len(cells))
    close(said(model, cells.take(order)).logits, said(model, cells).logits[order])


def test_the_order_of_genes_changes_nothing(model, cells):
    order = np.random.default_rng(0).permutation(GENES)
    turned = replace(cells, values=cells.values[:, order], panel=cells.panel.take(order))
    close(said(model, turned).logits, said(model, cells).logits)


def test_a_cell_without_genes_has_an_answer(model, cells):
    assert model.tokenise(cells).lengths[5] == 0
    whole = said(model, cells)
    assert torch.isfinite(whole.logits).all()
    assert not whole.gene_scores[5].any()


def test_scores_are_shares_of_all_that_is_read(model, cells):
    sums = said(model, cells).gene_scores.sum(dim=1)
    close(sums, torch.from_numpy((cells.totals > 0).astype(np.float32)))


def test_probabilities_are_means_over_the_networks(model, cells):
    parts = [
        said(CellPatch((network,), cells.panel, LABELS, model.preprocessing), cells)
        for network in model.networks
    ]
    mean = sum(part.logits.softmax(dim=1) for part in parts) / len(parts)
    whole = said(model, cells)
    close(whole.logits.softmax(dim=1), mean)
    close(whole.embedding, torch.cat([part.embedding for part in parts], dim=1))


@pytest.mark.parametrize(
    ("choices", "wanted"),
    [
        ({}, [np.log1p(2500), np.log1p(7500)]),
        ({"totals": "measured"}, [np.log1p(2000), np.log1p(6000)]),
        ({"most": 5.0, "steps": "truncated"}, [5, 5]),
        ({"target_sum": 4.0, "steps": "truncated"}, [0, 1]),
        ({"target_sum": 4.0, "steps": "rounded"}, [1, 1]),
    ],
)
def test_values(choices, wanted):
    """Counts 1 and 3 of known genes and 1 of another: log(1 + x) of 1/4 and 3/4, or 1/5 and 3/5."""
    whole = small_reference((1, 1, 1)).cells.take(np.array([0]))
    counts = sp.csr_matrix(([1.0, 3.0, 1.0], ([0, 0, 0], [0, 1, 2])), (1, GENES), np.float32)
    known = whole.panel.take(np.array([1, 0]))
    tokens = tokenise(
        replace(whole, values=counts), known, CONFIG, CellPatchPreprocessing(**choices)
    )
    np.testing.assert_allclose(tokens.values[np.argsort(-tokens.columns)], wanted, rtol=1e-5)


def test_values_that_cannot_be_read(model, cells):
    odd = replace(cells, values=-cells.values)
    with pytest.raises(InputError, match="negative or missing"):
        model.tokenise(odd)


def test_pads_are_those_of_cells_padded_together(cells):
    config = replace(CONFIG, compat="published", padded_together=8)
    tokens = tokenise(cells, cells.panel, config, CellPatchPreprocessing())
    lengths = tokens.lengths
    wanted = [lengths[8 * (row // 8) : 8 * (row // 8) + 8].max() - lengths[row]
              for row in range(len(cells))]  # fmt: skip
    np.testing.assert_array_equal(tokens.pads, wanted)


@torch.inference_mode()
def test_one_pad_stands_for_all(cells):
    """Counted, as for many that are there."""
    torch.manual_seed(0)
    network = CellPatchNetwork(replace(CONFIG, compat="published"), GENES).eval()
    genes, values = torch.arange(6).expand(2, -1), torch.rand(2, 6)
    padding = torch.tensor([[False] * 6, [False] * 3 + [True] * 3])
    whole = network(Genes(genes, values, padding)).patches
    part = Genes(genes[1:, :4], values[1:, :4], padding[1:, :4], torch.tensor([3.0]))
    close(network(part).patches[0], whole[1])


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"width": 15}, "width = 15.*multiple of the 2 heads"),
        ({"patches": 0}, "patches = 0"),
        ({"compat": "other"}, "compat = 'other'"),
        ({"bottleneck": True, "projection": None}, "a projection to tell labels from"),
        ({"head_dropout": 1.0}, "head_dropout = 1.0"),
    ],
)
def test_sizes_that_cannot_be(choices, said):
    with pytest.raises(ArgumentError, match=f"(?s){said}"):
        replace(CONFIG, **choices)
