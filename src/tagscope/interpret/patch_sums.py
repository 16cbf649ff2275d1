"""What the patches of a CellPatch attend to, summed over the cells of every group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from tagscope.jobs import JobContext
from tagscope.models.cellpatch.attention import Expressed, ListedAttention
from tagscope.models.ragged import laid_out

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

_SMALLEST = 1e-5  # beside the standard deviation, as published
_NUMBERS = {"cpu": 1 << 22, "cuda": 1 << 26}  # of a batch's largest array


@dataclass(frozen=True)
class PatchSums:
    """Of G genes, P patches and T groups, whose cells are counted in ``sizes`` (T,).

    ``z_scores`` (T, P, G) float32 mean z-scores of the attention over the genes, NaN for a group
    without cells; ``overall`` (P, G) the same of all cells, and ``attention`` (P, G) the mean
    attention itself; ``activity`` (N, P) what each patch reads of a cell, its genes' values times
    their attention, divided by the mean of all patches; 1 in a cell that expresses none of them.
    """

    sizes: Ints
    z_scores: Floats
    overall: Floats
    attention: Floats
    activity: Floats


def patch_sums(
    attention: ListedAttention, values: sp.csr_matrix, codes: Ints, groups: int, context: JobContext
) -> PatchSums:
    """Read all cells, ``values`` (N, G) CSR, whose groups are ``codes`` (N,), −1 for none.

    ``context`` hears ``step("reading patches", cells done, N)`` after every batch.
    """
    shape, cells = (attention.patches, attention.genes), len(codes)
    activity = np.zeros((cells, attention.patches), np.float32)
    z_scores = np.full((groups, *shape), np.nan, np.float32)
    overall, weights, done = np.zeros(shape), np.zeros(shape), 0
    for group in range(-1, groups):
        rows, of_group = np.flatnonzero(codes == group), np.zeros(shape)
        for batch in _batches(attention, values, rows):
            context.step("reading patches", done, cells)
            read = _expressed(values, batch)
            found = attention.of(read)
            steadied = 1 / (found.spread + _SMALLEST)
            summed = attention.summed(read, found, steadied).T
            summed -= steadied.sum(dim=0)[:, None] / attention.genes
            of_group += summed.cpu().numpy()
            weights += attention.summed(read, found).T.cpu().numpy()
            activity[batch] = _activity(found.expressed, read.values).cpu().numpy()
            done += len(batch)
        overall += of_group
        if group >= 0 and len(rows):
            z_scores[group] = of_group / len(rows)
    context.step("reading patches", done, cells)
    sizes = np.bincount(codes[codes >= 0], minlength=groups)
    overall, weights = overall / max(cells, 1), weights / max(cells, 1)
    return PatchSums(
        sizes, z_scores, overall.astype(np.float32), weights.astype(np.float32), activity
    )


def _activity(weights: Tensor, values: Tensor) -> Tensor:
    """From ``weights`` (B, E, P) of genes and ``values`` (B, E), (B, P)."""
    read = torch.bmm(values.to(weights.device)[:, None], weights)[:, 0]
    mean = read.mean(dim=1, keepdim=True)
    return torch.where(mean > 0, read / mean, 1.0)


def _batches(attention: ListedAttention, values: sp.csr_matrix, rows: Ints) -> Iterator[Ints]:
    """The rows of a group, those that express most first, as many at once as memory allows."""
    most = _NUMBERS[attention.scores.device.type]
    lengths = np.diff(values.indptr)[rows]
    rows, lengths = rows[np.argsort(-lengths, kind="stable")], np.sort(lengths)[::-1]
    start = 0
    while start < len(rows):
        of_cell = max(int(lengths[start]) * attention.heads * attention.patches, attention.genes)
        count = max(1, most // of_cell)
        yield rows[start : start + count]
        start += count


def _expressed(values: sp.csr_matrix, rows: Ints) -> Expressed:
    """Some cells as patches read them."""
    offsets = values.indptr.astype(np.int64)
    width = max(1, int((offsets[rows + 1] - offsets[rows]).max()))
    present, where = laid_out(offsets, rows, width)
    columns, numbers = np.zeros(present.shape, np.int64), np.zeros(present.shape)
    columns[present], numbers[present] = values.indices[where], values.data[where]
    return Expressed(*map(torch.from_numpy, (columns, numbers, present)))
