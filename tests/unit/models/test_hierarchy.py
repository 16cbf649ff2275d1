"""The loss over levels against sums of probabilities, and where plain sums would break."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from tagscope.core.hierarchy import LabelTree
from tagscope.core.labels import LabelSet
from tagscope.models.hierarchy import hierarchical_loss, marginal_logits

TREE = LabelTree(
    ("class", "type"),
    (LabelSet(("a", "b")), LabelSet(("a1", "b1", "b2", "a2", "b3"))),
    ((0, 1, 1, 0, 1),),
)
ANCESTORS = [torch.from_numpy(TREE.ancestors(level)) for level in range(2)]


@pytest.fixture
def logits():
    torch.manual_seed(0)
    return (4 * torch.randn(40, 5, dtype=torch.float64)).requires_grad_()


@pytest.fixture
def codes():
    fine = np.random.default_rng(0).integers(0, 5, 40)
    return [torch.from_numpy(level) for level in TREE.codes_of(fine)]


def test_marginals_are_the_logarithms_of_summed_probabilities(logits):
    said = marginal_logits(logits, ANCESTORS[0], 2).exp().detach().numpy()
    fine = torch.softmax(logits, dim=1).detach().numpy()
    np.testing.assert_allclose(said, TREE.probabilities(fine)[0], rtol=1e-6)


def test_the_loss_is_the_sum_over_levels(logits, codes):
    fine = torch.softmax(logits, dim=1)
    coarse = torch.stack([fine[:, [0, 3]].sum(1), fine[:, [1, 2, 4]].sum(1)], dim=1)
    expected = F.nll_loss(coarse.log(), codes[0], reduction="sum")
    expected = expected + F.cross_entropy(logits, codes[1], reduction="sum")
    torch.testing.assert_close(hierarchical_loss(logits, codes, ANCESTORS), expected)


def test_one_level_is_ordinary_cross_entropy(logits, codes):
    weight = torch.linspace(0.5, 2, 5, dtype=torch.float64)
    found = hierarchical_loss(
        logits, codes[1:], ANCESTORS[1:], weights=[weight], label_smoothing=0.1
    )
    expected = F.cross_entropy(
        logits, codes[1], weight=weight, label_smoothing=0.1, reduction="sum"
    )
    torch.testing.assert_close(found, expected)


def test_gradients_are_those_of_finite_differences(logits, codes):
    def loss(z):
        return hierarchical_loss(z, codes, ANCESTORS, label_smoothing=0.05, level_weights=[2, 1])

    assert torch.autograd.gradcheck(loss, (logits,))


def test_hopeless_labels_leave_loss_and_gradient_finite(codes):
    logits = torch.zeros(40, 5)
    logits[:, 0] = 500.0  # the other probabilities are 0 in float32
    logits.requires_grad_()
    loss = hierarchical_loss(logits, codes, ANCESTORS, label_smoothing=0.05)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() > 1


def test_a_cell_may_be_labelled_on_the_coarse_level_alone(logits, codes):
    unknown = torch.full_like(codes[1], -1)
    coarse_alone = hierarchical_loss(logits, [codes[0], unknown], ANCESTORS)
    torch.testing.assert_close(coarse_alone, hierarchical_loss(logits, codes[:1], ANCESTORS[:1]))


def test_descending_it_learns_both_levels(codes):
    torch.manual_seed(0)
    logits = torch.randn(40, 5, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        hierarchical_loss(logits, codes, ANCESTORS).backward()
        optimizer.step()
    decoded = TREE.decode(torch.softmax(logits, dim=1).detach().numpy())
    for level, truth in zip(decoded, codes, strict=True):
        np.testing.assert_array_equal(level.codes, truth.numpy())
