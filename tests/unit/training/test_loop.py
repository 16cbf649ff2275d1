"""The parts of the loop: hidden genes, weights, batches, metrics."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tagscope.models.base import CellBatch
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.network import CellMemoryNetwork
from tagscope.training.cellmemory import CellMemoryLoop
from tagscope.training.loop import Loop, label_weights
from tagscope.training.metrics import accuracy, confusion_matrix, macro_f1
from tagscope.training.reading import hide_genes
from tagscope.training.recipe import Recipe, TrainConfig, recipe_of

PUBLISHED = recipe_of(TrainConfig(recipe="published"))


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
    assert hide_genes(batch, 0.0, rng) is batch
    hidden = hide_genes(batch, 0.3, rng).padding
    assert 0.27 < hidden.float().mean() < 0.33
    assert hidden.sum(1).unique().numel() > 5  # every cell loses its own
    full = hide_genes(batch, 0.3, rng, alike=True)
    assert 110 < full.tokens.shape[1] < 170
    assert full.tokens.shape == full.genes.shape == full.padding.shape
    assert not full.padding.any()


def test_rare_labels_weigh_more_and_the_mean_cell_one() -> None:
    codes = np.repeat([0, 1, 3], [100, 25, 1])
    weights = label_weights(codes, 4, 0.5)
    assert weights[codes].mean().item() == pytest.approx(1.0)
    assert (weights / weights[0]).tolist() == pytest.approx([1, 2, 10, 10])
    assert label_weights(codes, 4, 0.0).tolist() == pytest.approx([1, 1, 1, 1])


def test_batches_hold_cells_of_like_length_and_all_cells_once() -> None:
    lengths = np.random.default_rng(0).integers(10, 200, 1000)
    loop = loop_of(recipe_of(TrainConfig(batch_size=20)))
    batches = loop.batches(lengths, np.zeros(1000, np.int64), np.random.default_rng(1))
    assert sorted(np.concatenate(batches)) == list(range(1000))
    padded = sum(len(rows) * lengths[rows].max() for rows in batches)
    plain = loop_of(PUBLISHED).batches(lengths, np.zeros(1000, np.int64), np.random.default_rng(1))
    assert padded < 1.15 * lengths.sum() < sum(len(rows) * lengths[rows].max() for rows in plain)
    means = [lengths[rows].mean() for rows in batches]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.5  # in no order of length


def test_sampling_draws_rare_labels_more_often() -> None:
    codes = np.repeat([0, 1], [900, 100])
    recipe = replace(recipe_of(TrainConfig(balance="sampling")), rare_power=1.0)
    loop = loop_of(recipe, label_weights(codes, 2, 1.0))
    drawn = np.concatenate(loop.batches(np.full(1000, 5), codes, np.random.default_rng(0)))
    assert len(drawn) == 1000
    assert 0.4 < (codes[drawn] == 1).mean() < 0.6


def loop_of(recipe: Recipe, weights: torch.Tensor | None = None) -> Loop:
    network = CellMemoryNetwork(CellMemoryConfig(width=8, ffn=8, heads=2), 5, 2)
    optimizer = torch.optim.SGD(network.parameters())
    weights = torch.ones(2) if weights is None else weights
    return CellMemoryLoop(
        network, optimizer, recipe, 0, torch.device("cpu"), torch.float32, weights
    )


def test_epochs_follow_from_updates() -> None:
    recipe = recipe_of(TrainConfig())
    assert recipe.for_cells(3200, 9).epochs == math.ceil(recipe.updates / 100)
    assert recipe.for_cells(3200, 100).epochs == 80
    assert recipe.for_cells(10, 9).epochs == 80
    assert recipe.for_cells(10**6, 9).epochs == 6
    assert recipe_of(TrainConfig(epochs=7)).for_cells(10**6, 9).epochs == 7
    assert PUBLISHED.for_cells(10**6, 9).epochs == 100


def test_what_a_request_says_goes_before_the_recipe() -> None:
    recipe = recipe_of(TrainConfig(recipe="published", epochs=7, batch_size=9))
    assert (recipe.epochs, recipe.batch_size, recipe.patience) == (7, 9, 5)
    assert PUBLISHED.learning_rate == 3e-4
    assert PUBLISHED.weight_decay == PUBLISHED.label_smoothing == PUBLISHED.gene_dropout == 0
