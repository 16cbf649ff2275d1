"""OmniCell's pretraining: what is hidden, and what telling it wrongly costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from omnicell_cases import load_case
from tagscope.models.omnicell.network import Sequences
from tagscope.models.omnicell.objective import (
    CELLS,
    HIDDEN,
    SPATIAL,
    Masking,
    balance_weight,
    hide,
    rank_loss,
)


def sequences(cells: int = 4, genes: int = 40) -> Sequences:
    """200 sequences in which every second gene was found."""
    values = torch.zeros(200, cells, genes + 2)
    values[..., 1:-1:2] = 2.5
    return Sequences(torch.arange(genes + 2), values)


def drawn(masking: Masking, read: Sequences, seed: int = 0, **how: torch.Tensor) -> torch.Tensor:
    return masking.draw(read, torch.Generator().manual_seed(seed), **how)


def test_shares_of_found_genes_are_exact():
    read = sequences()
    hidden = drawn(SPATIAL, read)
    assert (hidden[:, 0].sum(-1) == 6).all()  # 0.3 of 20
    assert (hidden[:, 1:].sum(-1) == 1).all()  # 0.05 of 20
    assert not hidden[read.values == 0].any()


def test_shares_of_found_genes_and_zeros_of_cells_alone():
    read = sequences(cells=1)
    hidden = drawn(CELLS, read)
    assert (hidden.sum(-1) == 8).all()
    assert (hidden & (read.values > 0)).sum() == 200 * 6
    assert not hidden[..., [0, -1]].any()
    padded = replace(read, padding=torch.zeros_like(hidden))
    padded.padding[..., 20:] = True
    assert not drawn(Masking(0.0, zeros=1.0), padded)[..., 20:].any()
    assert drawn(Masking(0.0, zeros=1.0), padded).sum() == 200 * 9


def test_shares_that_are_no_whole_genes_are_rounded_at_random():
    counts = drawn(Masking(0.33), sequences(cells=1)).sum(-1)
    assert set(counts.unique().tolist()) == {6, 7}
    assert counts.float().mean() == pytest.approx(6.6, abs=0.1)


def test_all_and_none_can_be_hidden():
    read = sequences()
    assert torch.equal(drawn(Masking(1.0, 1.0), read), read.values > 0)
    assert not drawn(Masking(0.0), read).any()
    asked = torch.ones(200, 4, dtype=torch.bool)
    asked[:, 2] = False
    hidden = drawn(Masking(1.0, 1.0), read, asked=asked)
    assert not hidden[:, 2].any()
    assert hidden[:, 3].any()


def test_a_seed_decides():
    read = sequences()
    assert torch.equal(drawn(SPATIAL, read, 3), drawn(SPATIAL, read, 3))
    assert not torch.equal(drawn(SPATIAL, read, 3), drawn(SPATIAL, read, 4))


def test_hidden_genes_are_read_with_a_value_of_their_own():
    read = sequences()
    hidden = drawn(SPATIAL, read)
    without = hide(read, hidden)
    assert (without.values[hidden] == HIDDEN).all()
    assert torch.equal(without.values[~hidden], read.values[~hidden])
    assert (read.values >= 0).all()


@pytest.mark.parametrize("name", ["sc_small", "spatial_small"])
def test_the_loss_is_the_papers(shared, name):
    case = load_case(shared / "parity" / "omnicell" / name)
    network, asked = case.network(), case.inputs["loss_mask"]
    read = case.tokens().sequences(np.arange(len(asked)))
    scores = network.scores(network(network.table(case.read_genes), read))
    hidden = torch.nn.functional.pad(asked.view(scores.shape), (1, 1))
    loss = rank_loss(scores, read.values, hidden) / asked.sum()
    assert loss.item() == pytest.approx(
        case.scalars["huber_delta1_over_masked_paper_formula"], rel=1e-5
    )


def test_experts_are_pressed_into_balance_while_the_loss_is_large():
    assert (balance_weight(9.9), balance_weight(10.0)) == (0.05, 10.0)
