"""STAGATE: expression coded and decoded with attention to neighbours in the tissue.

Dong and Zhang, Nature Communications 2022. One matrix codes expression and, transposed, decodes it;
both halves share one attention. Of many genes the loss is taken without the reconstruction: with
u = x W1 and h what is decoded last, |x − h W1'|² = |x|² − 2 ⟨u, h⟩ + ⟨h'h, W1'W1⟩.

Letters: G genes, H hidden width, D width of the embedding, E edges. Of cells, the first O are the
own ones, whose loss counts; the first M, own and their sources, are embedded; all N, M and their
sources, are read. Of a whole section all three are its cells. This module imports torch alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

_GAIN = 1.414  # of the first weights, as published


@dataclass(frozen=True)
class Pattern:
    """Where a matrix (R, ``width``) has values: row i in ``columns[offsets[i]:offsets[i + 1]]``.

    ``columns`` (E,) and ``offsets`` (R + 1,), both int32 or both int64.
    """

    columns: Tensor
    offsets: Tensor
    width: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def rows(self) -> Tensor:
        """The row of every value, (E,)."""
        numbers = torch.arange(len(self), device=self.offsets.device, dtype=self.offsets.dtype)
        return numbers.repeat_interleave(self.offsets.diff(), output_size=len(self.columns))

    @cached_property
    def transposed(self) -> tuple[Pattern, Tensor]:
        """The pattern of the transposed matrix, and the place of each of its values among ours."""
        order = torch.argsort(self.columns, stable=True)
        counts = torch.bincount(self.columns, minlength=self.width)
        offsets = F.pad(counts.cumsum(0), (1, 0)).to(self.offsets.dtype)
        return Pattern(self.rows[order], offsets, len(self)), order

    def first(self, rows: int, width: int) -> Pattern:
        """The first ``rows`` rows, whose values all lie in the first ``width`` columns."""
        offsets = self.offsets[: rows + 1]
        return Pattern(self.columns[: int(offsets[-1])], offsets, width)

    def to(self, device: torch.device) -> Pattern:
        """The same on ``device``."""
        return Pattern(self.columns.to(device), self.offsets.to(device), self.width)


@dataclass(frozen=True)
class SparseRows:
    """A sparse matrix (N, G) that needs no gradient; ``values`` (E,) of its ``pattern``."""

    pattern: Pattern
    values: Tensor

    def __len__(self) -> int:
        return len(self.pattern)

    @cached_property
    def transposed(self) -> SparseRows:
        """The transposed matrix (G, N)."""
        pattern, order = self.pattern.transposed
        return SparseRows(pattern, self.values[order])

    def to(self, device: torch.device) -> SparseRows:
        """The same on ``device``."""
        return SparseRows(self.pattern.to(device), self.values.to(device))


@dataclass(frozen=True)
class Beside:
    """Features (N, F) of cells and, behind them, their expression (N, G)."""

    features: Tensor
    expression: Tensor | SparseRows

    def __len__(self) -> int:
        return len(self.features)


Expression = Tensor | SparseRows
"""Values of N cells, (N, G)."""
Coding = Expression | Beside
"""What cells are coded from."""


@dataclass(frozen=True)
class Neighbourhood:
    """Edges into cells: M cells receive ``coding`` (M, N) from all, O cells ``decoding`` (O, M).

    The edges of ``decoding`` are the first of ``coding``'s. Every cell has an edge to itself.
    """

    coding: Pattern
    decoding: Pattern

    @classmethod
    def whole(cls, pattern: Pattern) -> Neighbourhood:
        """Of a whole section: every cell receives and is embedded."""
        return cls(pattern, pattern)

    def to(self, device: torch.device) -> Neighbourhood:
        """The same on ``device``."""
        coding = self.coding.to(device)
        if self.decoding is self.coding:
            return Neighbourhood.whole(coding)
        return Neighbourhood(coding, coding.first(len(self.decoding), self.decoding.width))


class Decoder(NamedTuple):
    """Matrices that decode: ``first`` (G, H) tells genes, ``second`` (H, D) the hidden layer."""

    first: Tensor
    second: Tensor


@dataclass(frozen=True)
class Coded:
    """``embedding`` (M, D); ``decoded`` (O, H), the layer before genes; ``projected`` (N, H), what
    the first matrix makes of expression; ``attention`` (E,) of the edges that code."""

    embedding: Tensor
    decoded: Tensor
    projected: Tensor
    attention: Tensor


class StagateNetwork(nn.Module):
    """The auto-encoder of ``genes`` values, through ``hidden`` to ``width``."""

    def __init__(self, genes: int, hidden: int = 512, width: int = 30) -> None:
        super().__init__()
        self.first = nn.Parameter(nn.init.xavier_normal_(torch.empty(genes, hidden), _GAIN))
        self.second = nn.Parameter(nn.init.xavier_normal_(torch.empty(hidden, width), _GAIN))
        # drawn in the published shape, which their spread depends on
        drawn = (nn.init.xavier_normal_(torch.empty(1, 1, hidden), _GAIN) for _ in range(2))
        self.source, self.target = (nn.Parameter(vector.flatten()) for vector in drawn)

    @property
    def decoder(self) -> Decoder:
        """The matrices of the encoder, which decode as well."""
        return Decoder(self.first, self.second)

    def forward(self, x: Coding, near: Neighbourhood, decoder: Decoder | None = None) -> Coded:
        """Code and decode cells x (N, G), by a ``decoder`` of their own if given."""
        projected, attention, embedding = self._coded(x, near.coding)
        own = near.decoding
        given = attention[: len(own.columns)]
        # mixed while it is narrow: the matrix, applied afterwards, commutes with the mean
        mixed = weighted_sum(given, embedding, own)
        decoded = F.elu(mixed @ (decoder or self.decoder).second.T)
        return Coded(embedding, decoded, projected, attention)

    def embed(self, x: Coding, edges: Pattern) -> Tensor:
        """Embeddings alone of the cells (M, D) that ``edges`` (M, N) lead into."""
        return self._coded(x, edges)[2]

    def _coded(self, x: Coding, edges: Pattern) -> tuple[Tensor, Tensor, Tensor]:
        projected = times(x, self.first)
        sent = projected @ self.source
        asked = projected[: len(edges)] @ self.target
        attention: Tensor = _EdgeSoftmax.apply(sent, asked, edges)  # type: ignore[no-untyped-call]
        hidden = F.elu(weighted_sum(attention, projected, edges))
        return projected, attention, hidden @ self.second

    def reconstruction(self, coded: Coded, decoder: Decoder | None = None) -> Tensor:
        """Expression told from the embedding, (O, G)."""
        return coded.decoded @ (decoder or self.decoder).first.T

    def squared_error(
        self,
        x: Expression,
        coded: Coded,
        squares: float | None = None,
        decoder: Decoder | None = None,
    ) -> Tensor:
        """Sum of the squared errors of the own cells' reconstruction, a float64 scalar.

        ``squares``: the sum of their squared values, if known. The reconstruction is made where it
        is narrower than the hidden layer.
        """
        decoded, own = coded.decoded, len(coded.decoded)
        first = self.first if decoder is None else decoder.first
        if isinstance(x, Tensor) and len(first) < first.shape[1]:
            return _total((x[:own] - decoded @ first.T).square())
        if squares is None:
            squares = float(squares_of(x, own))
        projected = coded.projected if decoder is None else times(x, first)
        return squared_error_of(projected[:own], decoded, first) + squares


def squared_error_of(projected: Tensor, decoded: Tensor, matrix: Tensor) -> Tensor:
    """|x − h D'|² − |x|², a float64 scalar, of ``projected`` x D (O, H), ``decoded`` h (O, H) and
    the ``matrix`` D (G, H)."""
    told: Tensor = _Told.apply(projected, decoded, matrix)  # type: ignore[no-untyped-call]
    return told


def squares_of(x: Expression, rows: int) -> Tensor:
    """Sum of the squared values of the first ``rows`` cells, a float64 scalar."""
    values = x[:rows] if isinstance(x, Tensor) else x.values[: int(x.pattern.offsets[rows])]
    return _total(values.square())


def times(x: Coding, matrix: Tensor) -> Tensor:
    """What cells are coded from, times a ``matrix`` of as many rows."""
    if isinstance(x, Beside):
        width = x.features.shape[1]
        return x.features @ matrix[:width] + times(x.expression, matrix[width:])
    if isinstance(x, Tensor):
        return x @ matrix
    product: Tensor = _SparseProduct.apply(x, matrix)  # type: ignore[no-untyped-call]
    return product


def weighted_sum(weights: Tensor, values: Tensor, pattern: Pattern) -> Tensor:
    """The matrix of ``weights`` (E,) in their pattern (R, N), times ``values`` (N, D): (R, D).

    Neither way are products of single edges held, and gradients are summed in a fixed order.
    """
    summed: Tensor = _WeightedSum.apply(weights, values, pattern)  # type: ignore[no-untyped-call]
    return summed


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, values: Tensor, pattern: Pattern) -> Tensor:
        ctx.save_for_backward(weights, values)
        ctx.pattern = pattern
        return _bags(weights, values, pattern)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        weights, values = ctx.saved_tensors
        grad, of_weights, of_values = grad.contiguous(), None, None
        if ctx.needs_input_grad[0]:
            with torch.enable_grad():
                asked = weights.detach().requires_grad_()
                summed = _bags(asked, values.detach(), ctx.pattern)
            (of_weights,) = torch.autograd.grad(summed, asked, grad)
        if ctx.needs_input_grad[1]:
            transposed, order = ctx.pattern.transposed
            of_values = _bags(weights[order], grad, transposed)
        return of_weights, of_values, None


class _SparseProduct(torch.autograd.Function):
    """A sparse matrix (N, G) times ``matrix`` (G, H)."""

    @staticmethod
    def forward(ctx: Any, x: SparseRows, matrix: Tensor) -> Tensor:
        ctx.x = x
        return _bags(x.values, matrix, x.pattern)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        turned: SparseRows = ctx.x.transposed
        return None, _bags(turned.values, grad.contiguous(), turned.pattern)


class _EdgeSoftmax(torch.autograd.Function):
    """Softmax over the edges of a row of sigmoid(``sent`` (N,) + ``asked`` (R,)): (E,)."""

    @staticmethod
    def forward(ctx: Any, sent: Tensor, asked: Tensor, edges: Pattern) -> Tensor:
        scores = torch.sigmoid(sent[edges.columns] + asked[edges.rows])
        # between 0 and 1: no maximum need be taken off
        powers = scores.exp()
        attention = powers / _row_sums(powers, edges)[edges.rows]
        ctx.save_for_backward(scores, attention)
        ctx.edges = edges
        return attention

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        scores, attention = ctx.saved_tensors
        edges: Pattern = ctx.edges
        weighted = attention * grad
        centred = weighted - attention * _row_sums(weighted, edges)[edges.rows]
        of_edges = centred * scores * (1 - scores)
        transposed, order = edges.transposed
        return _row_sums(of_edges[order], transposed), _row_sums(of_edges, edges), None


class _Told(torch.autograd.Function):
    """⟨h'h, W1'W1⟩ − 2 ⟨u, h⟩, a float64 scalar, of u (O, H), h (O, H) and W1 (G, H).

    By hand, because Gram matrices are symmetric: that saves a third of the products.
    """

    @staticmethod
    def forward(ctx: Any, projected: Tensor, decoded: Tensor, first: Tensor) -> Tensor:
        weighed = first @ (decoded.T @ decoded)
        ctx.save_for_backward(projected, decoded, first, weighed)
        return _inner(weighed, first) - 2 * _inner(projected, decoded)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        projected, decoded, first, weighed = ctx.saved_tensors
        twice = 2 * float(grad)
        gram = first.T @ first
        of_decoded = torch.addmm(projected, decoded, gram, beta=-twice, alpha=twice)
        return decoded * -twice, of_decoded, weighed * twice


def _bags(weights: Tensor, values: Tensor, pattern: Pattern) -> Tensor:
    return F.embedding_bag(
        pattern.columns, values, pattern.offsets, mode="sum", per_sample_weights=weights,
        include_last_offset=True,
    )  # fmt: skip


def _row_sums(weights: Tensor, pattern: Pattern) -> Tensor:
    return _bags(weights, weights.new_ones(pattern.width, 1), pattern)[:, 0]


def _inner(one: Tensor, other: Tensor) -> Tensor:
    """Sum of the products of two matrices' values: by row in their precision, then in float64."""
    return _total(torch.linalg.vecdot(one, other))


def _total(values: Tensor) -> Tensor:
    return values.sum(dtype=torch.float64)
