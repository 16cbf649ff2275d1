"""Which cells of a reference a network trains on, and which it is validated on."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagscope.errors import ArgumentError
from tagscope.training.recipe import Recipe

Ints = npt.NDArray[np.int64]

_PUBLISHED_SEED = 123


@dataclass(frozen=True)
class Split:
    """Rows of a reference, ascending: ``training`` and ``validation`` hold every row once."""

    training: Ints
    validation: Ints


def splits(
    codes: Ints, recipe: Recipe, share: float, seed: int, groups: Ints | None = None
) -> tuple[Split, ...]:
    """One split for every network of the recipe, no cell in two validation parts.

    ``share`` is what each holds out, at most one over the number of networks. Of every label each
    network holds out that share, and trains on at least one cell; a label's single cell always
    trains. With ``groups`` (N,) (donors, batches, sections) whole groups are held out. Published:
    one network, ``random.sample`` over all cells, seed 123.

    Raises
    ------
    ArgumentError
        If a network is left without training cells.
    """
    if recipe.published and recipe.folds == 1 and groups is None:
        drawn = random.Random(_PUBLISHED_SEED).sample(range(len(codes)), round(share * len(codes)))
        parts = [np.array(sorted(drawn), dtype=np.int64)]
    else:
        share, rng = min(share, 1 / recipe.folds), np.random.default_rng(seed)
        if groups is None:
            parts = _stratified(codes, share, recipe.folds, rng)
        else:
            parts = _grouped(groups, share, recipe.folds, rng)
    if any(len(part) == len(codes) for part in parts):
        raise ArgumentError(
            f"Of {len(codes)} cells none is left to train on.",
            "Some cells must not be kept for validation, nor all cells be of one group.",
            "Hold out a smaller share, or give a larger reference.",
            {"validation": None},
        )
    everyone = np.arange(len(codes))
    return tuple(Split(np.setdiff1d(everyone, part), part) for part in parts)


def _stratified(codes: Ints, share: float, folds: int, rng: np.random.Generator) -> list[Ints]:
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    counts = np.bincount(codes)
    place = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    of_label = np.repeat(counts, counts)
    parts = []
    for fold in range(folds):
        first, end = (np.rint(share * n * of_label) for n in (fold, fold + 1))
        end = np.minimum(end, first + of_label - 1)  # at least one trains
        few = np.rint(share * of_label) < 1  # too few for a share: one to a network
        first, end = np.where(few, fold, first), np.where(few & (of_label > 1), fold + 1, end)
        parts.append(np.sort(order[(place >= first) & (place < end)]))
    return parts


def _grouped(groups: Ints, share: float, folds: int, rng: np.random.Generator) -> list[Ints]:
    """Whole groups, the largest first, each into the part with the fewest cells so far."""
    count = max(2, folds, round(1 / share))
    sizes = np.bincount(groups)
    order = rng.permutation(len(sizes))
    filled, part_of = np.zeros(count), np.zeros(len(sizes), np.int64)
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        part_of[group] = int(filled.argmin())
        filled[part_of[group]] += sizes[group]
    return [np.flatnonzero(part_of[groups] == fold) for fold in range(folds)]
