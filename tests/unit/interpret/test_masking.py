"""Which genes are hidden, and that a hidden gene is as good as one that was never there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.interpret.masking import (
    counts_of,
    drawn_for,
    hide,
    only_first,
    places_by,
    without_first,
)
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.model import CellMemory
from tagscope.models.cellmemory.network import CellMemoryNetwork
from tagscope.models.preprocessing import Preprocessing

PANEL = GenePanel(tuple(f"G{i}" for i in range(12)))
# the token of a value does not depend on the cell's other values
ROUNDED = CellMemoryConfig(
    encoding="round", width=16, ffn=16, layers=2, heads=2, slots=3, key_width=4, max_bin=8
)


def model(config, panel=PANEL):
    torch.manual_seed(0)
    return CellMemory(
        CellMemoryNetwork(config, len(PANEL), 4).eval(), PANEL, LabelSet(tuple("abcd")),
        Preprocessing(),
    )  # fmt: skip


def normalised(values, panel=PANEL):
    ids = np.array([f"c{i}" for i in range(len(values))])
    return Cells(sp.csr_matrix(values.astype(np.float32)), panel, ids, normalised=True)


@pytest.fixture
def values():
    random = np.random.default_rng(0)
    return random.integers(1, 7, (5, 12)) * (random.random((5, 12)) < 0.7)


def test_places_by_score_then_by_ties_with_padding_last():
    scores = np.array([[0.1, 0.5, 0.5, -2.0, 9.0]])
    padding = np.array([[False, False, False, False, True]])
    ties = np.array([[0.0, 0.9, 0.2, 0.0, 0.0]])
    assert places_by(scores, padding, ties).tolist() == [[2, 1, 0, 3, 4]]


def test_counts_are_whole_genes_and_at_least_one():
    lengths = np.array([1, 10, 49, 50, 200])
    assert counts_of(lengths, 1).tolist() == [1, 1, 1, 1, 2]
    assert counts_of(lengths, 5).tolist() == [1, 1, 2, 3, 10]
    assert counts_of(lengths, 50).tolist() == [1, 5, 25, 25, 100]


def test_deletion_and_insertion_are_complements():
    random = np.random.default_rng(1)
    padding = np.arange(9) >= np.array([9, 6, 4])[:, None]
    places = places_by(random.random((3, 9)), padding, random.random((3, 9)))
    counts = np.array([3, 3, 4])
    hidden, others = (f(places, counts, padding) for f in (without_first, only_first))
    assert hidden.sum(axis=1).tolist() == [3, 3, 4]
    assert (hidden ^ others == ~padding).all()


def test_draws_belong_to_the_cell_and_not_to_its_batch():
    together = drawn_for(np.array([4, 9, 2]), 6, seed=1, draw=2)
    np.testing.assert_array_equal(drawn_for(np.array([9]), 6, 1, 2)[0], together[1])
    np.testing.assert_array_equal(drawn_for(np.array([9]), 4, 1, 2)[0], together[1, :4])
    for other in ((np.array([9]), 6, 2, 2), (np.array([9]), 6, 1, 3), (np.array([8]), 6, 1, 2)):
        assert (drawn_for(*other)[0] != together[1]).all()


@pytest.mark.parametrize(
    ("config", "as_padding"),
    [(ROUNDED, False), (ROUNDED, True), (replace(ROUNDED, compat="published", pad_to=12), True)],
)
def test_a_hidden_gene_is_one_that_is_not_expressed(values, config, as_padding):
    asked = model(config)
    batch = asked.tokenise(normalised(values)).batch(np.arange(5))
    hidden = np.isin(batch.genes.numpy(), (2, 5))
    said = asked(hide(batch, hidden, as_padding=as_padding))
    without = values.copy()
    without[:, [2, 5]] = 0
    expected = asked(asked.tokenise(normalised(without)).batch(np.arange(5)))
    torch.testing.assert_close(said.logits, expected.logits)
    assert (said.logits - asked(batch).logits).abs().max() > 1e-3


def test_a_hidden_gene_is_one_that_is_not_measured_in_full_mode(values):
    """Not the same as one that is measured as zero, which the network reads."""
    asked = model(replace(ROUNDED, mode="full"))
    # sinusoids go by the gene, so that a gene left out does not move the others
    batch = asked.tokenise(normalised(values)).batch(np.arange(5))
    said = asked(hide(batch, np.isin(batch.genes.numpy(), (2, 5))))
    kept = np.delete(np.arange(12), [2, 5])
    unmeasured = normalised(values[:, kept], PANEL.take(kept))
    expected = asked(asked.tokenise(unmeasured).batch(np.arange(5)))
    torch.testing.assert_close(said.logits, expected.logits)
    without = values.copy()
    without[:, [2, 5]] = 0
    zero = asked(asked.tokenise(normalised(without)).batch(np.arange(5)))
    assert (said.logits - zero.logits).abs().max() > 1e-3


def test_each_cell_may_hide_its_own_genes_in_full_mode(values):
    asked = model(replace(ROUNDED, mode="full"))
    tokens = asked.tokenise(normalised(values))
    hidden = np.random.default_rng(3).random((5, 12)) < 0.4
    together = asked(hide(tokens.batch(np.arange(5)), hidden)).logits
    for row in range(5):
        alone = asked(hide(tokens.batch(np.array([row])), hidden[[row]])).logits
        torch.testing.assert_close(alone[0], together[row])


def test_everything_may_be_hidden(values):
    for config in (ROUNDED, replace(ROUNDED, mode="full")):
        asked = model(config)
        batch = asked.tokenise(normalised(values)).batch(np.arange(5))
        said = asked(hide(batch, ~batch.padding.numpy())).logits
        torch.testing.assert_close(said, said[:1].expand(5, -1))
