"""OmniCell: a transformer over the genes of a cell, or of a cell and its neighbours, in one row.

OmniCell, bioRxiv 2025.12.29.696804. Where paper and published code differ the code is followed; the
exceptions are named where they stand. Nothing has a bias, and there is no final norm.

Letters: B sequences, C cells of a sequence (the centre first), t tokens of a cell (a start, its
genes, an end), L = C·t, d width, H heads, V genes of a table, R routed experts. This module
imports torch and numpy alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from tagscope.models.omnicell.config import OmniCellConfig


@dataclass(frozen=True)
class GeneTable:
    """V genes as the network reads them: value v of gene g becomes ``names[g]`` + v ``scales[g]``.

    ``names`` (V, d) gene embeddings; ``scales`` (V, d) what all value experts make of a value of 1:
    they are linear, so that one vector stands for them; ``routing`` (V, R) the router's
    probabilities, and ``kept`` (V, R) those of the chosen experts, 0 elsewhere.
    """

    names: Tensor
    scales: Tensor
    routing: Tensor
    kept: Tensor


@dataclass(frozen=True)
class Sequences:
    """B sequences of C cells of t tokens.

    ``genes`` (t,), or (B, C, t) where cells are read with genes of their own: rows of a gene table;
    ``values`` (B, C, t) soft ranks, 0 of a start or end; ``places`` (B, C, 2) where the cells are,
    None for cells read alone; ``padding`` (B, C, t) bool, True where there is no token, None where
    cells are of one length.
    """

    genes: Tensor
    values: Tensor
    places: Tensor | None = None
    padding: Tensor | None = None

    def to(self, device: torch.device) -> Sequences:
        """The same sequences on ``device``."""
        places = None if self.places is None else self.places.to(device)
        padding = None if self.padding is None else self.padding.to(device)
        return Sequences(self.genes.to(device), self.values.to(device), places, padding)


class OmniCellNetwork(nn.Module):
    """The network for ``genes`` genes, specials included."""

    def __init__(self, config: OmniCellConfig, genes: int) -> None:
        super().__init__()
        self.config = config
        self.genes = nn.Embedding(genes, config.width)
        self.experts = ValueExperts(config)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.head = nn.Parameter(nn.init.xavier_uniform_(torch.empty(config.width, config.width)))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight)

    def table(self, genes: Tensor) -> GeneTable:
        """The rows ``genes`` (V,) int64 of the vocabulary, ready to be read."""
        names = self.genes(genes)
        return GeneTable(names, *self.experts(names))

    def embed(self, table: GeneTable, read: Sequences) -> Tensor:
        """Tokens of a sequence, (B, L, d)."""
        names, scales = table.names, table.scales
        if read.genes.dim() > 1:
            names, scales = F.embedding(read.genes, names), F.embedding(read.genes, scales)
        x = torch.addcmul(names, read.values.to(names.dtype).unsqueeze(-1), scales)
        return x.flatten(1, 2)

    def forward(self, table: GeneTable, read: Sequences) -> Tensor:
        """Last hidden states, (B, C, t, d)."""
        x, around = self.embed(table, read), self.surroundings(table, read)
        for layer in self._depths():
            x = layer(x, around)
        return x.view(*read.values.shape, -1)

    def pooled(
        self, table: GeneTable, read: Sequences, counted: Tensor, *, cells: int | None = None
    ) -> Tensor:
        """Mean of the last hidden states over the ``counted`` (B, C, t) tokens of a cell.

        (B, C', d) float32 of the first C' = ``cells`` cells, all if None; 0 where none is counted.
        The last layer is applied where it is read alone.
        """
        x, around = self.embed(table, read), self.surroundings(table, read)
        *before, last = self._depths()
        for layer in before:
            x = layer(x, around)
        counted = counted[:, :cells]
        means: Tensor = last.pooled(x, around, counted)
        return means.view(*counted.shape[:2], -1)

    def _depths(self) -> list[Layer]:
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def surroundings(self, table: GeneTable, read: Sequences) -> Surroundings:
        """What all layers need beside the tokens."""
        mask = None
        if read.padding is not None:
            mask = ~read.padding.flatten(1)[:, None, None]
        return Surroundings(self._turns(table, read), mask)

    def _turns(self, table: GeneTable, read: Sequences) -> Tensor | None:
        """By how much every pair of channels of a token is turned, (B, L, 1, r/2) complex64.

        Pair j turns by base^(-2j/r) times x for even j and y for odd j. Angles are float32 in
        any precision, other than with ``compat="published"``, where the frequencies are rounded as
        the published code rounds them with the weights.
        """
        width = self.config.rotary_width
        if read.places is None or width == 0:
            return None
        steps = torch.arange(0, width, 2, dtype=torch.float32, device=read.places.device)
        frequencies = 1.0 / (self.config.rotary_base ** (steps / width))
        if self.config.compat == "published":
            frequencies = frequencies.to(table.names.dtype).float()
        angles = read.places.float().repeat(1, 1, width // 4) * frequencies
        turns = torch.polar(torch.ones_like(angles), angles)
        return turns.repeat_interleave(read.values.shape[2], dim=1).unsqueeze(2)

    def scores(self, hidden: Tensor) -> Tensor:
        """What training asks for: every gene's score in its cell, (B, C, t − 2).

        e' (W + W')/2 h with e a gene's hidden state and h the mean of its cell's, zeros included.
        """
        genes = hidden[:, :, 1:-1]
        asked = genes.mean(dim=2) @ self.symmetric_head()
        return (genes @ asked.unsqueeze(-1)).squeeze(-1)

    def symmetric_head(self) -> Tensor:
        """(W + W')/2, (d, d)."""
        return (self.head + self.head.T) / 2


@dataclass(frozen=True)
class Surroundings:
    """``turns`` (B, L, 1, r/2) complex, and ``mask`` (B, 1, 1, L) bool, True on tokens; or None."""

    turns: Tensor | None
    mask: Tensor | None


class ValueExperts(nn.Module):
    """A mixture of linear maps of a value, by gene: all shared ones and the best of the others."""

    def __init__(self, config: OmniCellConfig) -> None:
        super().__init__()
        width = config.width
        self.used = config.experts_used
        self.shared = nn.Parameter(_normal(config.shared_experts, width))
        self.routed = nn.Parameter(_normal(config.routed_experts, width))
        self.router_in = nn.Linear(width, width, bias=False)
        self.router_out = nn.Linear(width, config.routed_experts, bias=False)

    def forward(self, names: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of genes (V, d): their vectors (V, d), probabilities and kept probabilities (V, R).

        The kept ones are not made to sum to one.
        """
        routing = torch.softmax(self.router_out(self.router_in(names).relu()), dim=-1)
        best = routing.topk(self.used, dim=-1)
        kept = torch.zeros_like(routing).scatter(-1, best.indices, best.values)
        return self.shared.sum(dim=0) + kept @ self.routed, routing, kept


def balance(table: GeneTable, times: Tensor) -> Tensor:
    """How unevenly experts are used, 1 at best: Σ_k f_k P_k over the tokens read.

    ``times`` (V,) says how often each gene of the table was read. f_k is the share of tokens that
    chose expert k, times R over the number chosen, and P_k its mean probability.
    """
    shares = (times / times.sum()).to(table.routing.dtype)
    chosen = (table.kept > 0).to(shares.dtype)
    experts, used = chosen.shape[1], chosen.sum(dim=1).max()
    return ((shares @ chosen) * (experts / used) * (shares @ table.routing)).sum()


class Layer(nn.Module):
    """Attention, then a gated feed-forward layer, each behind an RMS norm."""

    def __init__(self, config: OmniCellConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.dropout, self.flash = config.heads, config.dropout, config.flash
        self.eps, self.rotary_width = config.eps, config.rotary_width
        self.attention_norm = nn.Parameter(torch.ones(width))
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.feed_norm = nn.Parameter(torch.ones(width))
        self.gate_up = nn.Linear(width, 2 * config.ffn, bias=False)
        self.down = nn.Linear(config.ffn, width, bias=False)

    def forward(self, x: Tensor, around: Surroundings) -> Tensor:
        """x + attention, then + feed-forward, (B, L, d)."""
        x = x + self._drop(self.out(self.attend(self._normed(x, self.attention_norm), around)))
        fed: Tensor = self.down(self._gated(x))
        return x + self._drop(self._drop(fed))  # twice, as in the published code

    def pooled(self, x: Tensor, around: Surroundings, counted: Tensor) -> Tensor:
        """Mean of this layer's result over the ``counted`` (B, C', t) tokens of a cell, (B·C', d)
        float32; ``x`` (B, L, d) may hold more cells, which are attended alone."""
        first = counted[0].numel()
        read = self.attend(self._normed(x, self.attention_norm), around, first)
        chosen = counted.flatten(1)
        x = x[:, :first][chosen] + self.out(read[chosen])
        ends = counted.flatten(0, 1).sum(dim=1).cumsum(0)
        starts = F.pad(ends, (1, 0))[:-1]

        def means(of_tokens: Tensor) -> Tensor:
            order = torch.arange(len(of_tokens), device=of_tokens.device)
            return F.embedding_bag(order, of_tokens.float(), starts, mode="mean")

        # The last product is linear: of the mean, it is the mean of the products.
        fed: Tensor = self.down(means(self._gated(x)).to(x.dtype))
        return means(x) + fed.float()

    def attend(self, u: Tensor, around: Surroundings, first: int | None = None) -> Tensor:
        """softmax(q k'/√k) v of all heads side by side, (B, L', d), for the ``first`` L' tokens."""
        if first is None or first == u.shape[1]:
            q, k, v = self.query_key_value(u).chunk(3, dim=-1)
        else:
            weights = self.query_key_value.weight.chunk(3)
            q = F.linear(u[:, :first], weights[0])
            k, v = F.linear(u, torch.cat(weights[1:])).chunk(2, dim=-1)
        q, k, v = self._turned(q, around.turns), self._turned(k, around.turns), self._split(v)
        if not self.flash:
            return F.scaled_dot_product_attention(q * q.shape[-1] ** -0.5, k, v).flatten(2)
        share = self.dropout if self.training else 0.0
        read = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), around.mask, share
        )
        return read.transpose(1, 2).flatten(2)

    def _turned(self, x: Tensor, turns: Tensor | None) -> Tensor:
        """Heads apart, their channels turned by the cell's place, (B, L, H, k)."""
        x = self._split(x)
        if turns is None:
            return x
        part, rest = x[..., : self.rotary_width], x[..., self.rotary_width :]
        pairs = torch.view_as_complex(part.float().reshape(*part.shape[:-1], -1, 2))
        turned = torch.view_as_real(pairs * turns[:, : x.shape[1]]).flatten(-2).to(x.dtype)
        return torch.cat((turned, rest), dim=-1) if rest.shape[-1] else turned

    def _gated(self, x: Tensor) -> Tensor:
        """silu(g) ∘ u of the normed x, (..., ffn)."""
        u, weights = self._normed(x, self.feed_norm), self.gate_up.weight.chunk(2)
        # Two products: halves of one are strided, which costs a card's kernels twice their time.
        gated: Tensor = F.silu(F.linear(u, weights[0])) * F.linear(u, weights[1])
        return gated

    def _normed(self, x: Tensor, gamma: Tensor) -> Tensor:
        normed: Tensor = F.rms_norm(x, x.shape[-1:], gamma, self.eps)
        return normed

    def _split(self, x: Tensor) -> Tensor:
        """(B, L, H·k) to (B, L, H, k)."""
        return x.view(*x.shape[:2], self.heads, -1)

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


def _normal(experts: int, width: int) -> Tensor:
    """Weights of linear maps of one number, as xavier_normal draws them."""
    return torch.randn(experts, width) * math.sqrt(2 / (1 + width))
