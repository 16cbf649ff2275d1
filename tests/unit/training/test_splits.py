"""Which cells train and which are held out."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from tagscope.training.recipe import TrainConfig, recipe_of
from tagscope.training.splits import Split, splits

ONE = recipe_of(TrainConfig(folds=1))
PUBLISHED = recipe_of(TrainConfig(recipe="published"))
CODES = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 3, 4], [100, 50, 7, 2, 1]))


def the_split(share: float, seed: int) -> Split:
    (split,) = splits(CODES, ONE, share, seed)
    return split


def test_every_label_is_split_in_proportion() -> None:
    split = the_split(0.2, 3)
    assert sorted([*split.training, *split.validation]) == list(range(160))
    assert np.bincount(CODES[split.validation], minlength=5).tolist() == [20, 10, 1, 1, 0]
    np.testing.assert_array_equal(split.validation, the_split(0.2, 3).validation)
    assert not np.array_equal(split.validation, the_split(0.2, 4).validation)
    most = the_split(0.99, 3).training
    assert set(CODES[most]) == {0, 1, 2, 3, 4}  # no label loses its last training cell


@pytest.mark.parametrize("folds", [2, 3, 5, 8])
def test_no_cell_is_held_out_twice(folds: int) -> None:
    parts = splits(CODES, replace(ONE, folds=folds), 0.2, 1)
    held_out = np.concatenate([part.validation for part in parts])
    assert len(parts) == folds
    assert len(np.unique(held_out)) == len(held_out)
    for part in parts:
        assert set(CODES[part.training]) == {0, 1, 2, 3, 4}
        assert sorted([*part.training, *part.validation]) == list(range(160))
    if folds >= 5:  # as many as there are shares: a whole cross-validation of labels with enough
        large = np.flatnonzero(CODES < 2)
        assert set(large) <= set(held_out)


def test_groups_are_held_out_whole() -> None:
    groups = np.random.default_rng(1).integers(0, 7, 160)
    parts = splits(CODES, replace(ONE, folds=3), 0.2, 1, groups)
    for part in parts:
        assert not set(groups[part.training]) & set(groups[part.validation])
        assert 0 < len(part.validation) < 80
    assert len(set(np.concatenate([part.validation for part in parts]))) == sum(
        len(part.validation) for part in parts
    )


def test_published_split_is_that_of_the_published_code() -> None:
    random.seed(123)
    expected = sorted(random.sample(range(1000), round(0.2 * 1000)))
    state = random.getstate()
    (split,) = splits(np.zeros(1000, np.int64), PUBLISHED, 0.2, seed=0)
    assert split.validation.tolist() == expected
    assert random.getstate() == state
