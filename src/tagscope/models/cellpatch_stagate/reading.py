"""Patches attend to all genes of a section, in the time that those take which are not 0.

The score of gene g with value v for a patch is a_g + v c: a is the gene's own, the same in all
cells, and c the patch's. Sums over all genes are therefore those of a section without expression,
made once, and for each value that is not 0 the difference that it makes.

Letters: N cells, G genes, L values of a cell, H heads, P patches, j width of a head. This module
imports torch alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from tagscope.models.stagate.network import Expression, SparseRows

_ROOM = {"cpu": 1 << 19, "cuda": 1 << 25}  # weights of one head that are held at a time
_LEAST = 1 / 32  # of the sum without expression: where less is left of it, digits are lost


class Scores(NamedTuple):
    """What patches make of genes. ``gene`` (H, G, P) are exp(a), at most 1 in each patch, ``slope``
    (H, P) are c; ``value`` (H, G, j) and ``step`` (H, j) of a gene's value, v times the latter."""

    gene: Tensor
    slope: Tensor
    value: Tensor
    step: Tensor


@dataclass(frozen=True)
class Block:
    """Some cells: their ``rows`` (n,), and of each ``genes`` (n, L), G on padding, and
    ``values`` (n, L)."""

    rows: Tensor
    genes: Tensor
    values: Tensor


def context_of(x: Expression, scores: Scores) -> Tensor:
    """softmax(a + v c) (value + v step) over all genes of cells x (N, G): (N, P, H j)."""
    if isinstance(x, Tensor):
        return _joined(_sums(_all_genes(x, scores), len(x), scores, implied=False))
    largest = _largest(x)
    shift = torch.exp(-largest[:, None, None] * scores.slope.detach().relu())
    at_zero = torch.einsum("hgp,hgj->hpj", scores.gene, _with_ones(scores.value))
    sums = _sums(_present(x, scores), len(x), scores, implied=True)
    sums = sums + shift.unsqueeze(-1) * at_zero
    unsure = sums.detach()[..., -1] < _LEAST * shift * at_zero.detach()[..., -1]
    rows = unsure.flatten(1).any(dim=1).nonzero()[:, 0]
    if len(rows):  # before they are divided by what may be 0
        every = _all_genes(dense(x, rows), scores)
        sums = sums.index_copy(0, rows, _sums(every, len(rows), scores, implied=False))
    return _joined(sums)


def _sums(blocks: Sequence[Block], cells: int, scores: Scores, implied: bool) -> Tensor:
    """Weighted sums of values, and of 1, (N, H, P, j + 1), over the genes in ``blocks``.

    Where other genes are ``implied``, less what the same genes would add if they were 0. Those of a
    cell are divided by exp(v c) of its largest v where that is above 1, which keeps them finite.
    """
    summed: Tensor = _Sums.apply(*scores, blocks, cells, implied)  # type: ignore[no-untyped-call]
    return summed


class _Sums(torch.autograd.Function):
    """Nothing of the size of single weights is kept: they are made again on the way back."""

    @staticmethod
    def forward(
        ctx: Any, gene: Tensor, slope: Tensor, value: Tensor, step: Tensor,
        blocks: Sequence[Block], cells: int, implied: bool,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(gene, slope, value, step)
        ctx.blocks, ctx.implied = blocks, implied
        heads, _, patches = gene.shape
        summed = value.new_zeros(cells, heads, patches, value.shape[-1] + 1)
        for head in range(heads):
            table, read = _padded(gene[head]), _padded(_with_ones(value[head]))
            for block in blocks:
                part = _Weights.of(block, table, slope[head], implied)
                found = part.changed.mT @ F.embedding(block.genes, read)
                found[..., :-1] += part.moved.unsqueeze(-1) * step[head]
                summed[block.rows, head] = found
        return summed

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        gene, slope, value, step = ctx.saved_tensors
        of_gene, of_value = (t.new_zeros(len(t), t.shape[1] + 1, t.shape[2]) for t in (gene, value))
        of_slope, of_step = torch.zeros_like(slope), torch.zeros_like(step)
        for head in range(len(gene)):
            table, read = _padded(gene[head]), _padded(_with_ones(value[head]))
            for block in ctx.blocks:
                part = _Weights.of(block, table, slope[head], ctx.implied)
                asked = grad[block.rows, head]  # (n, P, j + 1)
                moved = asked[..., :-1]
                by_step = (moved @ step[head]).unsqueeze(1)  # (n, 1, P)
                still = F.embedding(block.genes, read) @ asked.mT
                values = block.values.unsqueeze(-1)
                told = torch.addcmul(still, values, by_step).mul_(part.grown)
                of_slope[head] += ((told * part.gene).mT @ values).sum(dim=(0, 2))
                if ctx.implied:
                    told.addcmul_(still, part.shift, value=-1)
                places = block.genes.flatten()
                of_gene[head].index_add_(0, places, told.flatten(0, 1))
                of_value[head].index_add_(0, places, (part.changed @ moved).flatten(0, 1))
                of_step[head] += torch.einsum("np,npj->j", part.moved, moved)
        return of_gene[:, :-1], of_slope, of_value[:, :-1], of_step, None, None, None


class _Weights(NamedTuple):
    """Weights of a block for one head: ``gene`` of the genes alone, ``grown`` exp(v c) by which
    they grow, ``changed`` what is added up, all (n, L, P); ``moved`` (n, P) the sum of v times the
    grown; ``shift`` (n, 1, P) by what those of a gene at 0 are multiplied."""

    gene: Tensor
    grown: Tensor
    changed: Tensor
    moved: Tensor
    shift: Tensor

    @classmethod
    def of(cls, block: Block, table: Tensor, slope: Tensor, implied: bool) -> _Weights:
        values = block.values.unsqueeze(-1)
        largest = block.values.amax(dim=1)[:, None, None] * slope.relu()
        gene = F.embedding(block.genes, table)
        grown = torch.addcmul(-largest, values, slope).exp_()
        shift = largest.neg_().exp_()
        weight = gene * grown
        moved = (block.values.unsqueeze(1) @ weight).squeeze(1)
        changed = weight.addcmul_(gene, shift, value=-1) if implied else weight
        return cls(gene, grown, changed, moved, shift)


def _joined(sums: Tensor) -> Tensor:
    """Sums (N, H, P, j + 1) divided by those of 1, heads side by side: (N, P, H j)."""
    return (sums[..., :-1] / sums[..., -1:]).transpose(1, 2).flatten(2)


def _all_genes(x: Tensor, scores: Scores) -> list[Block]:
    """Blocks of cells x (N, G) that list every gene."""
    genes = torch.arange(x.shape[1], device=x.device)
    rows = torch.arange(len(x), device=x.device)
    size = max(1, _room(x, scores) // max(1, x.shape[1]))
    return [
        Block(part, genes.expand(len(part), -1), values)
        for part, values in zip(torch.split(rows, size), torch.split(x, size), strict=True)
    ]


def _present(x: SparseRows, scores: Scores) -> list[Block]:
    """Blocks that list the genes of each cell that are not 0; cells of like length together."""
    pattern = x.pattern
    lengths = pattern.offsets.diff()
    order = lengths.argsort(stable=True)
    order = order[lengths[order] > 0]
    room, at, blocks = _room(x.values, scores), 0, []
    longest = lengths[order].tolist()
    while at < len(order):
        end = at + 1
        while end < len(order) and longest[end] * (end + 1 - at) <= room:
            end += 1
        blocks.append(_block(x, order[at:end], longest[end - 1]))
        at = end
    return blocks


def _block(x: SparseRows, rows: Tensor, longest: int) -> Block:
    offsets = x.pattern.offsets
    begins, counts = offsets[rows], offsets[rows + 1] - offsets[rows]
    steps = torch.arange(longest, device=rows.device)
    present = steps < counts.unsqueeze(1)
    places = torch.where(present, begins.unsqueeze(1) + steps, 0)
    genes = torch.where(present, x.pattern.columns[places], x.pattern.width)
    return Block(rows, genes.long(), torch.where(present, x.values[places], 0.0))


def _largest(x: SparseRows) -> Tensor:
    """The largest value of every cell, at least 0, (N,)."""
    found = x.values.new_zeros(len(x))
    return found.scatter_reduce(0, x.pattern.rows.long(), x.values, "amax")


def dense(x: Expression, rows: Tensor) -> Tensor:
    """Some cells of x (N, G) with all their genes, (n, G)."""
    if isinstance(x, Tensor):
        return x[rows]
    whole = x.values.new_zeros(len(rows), x.pattern.width + 1)
    longest = int(x.pattern.offsets.diff()[rows].max())
    block = _block(x, rows, longest)
    return whole.scatter_(1, block.genes, block.values)[:, :-1]


def _room(x: Tensor, scores: Scores) -> int:
    return max(1, _ROOM.get(x.device.type, _ROOM["cpu"]) // scores.gene.shape[-1])


def _with_ones(values: Tensor) -> Tensor:
    return F.pad(values, (0, 1), value=1.0)


def _padded(table: Tensor) -> Tensor:
    """With a row of 0, for padding, behind the G of a table (G, …)."""
    return F.pad(table, (0, 0, 0, 1))
