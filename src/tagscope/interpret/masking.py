"""Hiding genes from a network: which ones, by what order, and how.

Letters: B cells, L tokens.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tagscope.models.base import CellBatch

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def places_by(scores: npt.NDArray[np.floating[Any]], padding: Bools, ties: Floats) -> Ints:
    """Place of every token in its cell, from 0 for the highest score, (B, L).

    Equal scores go by ``ties`` (B, L), the lower first. Padding comes last.
    """
    kept_last = np.where(padding, -np.inf, scores)
    order = np.lexsort((ties, -kept_last, padding), axis=-1)
    places = np.empty(order.shape, np.int64)
    np.put_along_axis(places, order, np.arange(order.shape[1])[None], axis=1)
    return places


def counts_of(lengths: Ints, percent: float) -> Ints:
    """How many of each cell's ``lengths`` genes make up ``percent``: at least one, (B,)."""
    rounded = np.floor(lengths * (percent / 100) + 0.5).astype(np.int64)
    return np.asarray(np.minimum(np.maximum(rounded, 1), lengths))


def without_first(places: Ints, counts: Ints, padding: Bools) -> Bools:
    """Tokens to hide so that each cell loses its first ``counts`` genes (deletion), (B, L)."""
    return (places < counts[:, None]) & ~padding


def only_first(places: Ints, counts: Ints, padding: Bools) -> Bools:
    """Tokens to hide so that each cell keeps its first ``counts`` genes alone (insertion)."""
    return (places >= counts[:, None]) & ~padding


def hide(batch: CellBatch, hidden: Bools, *, as_padding: bool = False) -> CellBatch:
    """The batch with some tokens (B, L) not read.

    They are marked as padding, which takes no part in attention. ``as_padding`` turns them into
    padding tokens altogether, for networks to which padding is not nothing: to them, this is the
    same cell without the gene.
    """
    mask = torch.from_numpy(hidden)
    padding = batch.padding | mask
    if not as_padding:
        return replace(batch, padding=padding)
    pad = 0 if batch.pairs is None else len(batch.pairs.tokens) - 1
    pads = None if batch.pads is None else batch.pads + mask.sum(dim=1)
    tokens, genes = batch.tokens.masked_fill(mask, pad), batch.genes.masked_fill(mask, -1)
    return replace(batch, tokens=tokens, genes=genes, padding=padding, pads=pads)


def drawn_for(rows: Ints, length: int, seed: int, draw: int) -> Floats:
    """Random numbers for every token of the given cells, (B, length), from 0 to 1.

    They depend on seed, draw and a cell's row alone, not on the cells around it.
    """
    return np.stack([np.random.default_rng((seed, draw, int(r))).random(length) for r in rows])
