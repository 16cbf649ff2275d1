"""CellMemory: a transformer whose tokens speak through a few memory slots.

Wang et al., Genome Biology 2025, 26:178. Where paper and published code differ the code is
followed: attention without the 1/sqrt(d) of eqs. (1) and (4), one set of projections for writing
and broadcasting, a gated memory, one layer applied several times.

Letters: B cells, T = 1 + L tokens (the CLS token first), d width, H heads, S memory slots, k key
width, C labels, G genes. This module imports torch and numpy alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from tagscope.models.cellmemory.config import CellMemoryConfig


@dataclass(frozen=True)
class NetworkOutput:
    """What the network says of B cells.

    ``logits`` (B, C); ``embedding`` (B, d), the CLS token; ``gene_scores`` (B, T) level-1 scores,
    column 0 the CLS token itself; ``slot_scores`` (B, S, L) level-2 scores. The scores are None
    where they were not asked for.
    """

    logits: Tensor
    embedding: Tensor
    gene_scores: Tensor | None = None
    slot_scores: Tensor | None = None


@dataclass(frozen=True)
class PairTable:
    """P pairs of token and gene as the first layer takes them, row 0 the CLS token.

    ``x`` (1 + P, d) embedded, ``u`` (1 + P, d) projected by the layer.
    """

    x: Tensor
    u: Tensor


class CellMemoryNetwork(nn.Module):
    """The network for ``genes`` genes and ``labels`` labels."""

    pe: Tensor
    position_weight: Tensor

    def __init__(self, config: CellMemoryConfig, genes: int, labels: int) -> None:
        super().__init__()
        self.config = config
        width, full = config.width, config.mode == "full"
        # Token 0 is a learned "not expressed" in full mode and padding, kept zero, otherwise.
        self.tokens = nn.Embedding(config.max_bin + 1, width, padding_idx=None if full else 0)
        self.values = None
        if config.encoding == "both":
            self.values = nn.Embedding(config.max_value + 1, width, padding_idx=None if full else 0)
        self.genes = nn.Embedding(genes + 1, width, padding_idx=0)
        self.embedding_norm = nn.LayerNorm(width)
        self.cls = nn.Parameter(torch.randn(width))
        self.layer = SharedLayer(config)
        self.head = nn.Linear(width, labels)
        self.dropout = Dropout(config.dropout)
        if full:
            self.register_buffer("pe", sinusoid(genes + 1, width), persistent=False)
            self.register_buffer("position_weight", torch.ones(genes + 1, width))

    def forward(
        self,
        tokens: Tensor,
        genes: Tensor,
        padding: Tensor | None = None,
        *,
        pads: Tensor | None = None,
        table: PairTable | None = None,
        gene_scores: bool = False,
        slot_scores: bool = False,
    ) -> NetworkOutput:
        """Read B cells.

        ``tokens`` (B, L) int64; ``genes`` (B, L) int64 vocabulary columns, −1 on padding;
        ``padding`` (B, L) bool, True on padding, None where there is none. ``pads`` (B,) with
        ``compat="published"``: how many pads of the published code the first pad of a cell stands
        for. With a ``table``, ``tokens`` are its rows.
        """
        times = self.attended(padding, pads)
        x, u = self.embed(tokens, genes, table)
        memory = self.layer.first_memory(x)
        for _ in range(self.config.layers - 1):
            x, memory, _, _ = self.layer(x, memory, times, u)
            u = None
        # Nothing is read from the last layer but its memory and the CLS token.
        u = self.layer.project(x) if u is None else u
        memory, write = self.layer.write(u, memory, times)
        rows = u if slot_scores else u[:, :1]
        broadcast = self.layer.broadcast_attention(rows, memory)
        cls = self.layer.update(x[:, :1], broadcast[:, :, :1], memory).squeeze(1)
        return NetworkOutput(
            logits=self.head(cls).float(),
            embedding=cls.float(),
            gene_scores=level_one(write, broadcast) if gene_scores else None,
            slot_scores=level_two(broadcast) if slot_scores else None,
        )

    def attended(self, padding: Tensor | None, pads: Tensor | None = None) -> Tensor | None:
        """How often a token takes part in attention, (B, T), or None where all do, once.

        Padding does not, but with ``compat="published"`` it does, as in the published code. All
        pads of a cell are alike in every layer, so that one standing for n of them, its score
        raised by ln n and counted n times in means, gives the same numbers.
        """
        if padding is None or (self.config.compat == "published" and pads is None):
            return None
        times = (~padding).float()
        if pads is not None:
            first = padding & (padding.cumsum(dim=1) == 1)
            times = times + first * pads.unsqueeze(1)
        return F.pad(times, (1, 0), value=1.0)

    def embed(
        self, tokens: Tensor, genes: Tensor, table: PairTable | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Token sequence with the CLS token in front, (B, T, d); from a table also its u."""
        if table is not None:
            rows = F.pad(tokens + 1, (1, 0))  # row 0 of a table is the CLS token
            return F.embedding(rows, table.x), F.embedding(rows, table.u)  # quicker than indexing
        full = self.config.mode == "full"
        shared = genes[:1] if full else genes  # in full mode all cells are read over the same genes
        embedded = self.dropout(self.embed_tokens(tokens, shared))
        cls = self.cls.to(embedded.dtype).expand(len(tokens), 1, -1)
        x = torch.cat((cls, embedded), dim=1)
        return (x + self._positions(F.pad(shared + 1, (1, 0))) if full else x), None

    def embed_tokens(self, tokens: Tensor, genes: Tensor) -> Tensor:
        """LN(token embedding + gene embedding), (..., d)."""
        x = self.genes(genes + 1)
        if self.values is not None:
            x = x + self.values(tokens // (self.config.max_bin + 1))
            tokens = tokens % (self.config.max_bin + 1)
        embedded: Tensor = self.embedding_norm(self.tokens(tokens) + x)
        return embedded

    @torch.no_grad()
    def pair_table(self, tokens: Tensor, genes: Tensor) -> PairTable:
        """What reading starts from for P pairs of token and gene, (P,) each; for prediction only.

        Cells of one section share few pairs, so that nothing need be embedded or projected twice.
        """
        x = torch.cat((self.cls.unsqueeze(0), self.embed_tokens(tokens, genes)))
        if self.config.mode == "full":
            x = x + self._positions(F.pad(genes + 1, (1, 0)))
        return PairTable(x, self.layer.project(x))

    def _positions(self, places: Tensor) -> Tensor:
        """Published positions, weighted, (..., d); place 0 is the CLS token's."""
        return (self.pe * torch.sigmoid(self.position_weight))[places]


class SharedLayer(nn.Module):
    """The layer all depths share: tokens write into memory, memory is broadcast to tokens.

    Products are taken in the cheaper order: with u (B, T, d) and few queries, (q W_k) u' costs
    H·S·d a token where q (u W_k)' costs H·k·d, and A (u W_v) = (A u) W_v likewise.
    """

    head_columns: Tensor

    def __init__(self, config: CellMemoryConfig) -> None:
        super().__init__()
        width, keys = config.width, config.heads * config.key_width
        self.heads, self.slots, self.top_k = config.heads, config.slots, config.top_k
        self.input_norm = nn.LayerNorm(width)
        self.input = nn.Linear(width, width)
        self.query = nn.Linear(width, keys)
        # A key bias adds the same number to every score of a softmax and cancels.
        self.key = nn.Linear(width, keys, bias=False)
        self.value = nn.Linear(width, width)
        self.memory_norm = nn.LayerNorm(width)
        self.memory_mlp = nn.Linear(width, width)
        self.memory_mlp_norm = nn.LayerNorm(width)
        bound = 1 / math.sqrt(2 * width)
        self.gate_scale = nn.Parameter(torch.randn(width))
        self.gate_input = nn.Linear(width, 2 * width)
        self.gate_memory = nn.Parameter(
            torch.empty(self.slots, width, 2 * width).uniform_(-bound, bound)
        )
        self.gate_bias = nn.Parameter(torch.empty(self.slots, 2 * width).uniform_(-bound, bound))
        self.input_bias = nn.Parameter(torch.tensor(0.0))
        self.forget_bias = nn.Parameter(torch.tensor(1.0))
        self.feed_norm = nn.LayerNorm(width)
        self.feed_in = nn.Linear(width, config.ffn)
        self.feed_out = nn.Linear(config.ffn, width)
        self.dropout = Dropout(config.dropout)
        columns = torch.arange(width) // (width // self.heads) == torch.arange(self.heads)[:, None]
        self.register_buffer("head_columns", columns[:, None].float(), persistent=False)

    def forward(
        self, x: Tensor, memory: Tensor, times: Tensor | None, u: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One application.

        Takes x (B, T, d), memory (B, S, d), ``times`` (B, T) or None how often a token counts, and
        u (B, T, d) where it is known. Gives the new x and memory, the write attention (B, H, S, T)
        and the broadcast attention (B, H, T, S).
        """
        u = self.project(x) if u is None else u
        memory, write = self.write(u, memory, times)
        broadcast = self.broadcast_attention(u, memory)
        return self.update(x, broadcast, memory), memory, write, broadcast

    def first_memory(self, x: Tensor) -> Tensor:
        """The same start for every cell: one-hot rows, (B, S, d)."""
        start = torch.eye(self.slots, x.shape[-1], dtype=x.dtype, device=x.device)
        return start.expand(len(x), -1, -1)

    def project(self, x: Tensor) -> Tensor:
        """u = LN(x) W_in + b, (B, T, d), used in both directions."""
        projected: Tensor = self.input(self.input_norm(x))
        return projected

    def write(self, u: Tensor, memory: Tensor, times: Tensor | None) -> tuple[Tensor, Tensor]:
        """Tokens compete for the slots (eqs. 1–3): the new memory and A_w (B, H, S, T)."""
        attention = self.write_attention(u, memory, times)
        proposed = self.memory_norm(memory + self._written(u, attention))
        proposed = self.memory_mlp_norm(proposed + self.memory_mlp(proposed).relu_())
        gates = self._gate_of_input(u, times).unsqueeze(1) + self._gate_of_memory(memory)
        enter, forget = gates.chunk(2, dim=-1)
        enter = torch.sigmoid(enter + self.input_bias)
        forget = torch.sigmoid(forget + self.forget_bias)
        return enter * torch.tanh(proposed) + forget * memory, attention

    def write_attention(self, u: Tensor, memory: Tensor, times: Tensor | None) -> Tensor:
        """A_w = softmax over tokens of (M W_q) (u W_k)', the top k kept, (B, H, S, T)."""
        pulled = self._pulled(self.query(memory), self.key.weight)
        raised = _raised(times, u)
        scores = torch.baddbmm(raised, pulled.flatten(1, 2), u.transpose(1, 2))
        attention = torch.softmax(scores, dim=-1).view(*pulled.shape[:3], -1)
        if self.top_k is None or self.top_k >= attention.shape[-1]:
            return attention
        best = attention.topk(self.top_k, dim=-1)  # the rest is dropped, not redistributed
        return torch.zeros_like(attention).scatter(-1, best.indices, best.values)

    def broadcast_attention(self, u: Tensor, memory: Tensor) -> Tensor:
        """A_b = softmax over slots of (u W_q) (M' W_k)' (eq. 4), (B, H, T, S)."""
        keys = self.key(memory)
        pulled = self._pulled(keys, self.query.weight)
        bias = self._split(keys) @ self.query.bias.view(self.heads, -1, 1)
        scores = torch.baddbmm(bias.flatten(1, 2), pulled.flatten(1, 2), u.transpose(1, 2))
        # Slots before tokens: a softmax over a last dimension of eight is ten times slower.
        return torch.softmax(scores.view(*pulled.shape[:3], -1), dim=2).transpose(2, 3)

    def update(self, x: Tensor, broadcast: Tensor, memory: Tensor) -> Tensor:
        """x + A_b (M' W_v) (eqs. 5 and 6), then the feed-forward layer, (B, T, d)."""
        values = self.value(memory).unsqueeze(1) * self.head_columns  # (B, H, S, d), one product
        read = broadcast.transpose(2, 3).flatten(1, 2).transpose(1, 2) @ values.flatten(1, 2)
        x = x + self.dropout(read)
        fed: Tensor = self.feed_out(self.feed_in(self.feed_norm(x)).relu_())
        updated: Tensor = x + self.dropout(fed)
        return updated

    def _written(self, u: Tensor, attention: Tensor) -> Tensor:
        """A_w (u W_v), heads side by side, (B, S, d)."""
        pooled = (attention.flatten(1, 2) @ u).view(len(u), self.heads, self.slots, -1)
        by_head = pooled.transpose(0, 1).flatten(1, 2)  # (H, B·S, d)
        written = by_head @ self._by_head(self.value.weight).transpose(1, 2)
        written = written.view(self.heads, len(u), self.slots, -1).permute(1, 2, 0, 3)
        if self.top_k is None:
            return written.flatten(2) + self.value.bias
        # With top-k the rows of A_w sum to less than 1, and so does the bias's share.
        share = attention.sum(-1).transpose(1, 2).unsqueeze(-1)
        return (written + share * self.value.bias.view(self.heads, -1)).flatten(2)

    def _gate_of_input(self, u: Tensor, times: Tensor | None) -> Tensor:
        """Mean over the tokens of relu(w ∘ u), projected, (B, 2d)."""
        active = (u * self.gate_scale).relu_()
        if times is None:
            mean = active.mean(dim=1)
        else:
            shares = (times / times.sum(dim=1, keepdim=True)).to(active.dtype)
            mean = (shares.unsqueeze(1) @ active).squeeze(1)
        gate: Tensor = self.gate_input(mean)
        return gate

    def _gate_of_memory(self, memory: Tensor) -> Tensor:
        """tanh(M) G_s + b_s with one matrix a slot, (B, S, 2d)."""
        gates: Tensor = torch.tanh(memory).transpose(0, 1) @ self.gate_memory
        return gates.transpose(0, 1) + self.gate_bias

    def _pulled(self, rows: Tensor, weight: Tensor) -> Tensor:
        """Rows (B, S, H·k) times their head's part of a weight (H·k, d), (B, H, S, d)."""
        by_head = self._split(rows).transpose(0, 1).flatten(1, 2)  # (H, B·S, k)
        pulled = by_head @ self._by_head(weight)
        return pulled.view(self.heads, len(rows), rows.shape[1], -1).transpose(0, 1)

    def _split(self, x: Tensor) -> Tensor:
        """(B, N, H·e) to (B, H, N, e)."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def _by_head(self, weight: Tensor) -> Tensor:
        """A Linear's weight (H·e, d) as (H, e, d)."""
        return weight.view(self.heads, -1, weight.shape[-1])


def _raised(times: Tensor | None, u: Tensor) -> Tensor:
    """What is added to scores over the tokens of u: ln of how often each counts, (B, 1, T)."""
    return u.new_zeros(1) if times is None else times.log().to(u.dtype).unsqueeze(1)


class Dropout(nn.Module):
    """Dropout whose mask costs a random byte a number on a CPU, a seventh of torch's own.

    The share is rounded to 1/256 there, and the scale follows the rounded share.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """x with numbers dropped while training."""
        if not self.training or self.share == 0:
            return x
        kept = 256 - round(256 * self.share)
        if x.device.type != "cpu" or kept == 256:
            return F.dropout(x, self.share)
        words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        mask = (words.view(torch.uint8)[: x.numel()] < kept).view(x.shape)
        return x * (mask.to(x.dtype) * (256 / kept))


def level_one(write: Tensor, broadcast: Tensor) -> Tensor:
    """Attention of the CLS token to every token through the memory, (B, T), column 0 itself.

    Both matrices are averaged over heads before the product; without top-k a row sums to 1.
    """
    from_cls = broadcast[:, :, 0].float().mean(dim=1)
    # A sum and no matrix product, which autocast would round to bf16.
    return (from_cls.unsqueeze(-1) * write.float().mean(dim=1)).sum(dim=1)


def level_two(broadcast: Tensor) -> Tensor:
    """Distribution of every gene over the slots, heads averaged, (B, S, L); sums to 1 over S."""
    return broadcast[:, :, 1:].float().mean(dim=1).transpose(1, 2)


def sinusoid(length: int, width: int) -> Tensor:
    """The published fixed positions, (length, width) float32.

    Channel i holds sin(pos / 10000^(2i/d)) for even i and cos(pos / 10000^(2i/d)) for odd i:
    the exponent grows twice as fast as in Vaswani et al. (2017).
    """
    channels = np.arange(width)
    angles = np.arange(length)[:, None] / 10000.0 ** (2.0 * channels / width)
    waves = np.where(channels % 2 == 0, np.sin(angles), np.cos(angles))
    return torch.from_numpy(waves.astype(np.float32))
