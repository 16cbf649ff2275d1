"""The parts of the loop: splits, hidden genes, chunks, metrics."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from tagscope.models.base import CellBatch
from tagscope.training.loop import hide_genes, label_weights
from tagscope.training.metrics import accuracy, confusion_matrix, macro_f1
from tagscope.training.prepare import split
from tagscope.training.recipe import TrainConfig, recipe_of

DEFAULT, PUBLISHED = recipe_of(TrainConfig()), recipe_of(TrainConfig(recipe="published"))


def test_every_label_is_split_in_proportion() -> None:
    codes = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 3, 4], [100, 50, 7, 2, 1]))
    training, validation = split(codes, DEFAULT, 0.2, seed=3)
    assert sorted([*training, *validation]) == list(range(160))
    assert np.bincount(codes[validation], minlength=5).tolist() == [20, 10, 1, 1, 0]
    again = split(codes, DEFAULT, 0.2, seed=3)[1]
    np.testing.assert_array_equal(validation, again)
    assert not np.array_equal(validation, split(codes, DEFAULT, 0.2, seed=4)[1])
    most = split(codes, DEFAULT, 0.99, seed=3)[0]
    assert set(codes[most]) == {0, 1, 2, 3, 4}  # no label loses its last training cell


def test_published_split_is_that_of_the_published_code() -> None:
    random.seed(123)
    expected = sorted(random.sample(range(1000), round(0.2 * 1000)))
    state = random.getstate()
    validation = split(np.zeros(1000, np.int64), PUBLISHED, 0.2, seed=0)[1]
    assert validation.tolist() == expected
    assert random.getstate() == state


def test_metrics() -> None:
    truth, predicted = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 2])
    confusion = confusion_matrix(truth, predicted, 3)
    assert confusion.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert accuracy(confusion) == pytest.approx(0.6)
    assert macro_f1(confusion) == pytest.approx((0.8 + 0.5) / 2)  # label 2 does not occur
    none = confusion_matrix(truth[:0], truth[:0], 3)
    assert np.isnan(accuracy(none))
    assert np.isnan(macro_f1(none))


def test_hidden_genes_are_a_share() -> None:
    shape = (50, 200)
    batch = CellBatch(
        torch.ones(shape, dtype=torch.int64), torch.arange(200).expand(shape),
        torch.zeros(shape, dtype=torch.bool), np.arange(50),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    assert hide_genes(batch, 0.0, "expressed", rng) is batch
    hidden = hide_genes(batch, 0.3, "expressed", rng).padding
    assert 0.27 < hidden.float().mean() < 0.33
    assert hidden.sum(1).unique().numel() > 5  # every cell loses its own
    full = hide_genes(batch, 0.3, "full", rng)
    assert 110 < full.tokens.shape[1] < 170
    assert full.tokens.shape == full.genes.shape == full.padding.shape
    assert not full.padding.any()


def test_rare_labels_weigh_more_and_the_mean_cell_one() -> None:
    codes = np.repeat([0, 1, 3], [100, 25, 1])
    weights = label_weights(codes, 4, 0.5)
    assert weights[codes].mean().item() == pytest.approx(1.0)
    assert (weights / weights[0]).tolist() == pytest.approx([1, 2, 10, 10])
    assert label_weights(codes, 4, 0.0).tolist() == pytest.approx([1, 1, 1, 1])


def test_what_a_request_says_goes_before_the_recipe() -> None:
    recipe = recipe_of(TrainConfig(recipe="published", epochs=7, batch_size=9))
    assert (recipe.epochs, recipe.batch_size, recipe.patience) == (7, 9, 5)
    assert PUBLISHED.learning_rate == 3e-4
    assert PUBLISHED.weight_decay == PUBLISHED.label_smoothing == PUBLISHED.gene_dropout == 0
