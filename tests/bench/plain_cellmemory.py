"""The published CellMemory done plainly: what TAGscope's own is measured against.

The mathematics of the published code (Wang et al., Genome Biology 2025, 26:178;
github.com/QifeiWang4Bio/CellMemory at 98ef64a), written anew step by step and with its way of
working: cells are binned one by one, a whole section is padded to its longest cell, padding takes
part in attention, every layer is applied to all tokens, keys and queries are projected for both
directions, the attention of every layer is moved to the CPU, scores are laid out densely.
Left out are its worker processes and a random draw that nothing uses; a gene's score is written at
that gene, not one place on. Parameters carry the published names.

Letters as in ``tagscope.models.cellmemory.network``. Needs torch and numpy alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from tagscope.models.cellmemory.config import CellMemoryConfig

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

BATCH = 140


@dataclass(frozen=True)
class PlainAnswer:
    """``probabilities`` (N, C), ``embedding`` (N, d), ``gene_scores`` (N, G), all float32."""

    probabilities: Floats
    embedding: Floats
    gene_scores: Floats


class PlainCellMemory(nn.Module):
    """The published network for ``genes`` genes and ``labels`` labels."""

    def __init__(self, config: CellMemoryConfig, genes: int, labels: int) -> None:
        super().__init__()
        width = config.width
        self.cls_token = nn.Parameter(torch.randn(1, 1, width))
        self.embedding = TokenEmbedding(config, genes)
        self.transformer = nn.Module()
        self.transformer.enc = EncoderLayer(config, genes)
        self.transformer.pe = Positions(genes + 1, width)
        self.mlp_head = nn.Linear(width, labels)
        self.memory_mlp = nn.Linear(config.slots * width, width)
        self.dropout = nn.Dropout(config.dropout)
        self.layers, self.full = config.layers, config.mode == "full"
        self.attention_log: list[Tensor] = []

    def forward(self, tokens: Tensor, gene_ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (B, C), CLS embedding (B, d) and memory embedding (B, d).

        ``tokens`` (B, L); ``gene_ids`` (B, L), a gene's column + 1, and G + 1 on padding.
        """
        x = self.dropout(self.embedding(tokens, gene_ids))
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), dim=1)
        if self.full:
            x = self.transformer.pe(x)
        slots = self.transformer.enc.memory.slots
        memory = torch.eye(slots, x.shape[-1], device=x.device).expand(len(x), -1, -1)
        self.attention_log = []
        for _ in range(self.layers):
            x, memory, write, broadcast = self.transformer.enc(x, memory)
            self.attention_log += [write.detach().cpu(), broadcast.detach().cpu()]
        return self.mlp_head(x[:, 0]), x[:, 0], self.memory_mlp(memory.flatten(1))

    def scores(self) -> tuple[Tensor, Tensor]:
        """Of the last forward: level 1 (B, T), CLS first, and level 2 (B, L, S)."""
        write, broadcast = (attention.float().mean(1) for attention in self.attention_log[-2:])
        return torch.bmm(broadcast[:, :1], write).squeeze(1), broadcast[:, 1:]


class TokenEmbedding(nn.Module):
    """LN(token embedding + gene embedding), (B, L, d)."""

    def __init__(self, config: CellMemoryConfig, genes: int) -> None:
        super().__init__()
        width = config.width
        if config.mode == "full":
            self.token_embedding = nn.Embedding(config.max_bin + 2, width)
            self.position_embedding = nn.Embedding(genes + 1, width, padding_idx=0)
        else:
            self.token_embedding = nn.Embedding(config.max_bin + 1, width, padding_idx=0)
            self.gene_ids_embedding = nn.Embedding(genes + 2, width, padding_idx=genes + 1)
        self.layer_norm = nn.LayerNorm(width)
        self.full = config.mode == "full"

    def forward(self, tokens: Tensor, gene_ids: Tensor) -> Tensor:
        of_gene = self.position_embedding if self.full else self.gene_ids_embedding
        embedded: Tensor = self.layer_norm(self.token_embedding(tokens) + of_gene(gene_ids))
        return embedded


class Positions(nn.Module):
    """Adds the fixed positions, (B, T, d); their weights never change from 1."""

    pe: Tensor

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        channel, position = np.arange(width), np.arange(length)[:, None]
        angle = position / 10000.0 ** (2.0 * channel / width)
        waves = np.where(channel % 2 == 0, np.sin(angle), np.cos(angle)).astype(np.float32)
        self.register_buffer("pe", torch.from_numpy(waves).unsqueeze(0))
        self.pos_emb_weight = nn.Parameter(torch.ones(1, length, width), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        return x + self.pe[:, :length] * torch.sigmoid(self.pos_emb_weight[:, :length])


class EncoderLayer(nn.Module):
    """The layer all depths share: memory attention, then the feed-forward layer."""

    def __init__(self, config: CellMemoryConfig, genes: int) -> None:
        super().__init__()
        width = config.width
        self.self_attn = nn.Module()
        self.self_attn.relational_memory = RelationalMemory(config, genes)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, config.ffn), nn.Linear(config.ffn, width)
        self.final_layer_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout)

    @property
    def memory(self) -> RelationalMemory:
        memory: RelationalMemory = self.self_attn.relational_memory
        return memory

    def forward(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        u = self.memory.input_projector(self.self_attn_layer_norm(x))
        memory, write = self.memory.write(u, memory)
        read, broadcast = self.memory.attend(u, memory)
        x = x + self.dropout(read)
        fed = self.fc2(F.relu(self.fc1(self.final_layer_norm(x))))
        return x + self.dropout(fed), memory, write, broadcast


class RelationalMemory(nn.Module):
    """Memory slots that tokens are written into, and read back from."""

    def __init__(self, config: CellMemoryConfig, genes: int) -> None:
        super().__init__()
        width, keys = config.width, config.heads * config.key_width
        self.slots, self.heads, self.top_k = config.slots, config.heads, config.top_k
        self.query_proj, self.key_proj = nn.Linear(width, keys), nn.Linear(width, keys)
        self.value_proj = nn.Linear(width, width)
        self.attention_mlp = nn.ModuleList([nn.Linear(width, width)])
        self.attended_memory_layernorm = nn.LayerNorm(width)
        self.attended_memory_layernorm2 = nn.LayerNorm(width)
        self.input_projector = nn.Linear(width, width)
        self.input_gate_projector = nn.Module()
        self.input_gate_projector.w = nn.Parameter(torch.randn(width))
        self.input_gate_projector.pe = Positions(genes + 1, width)
        self.input_gate_projector.linear = nn.Linear(width, 2 * width)
        self.memory_gate_projector = nn.Module()
        bound = (2 * width) ** -0.5
        for name, shape in (("weight", (self.slots, width, 2 * width)),
                            ("bias", (self.slots, 2 * width))):  # fmt: skip
            drawn = torch.empty(shape).uniform_(-bound, bound)
            self.memory_gate_projector.register_parameter(name, nn.Parameter(drawn))
        self.input_bias = nn.Parameter(torch.tensor(0.0))
        self.forget_bias = nn.Parameter(torch.tensor(1.0))

    def attend(
        self, queries: Tensor, source: Tensor, top_k: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """softmax(q k') v without scaling: (B, Q, d), and the attention (B, H, Q, K)."""
        q, k, v = (
            projection(x).view(*x.shape[:2], self.heads, -1).transpose(1, 2)
            for projection, x in (
                (self.query_proj, queries), (self.key_proj, source), (self.value_proj, source),
            )
        )  # fmt: skip
        attention = torch.softmax(q @ k.transpose(2, 3), dim=-1)
        if top_k is not None:
            attention = _largest(attention, top_k)
        return (attention @ v).transpose(1, 2).flatten(2), attention

    def write(self, u: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """The memory after u (B, T, d) was written into it, (B, S, d), and the attention."""
        read, attention = self.attend(memory, u, self.top_k)
        proposed = self.attended_memory_layernorm(memory + read)
        mlp = F.relu(self.attention_mlp[0](proposed))
        proposed = self.attended_memory_layernorm2(proposed + mlp)
        enter, forget = self._gates(u, memory)
        return enter * torch.tanh(proposed) + forget * memory, attention

    def _gates(self, u: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """How much of the proposal enters and of the memory stays, (B, S, d) each."""
        of_input = self.input_gate_projector.linear(
            F.relu(u * self.input_gate_projector.w).mean(dim=1)
        )
        of_memory = torch.einsum("bsd,sde->bse", torch.tanh(memory),
                                 self.memory_gate_projector.weight)  # fmt: skip
        gates = of_input.unsqueeze(1) + of_memory + self.memory_gate_projector.bias
        enter, forget = gates.chunk(2, dim=-1)
        return torch.sigmoid(enter + self.input_bias), torch.sigmoid(forget + self.forget_bias)


def bin_cells(values: Floats, max_bin: int) -> Floats:
    """Quantile bins in place, cell by cell, (N, G); an empty cell raises an IndexError."""
    for row in values:
        expressed = np.flatnonzero(row)
        edges = np.quantile(row[expressed], np.linspace(0, 1, max_bin))
        row[expressed] = np.digitize(row[expressed], edges)
    return values


def tokens_of(binned: Floats, longest: int) -> tuple[Ints, Ints]:
    """Bins and gene ids of the expressed genes, cell by cell, padded to ``longest``, (N, L)."""
    tokens = np.zeros((len(binned), longest), np.int64)
    gene_ids = np.full(tokens.shape, binned.shape[1] + 1, np.int64)
    for cell, row in enumerate(binned):
        expressed = np.flatnonzero(row)
        tokens[cell, : len(expressed)] = row[expressed]
        gene_ids[cell, : len(expressed)] = expressed + 1
    return tokens, gene_ids


def read_cells(values: Any, config: CellMemoryConfig) -> tuple[Ints, Ints]:
    """Tokens and gene ids (N, L) of log values, a sparse matrix (N, G).

    Without ``config.pad_to`` cells are padded to the longest of all.
    """
    binned = bin_cells(values.toarray(), config.max_bin)
    if config.mode == "full":
        everywhere = np.broadcast_to(np.arange(1, binned.shape[1] + 1), binned.shape)
        return binned.astype(np.int64), everywhere
    return tokens_of(binned, config.pad_to or int((binned > 0).sum(axis=1).max()))


@torch.no_grad()
def run_network(
    network: PlainCellMemory, tokens: Ints, gene_ids: Ints, device: torch.device
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Logits, embedding and level-1 scores (B, L) of one batch after the other."""
    network.eval()
    answers = []
    for start in range(0, len(tokens), BATCH):
        rows = slice(start, start + BATCH)
        batch = (torch.from_numpy(array[rows].copy()).to(device) for array in (tokens, gene_ids))
        logits, embedding, _ = network(*batch)
        answers.append((logits, embedding, network.scores()[0][:, 1:]))
    return answers


def lay_out(
    answers: list[tuple[Tensor, Tensor, Tensor]], gene_ids: Ints, genes: int
) -> PlainAnswer:
    """The answers of all batches, every score at its cell and gene."""
    logits, embedding, scores = (
        torch.cat(parts).float().cpu() for parts in zip(*answers, strict=True)
    )
    laid_out = np.zeros((len(gene_ids), genes), np.float32)
    real = gene_ids <= genes
    laid_out[np.nonzero(real)[0], gene_ids[real] - 1] = scores.numpy()[real]
    return PlainAnswer(torch.softmax(logits, dim=1).numpy(), embedding.numpy(), laid_out)


def annotate_plain(
    network: PlainCellMemory, values: Any, config: CellMemoryConfig, device: torch.device
) -> PlainAnswer:
    """Annotate log values, a sparse matrix (N, G), with the attention of every gene."""
    tokens, gene_ids = read_cells(values, config)
    answers = run_network(network, tokens, gene_ids, device)
    return lay_out(answers, gene_ids, values.shape[1])


def _largest(attention: Tensor, k: int) -> Tensor:
    """The k largest of every row, the others 0, not renormalised."""
    best = attention.topk(min(k, attention.shape[-1]), dim=-1)
    return torch.zeros_like(attention).scatter(-1, best.indices, best.values)
