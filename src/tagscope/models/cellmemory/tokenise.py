"""Cells as CellMemory reads them: one token per gene, its encoded expression.

Everything works on flat CSR arrays; nothing loops over cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
import torch

from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.errors import InputError
from tagscope.jobs import JobContext
from tagscope.models.base import CellBatch, TokenPairs
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.preprocessing import Preprocessing, stored_values
from tagscope.models.ragged import laid_out

Ints = npt.NDArray[np.int64]

_CELLS = 1 << 15  # read at a time, which is how soon a cancel is noticed
_BLOCK = 1 << 20  # values sorted at a time, so that the padded copy stays in cache
_TABLE_BYTES = 8  # of a pair and a channel in a network's table, float32 twice
_LARGEST_TABLE = 1 << 28
_MOST_KEYS = 1 << 25  # possible pairs that are looked through for those that occur
_REUSE = 4  # tokens a pair must stand for, on average, for a table to be worth its making
_ROWS = 4096  # rows whose counts are counted at a time
_SMALL_COUNTS = 512  # from here on a histogram is longer than a sort
_ROUNDING = 1e-9  # an edge this little above a rank may be rounded onto the value itself


@dataclass(frozen=True)
class CellMemoryTokens:
    """Encoded cells: cell i owns ``tokens[offsets[i]:offsets[i + 1]]`` and the same ``columns``.

    ``tokens`` int16 from 1; ``columns`` int32 vocabulary columns, ascending in a cell;
    ``offsets`` (N + 1,). With ``measured`` (M,) every cell is read over these columns, zeros
    included (full mode), and ``zeros`` (M,) is what stands for a zero. ``pad_to`` is the least
    padded length; with ``merged`` all pads of a cell are one, and counted.

    For prediction ``tokens`` may be int32 positions in ``pairs`` (:meth:`for_prediction`).
    """

    tokens: npt.NDArray[np.signedinteger[Any]]
    columns: npt.NDArray[np.int32]
    offsets: Ints
    measured: Ints | None = None
    zeros: Ints | None = None
    pad_to: int = 0
    merged: bool = False
    pairs: TokenPairs | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Ints:
        """Tokens per cell, (N,)."""
        if self.measured is not None:
            return np.full(len(self), len(self.measured), dtype=np.int64)
        return np.diff(self.offsets)

    def for_prediction(self, config: CellMemoryConfig) -> CellMemoryTokens:
        """The same cells for a network at rest, which need not do again what is alike.

        Pairs of token and gene are numbered where the section has few; pads that the published
        code attends to are merged, but with top-k, where alike tokens compete.
        """
        merged = replace(self, merged=bool(self.pad_to) and config.top_k is None)
        width = config.tokens
        most = (int(self.columns.max(initial=0)) + 1) * width
        if most > _MOST_KEYS:
            return merged
        keys = self.columns.astype(np.int64) * width + self.tokens
        zeros = np.empty(0, np.int64) if self.measured is None else self.measured * width
        occurring = np.zeros(max(most, int(zeros.max(initial=0)) + 1), np.bool_)
        occurring[keys] = True
        occurring[zeros] = True
        found = np.flatnonzero(occurring)
        too_large = len(found) * config.width * _TABLE_BYTES > _LARGEST_TABLE
        if too_large or len(found) * _REUSE > self.lengths.sum():
            return merged
        number = np.zeros(len(occurring), np.int32)
        number[found] = np.arange(len(found))
        # The last pair is a pad's: token 0, no gene.
        pairs = TokenPairs(
            torch.from_numpy(np.append(found % width, 0)),
            torch.from_numpy(np.append(found // width, -1)),
        )
        return replace(merged, tokens=number[keys], zeros=number[zeros].astype(np.int64),
                       pairs=pairs)  # fmt: skip

    def batch(self, rows: Ints) -> CellBatch:
        """The given cells, padded to the longest of them (or to ``pad_to``)."""
        rows = np.asarray(rows, dtype=np.int64)
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        longest = int(lengths.max(initial=0))
        most = max(longest, self.pad_to)
        width = min(most, longest + 1) if self.merged else most
        present, where = laid_out(self.offsets, rows, width)
        if self.measured is not None:
            return self._full_batch(rows, present, where)
        pad = 0 if self.pairs is None else len(self.pairs.tokens) - 1
        tokens = np.full(present.shape, pad, np.int64)
        genes = np.full(present.shape, -1, np.int64)
        tokens[present] = self.tokens[where]
        genes[present] = self.columns[where]
        pads = (most - lengths).astype(np.float32) if self.merged else None
        return self._batch(tokens, genes, ~present, rows, pads)

    def _full_batch(self, rows: Ints, present: npt.NDArray[np.bool_], where: Ints) -> CellBatch:
        assert self.measured is not None
        tokens = np.zeros((len(rows), len(self.measured)), np.int64)
        if self.zeros is not None:
            tokens[:] = self.zeros
        positions = np.searchsorted(self.measured, self.columns[where])
        tokens[np.nonzero(present)[0], positions] = self.tokens[where]
        genes = np.broadcast_to(self.measured, tokens.shape).copy()
        return self._batch(tokens, genes, np.zeros(tokens.shape, np.bool_), rows)

    def _batch(
        self,
        tokens: Ints,
        genes: Ints,
        padding: npt.NDArray[np.bool_],
        rows: Ints,
        pads: npt.NDArray[np.float32] | None = None,
    ) -> CellBatch:
        return CellBatch(
            torch.from_numpy(tokens),
            torch.from_numpy(genes),
            torch.from_numpy(padding),
            rows,
            None if pads is None else torch.from_numpy(pads),
            self.pairs,
        )


def tokenise(
    cells: Cells,
    vocabulary: GenePanel,
    config: CellMemoryConfig,
    preprocessing: Preprocessing,
    *,
    seed: int = 0,
    context: JobContext | None = None,
) -> CellMemoryTokens:
    """Encode cells over ``vocabulary``, genes aligned by name.

    In full mode genes that were not measured are left out rather than read as zero. ``seed``
    draws the genes of cells with more than ``config.max_tokens``; the draw depends on the cell's
    id and not on the cells around it. ``context`` hears ``step("reading genes", cells done, N)``.

    Raises
    ------
    InputError
        If the cells share no gene with the vocabulary or hold negative values.
    """
    measured = np.flatnonzero(vocabulary.columns_in(cells.panel) >= 0)
    if not len(measured):
        raise InputError(
            f"None of the {len(cells.panel)} genes measured is among the {len(vocabulary)} "
            "the model knows.",
            "Cells and model must share genes, by symbol or Ensembl id.",
            "Check species and kind of gene ids, or train on a reference with these genes.",
        )
    context, parts = context or JobContext(), []
    for start in range(0, max(len(cells), 1), _CELLS):
        context.step("reading genes", start, len(cells))
        block = cells
        if len(cells) > _CELLS:
            block = cells.take(np.arange(start, min(start + _CELLS, len(cells))))
        aligned = block if block.panel == vocabulary else block.restrict(vocabulary)
        parts.append(_tokenised(aligned, config, preprocessing, seed))
    tokens, columns, lengths = (np.concatenate(part) for part in zip(*parts, strict=True))
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    if config.mode == "full":
        return CellMemoryTokens(tokens, columns, offsets, measured=measured)
    longest = int(lengths.max(initial=0))
    pad_to = max(config.pad_to, longest) if config.compat == "published" else 0
    return CellMemoryTokens(tokens, columns, offsets, pad_to=pad_to)


def _tokenised(
    cells: Cells, config: CellMemoryConfig, preprocessing: Preprocessing, seed: int
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int32], Ints]:
    """Tokens, their columns, and tokens per cell (N,) of cells over the vocabulary's genes."""
    stored = stored_values(cells)
    values = preprocessing.logged(stored, cells.normalised)
    tokens = encode(values, config, None if cells.normalised else stored.data)
    columns, lengths = values.indices.astype(np.int32), np.diff(values.indptr).astype(np.int64)
    if config.mode == "full":
        return tokens, columns, lengths
    offsets = values.indptr.astype(np.int64)
    chosen = _drawn(offsets, columns, cells.ids, config.max_tokens, seed)
    if chosen is None:
        return tokens, columns, lengths
    kept = np.concatenate(([0], np.cumsum(chosen)))[offsets]
    return tokens[chosen], columns[chosen], np.diff(kept)


def encode(
    values: sp.csr_matrix,
    config: CellMemoryConfig,
    counts: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.int16]:
    """Token of every stored value, from 1, in the order of ``values.data``.

    ``counts`` are what the values were made of, where that is known.
    """
    if config.encoding == "round":
        return _rounded(values, config.resolution, config.max_bin)
    whole = counts is not None and bool((counts == np.rint(counts)).all())
    bins = quantile_bins(values, config.max_bin, counts if whole else None)
    if config.encoding == "both":
        bins += (config.max_bin + 1) * _rounded(values, config.resolution, config.max_value)
    return bins


def _rounded(values: sp.csr_matrix, resolution: float, largest: int) -> npt.NDArray[np.int16]:
    """Values times ``resolution``, rounded up, 1 to ``largest``."""
    rounded = np.ceil(values.data * np.float32(resolution))
    return np.asarray(np.clip(rounded, 1, largest), dtype=np.int16)


def quantile_bins(
    values: sp.csr_matrix, max_bin: int, counts: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.int16]:
    """Quantile bin of every stored value among its row's stored values.

    Equal to ``np.digitize(v, np.quantile(v, np.linspace(0, 1, max_bin)))`` of each row's values v:
    the number of edges at or below a value. Edge k lies at position (n − 1)·k/(max_bin − 1) of the
    sorted row, so a value with r values of its row at or below it has all edges at or below
    position r − 1. ``counts`` are whole numbers that order every row as ``values.data`` does:
    where they are small they are counted, which is several times quicker than sorting.
    """
    lengths = np.diff(values.indptr).astype(np.int64)
    sizes, which = np.unique(lengths, return_inverse=True)
    # Positions as numpy computes them: linspace's k * step, its last element set to 1.
    shares = np.arange(max_bin) * (1.0 / (max_bin - 1))
    shares[-1] = 1.0
    positions = np.maximum(sizes - 1, 0)[:, None] * shares
    starts = np.concatenate(([0], np.cumsum(sizes)))
    bins_at, next_share = _edges_up_to(positions, sizes, starts)
    at = _at_or_below(values, lengths, counts)
    at += np.repeat(starts[:-1][which] - 1, lengths)
    bins = bins_at[at]
    near = np.flatnonzero((next_share > 0)[at])
    if len(near):
        low = values.data[near].astype(np.float64)
        above = _next_larger(values, near)
        # numpy's interpolation for shares below 1/2; an edge rounded onto the value counts too
        bins[near] += low + (above - low) * next_share[at[near]] <= low
    return bins


def _edges_up_to(
    positions: npt.NDArray[np.float64], sizes: Ints, starts: Ints
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.float64]]:
    """For every row length n and rank q < n, flat: how many edges lie at or below q, and how far
    beyond q the next one lies where floating point may have put it onto q, else 0."""
    filled = sizes > 0
    reached = np.ceil(positions[filled]).astype(np.int64) + starts[:-1][filled, None]
    edges = np.bincount(reached.ravel(), minlength=int(starts[-1]))
    before = np.repeat(np.arange(int(filled.sum())) * positions.shape[1], sizes[filled])
    counted = np.cumsum(edges)[: int(starts[-1])] - before
    ranks = np.arange(int(starts[-1])) - np.repeat(starts[:-1], sizes)
    which = np.repeat(np.arange(len(sizes)), sizes)
    share = positions[which, np.minimum(counted, positions.shape[1] - 1)] - ranks
    return counted.astype(np.int16), np.where((share > 0) & (share < _ROUNDING), share, 0.0)


def _at_or_below(
    values: sp.csr_matrix, lengths: Ints, counts: npt.NDArray[np.float32] | None
) -> Ints:
    """How many stored values of its row are no larger than each stored value, (nnz,)."""
    found = np.empty(values.nnz, np.int64)
    left = []
    for first in range(0, len(lengths), _ROWS):
        rows = np.arange(first, min(first + _ROWS, len(lengths)))
        stored = slice(values.indptr[rows[0]], values.indptr[rows[-1] + 1])
        if counts is None or counts[stored].max(initial=0) >= _SMALL_COUNTS:
            left.append(rows)
        else:
            found[stored] = _by_counting(counts[stored].astype(np.int64), lengths[rows])
    if left:
        _by_sorting(values, lengths, np.concatenate(left), found)
    return found


def _by_counting(counts: Ints, lengths: Ints) -> Ints:
    """As :func:`_at_or_below` for whole rows of small counts: a running histogram of each row."""
    width = int(counts.max(initial=0)) + 1
    key = np.repeat(np.arange(len(lengths)) * width, lengths)
    key += counts
    histogram = np.bincount(key, minlength=len(lengths) * width).reshape(-1, width)
    return np.asarray(np.cumsum(histogram, axis=1).ravel()[key], dtype=np.int64)


def _by_sorting(values: sp.csr_matrix, lengths: Ints, rows: Ints, found: Ints) -> None:
    """Fill ``found`` for the given rows, those of like length together."""
    order = rows[np.argsort(lengths[rows], kind="stable")]
    order = order[lengths[order] > 0]
    while len(order):
        block = order[-max(1, _BLOCK // int(lengths[order[-1]])) :]
        order = order[: -len(block)]
        _sort_block(values, block, lengths[block], found)


def _sort_block(values: sp.csr_matrix, rows: Ints, lengths: Ints, found: Ints) -> None:
    steps = np.arange(int(lengths.max()), dtype=np.int32)
    present = steps < lengths[:, None]
    where = (values.indptr[rows].astype(np.int64)[:, None] + steps)[present]
    # Bits of non-negative floats order as integers, so one sort of value and place does both.
    bits = np.full(present.shape, np.uint64(0xFFFFFFFF), np.uint64)
    bits[present] = values.data[where].view(np.uint32)
    ordered = np.sort((bits << np.uint64(32)) | steps.astype(np.uint64), axis=1)
    sorted_bits = (ordered >> np.uint64(32)).astype(np.uint32)
    ends = np.ones(present.shape, np.bool_)
    np.not_equal(sorted_bits[:, 1:], sorted_bits[:, :-1], out=ends[:, :-1])
    last = np.where(ends, steps, np.int32(len(steps)))
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    places = (ordered & np.uint64(0xFFFFFFFF)).astype(np.int64)[present]
    into = np.repeat(values.indptr[rows].astype(np.int64), lengths) + places
    found[into] = last[present] + 1


def _next_larger(values: sp.csr_matrix, stored: Ints) -> npt.NDArray[np.float64]:
    """The smallest value of the same row above each of the given stored values, else inf."""
    rows = np.searchsorted(values.indptr, stored, side="right") - 1
    starts = values.indptr[rows].astype(np.int64)
    lengths = values.indptr[rows + 1] - starts
    above = np.full(len(stored), np.inf)
    for first in range(0, len(stored), _ROWS):
        part = slice(first, first + _ROWS)
        steps = np.arange(int(lengths[part].max()))
        where = np.minimum(starts[part, None] + steps, values.nnz - 1)
        row = np.where(steps < lengths[part, None], values.data[where], np.inf)
        row[row <= values.data[stored[part], None]] = np.inf
        above[part] = row.min(axis=1)
    return above


def _drawn(
    offsets: Ints, columns: npt.NDArray[np.int32], ids: npt.NDArray[np.str_], most: int, seed: int
) -> npt.NDArray[np.bool_] | None:
    """Which values stay so that no cell has more than ``most``, or None where all do."""
    lengths = np.diff(offsets)
    if lengths.max(initial=0) <= most:
        return None
    cell = pd.util.hash_array(np.asarray(ids, dtype=object)) ^ np.uint64(seed)
    keys = _mixed(np.repeat(_mixed(cell), lengths) + columns.astype(np.uint64))
    rows = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((keys, rows))
    chosen = np.empty(len(columns), np.bool_)
    chosen[order] = np.arange(len(columns)) - np.repeat(offsets[:-1], lengths) < most
    return chosen


def _mixed(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's output function (Steele et al. 2014): well-spread 64-bit hashes."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
