"""CellPatch: the genes of a cell are gathered into patches by cross attention.

CellPatch (2024), from the paper alone. Layers are normalised behind their residuals, and
dropout is on attention only. A gene g with value v is the vector E_g + v w + b, so that keys and
values of the first attention are those of the gene, made once for all cells, and v times a vector.

Letters: B cells, L genes of a cell, V of a vocabulary, P patches, p their projected width, d width,
H heads, D genes that are told, C labels. This module imports torch and numpy alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from tagscope.models.cellpatch.config import CellPatchConfig

SPARE = "spare"  # beside the weights of a bundle: rows that no gene has yet
_HIDDEN = (512, 100)  # of the layers that labels are told through


@dataclass(frozen=True)
class GeneTable:
    """Genes as patches attend to them: key and value of gene g with value v, side by side, are
    ``genes[g]`` + v ``step``. ``genes`` (V + 1, 2d), the last row that of padding, ``step`` (2d,).
    """

    genes: Tensor
    step: Tensor


@dataclass(frozen=True)
class Genes:
    """The genes of B cells.

    ``genes`` (B, L) int64 rows of a gene table, any on padding; ``values`` (B, L) float32;
    ``padding`` (B, L) bool, None where cells are of one length; ``pads`` (B,) float32 how many pads
    a cell is read with where they take part in attention, those of ``padding`` if None.
    """

    genes: Tensor
    values: Tensor
    padding: Tensor | None = None
    pads: Tensor | None = None

    def to(self, device: torch.device) -> Genes:
        """The same genes on ``device``."""
        padding = None if self.padding is None else self.padding.to(device)
        pads = None if self.pads is None else self.pads.to(device)
        return Genes(self.genes.to(device), self.values.to(device), padding, pads)


@dataclass(frozen=True)
class Patches:
    """``patches`` (B, P, d), and what each attends to (B, P, L), the mean of all heads, where asked
    for."""

    patches: Tensor
    attention: Tensor | None = None


class CellPatchNetwork(nn.Module):
    """The network for ``genes`` genes; it tells hidden genes, or ``labels`` labels if any."""

    def __init__(self, config: CellPatchConfig, genes: int, labels: int = 0) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.patches = nn.Parameter(torch.randn(config.patches, width))
        self.value = nn.Linear(1, width)
        self.genes = nn.Embedding(genes + 1, width)  # the last is padding
        self.gather = Layer(config)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        projected = config.projection and (config.bottleneck or not labels)
        self.projection = nn.Linear(width, config.features) if projected else None
        self.decoder = None if labels else Decoder(config)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
        self.head = LabelHead(config, labels) if labels else None

    def table(self) -> GeneTable:
        """All genes as patches attend to them."""
        weight, offset = self.gather.key_value()
        at_zero = F.linear(self.genes.weight + self.value.bias, weight, offset)
        return GeneTable(at_zero, F.linear(self.value.weight[:, 0], weight))

    def forward(
        self, read: Genes, table: GeneTable | None = None, *, attention: bool = False
    ) -> Patches:
        """Genes gathered into patches, which then attend to each other."""
        gathered = self.gathered(read, table or self.table(), attention=attention)
        patches = gathered.patches
        for layer in self.layers:
            patches = layer(patches)
        return Patches(patches, gathered.attention)

    def gathered(self, read: Genes, table: GeneTable, *, attention: bool = False) -> Patches:
        """Patches as they are behind the first attention; those of a cell without genes read
        nothing."""
        genes, values, bias = self._with_pad(read)
        query = self.gather.query(self.patches).expand(len(genes), -1, -1)
        steps = values.to(query.dtype).unsqueeze(-1)
        both = torch.addcmul(F.embedding(genes, table.genes), steps, table.step)
        key, value = both.chunk(2, dim=-1)
        if bias is not None:
            nothing = bias.isneginf().all(dim=1, keepdim=True)
            bias = bias.masked_fill(nothing, 0.0).to(query.dtype)
        context = self.gather.attend(query, key, value, bias)
        found = self.gather.weights(query, key, bias) if attention else None
        if bias is not None:
            context = context.masked_fill(nothing.unsqueeze(-1), 0.0)
            found = None if found is None else found.masked_fill(nothing.unsqueeze(-1), 0.0)
        found = None if found is None else found[..., : read.genes.shape[1]]
        return Patches(self.gather.joined(self.patches, context), found)

    def _with_pad(self, read: Genes) -> tuple[Tensor, Tensor, Tensor | None]:
        """Genes and values, and what is added to their scores, (B, L), None for nothing.

        Where padding takes part in attention, all pads of a cell are alike: one stands for them,
        with the logarithm of their number added to its score.
        """
        genes, values, padding = read.genes, read.values, read.padding
        if padding is None:
            return genes, values, None
        genes = genes.masked_fill(padding, 0)
        bias = torch.zeros_like(values).masked_fill(padding, -torch.inf)
        if self.config.compat == "none":
            return genes, values, bias
        pads = padding.sum(dim=1) if read.pads is None else read.pads
        genes = F.pad(genes, (0, 1), value=len(self.genes.weight) - 1)
        return genes, F.pad(values, (0, 1)), torch.cat((bias, pads.log().unsqueeze(1)), dim=1)

    def features(self, patches: Tensor) -> Tensor:
        """Patches as they are embedded, (B, P, p)."""
        return patches if self.projection is None else self.projection(patches)

    def told(self, patches: Tensor, asked: Tensor, padding: Tensor | None = None) -> Tensor:
        """Values of the genes ``asked`` (B, D), told from patches: (B, D).

        All that are asked for together attend to each other, but for those of ``padding`` (B, D).
        """
        if self.decoder is None:
            raise ValueError("a network that tells labels tells no genes")
        if padding is not None:
            row = len(self.genes.weight) - 1 if self.config.compat == "published" else 0
            asked = asked.masked_fill(padding, row)
        if self.config.compat == "published":
            padding = None
        told: Tensor = self.decoder(self.genes(asked), self.features(patches), padding)
        return told

    def logits(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, C), and the last hidden layer before them (B, 100)."""
        if self.head is None:
            raise ValueError("a network that tells genes tells no labels")
        said: tuple[Tensor, Tensor] = self.head(
            self.features(patches) if self.config.bottleneck else patches
        )
        return said


class Layer(nn.Module):
    """Attention, then a feed-forward layer, each added and then normalised."""

    def __init__(self, config: CellPatchConfig) -> None:
        super().__init__()
        width, ffn = config.width, config.ffn or 2 * config.width
        self.heads, self.dropout = config.heads, config.dropout
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, ffn)
        self.down = nn.Linear(ffn, width)
        self.feed_norm = nn.LayerNorm(width)
        for module in (self.query_key_value, self.out):
            nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Of x (B, T, d) among itself; ``mask`` (B, T) is added to the scores."""
        query, key, value = self.query_key_value(x).chunk(3, dim=-1)
        return self.joined(x, self.attend(query, key, value, mask))

    def across(self, x: Tensor, read: Tensor) -> Tensor:
        """Of x (B, T, d) over what is ``read`` (B, P, d)."""
        key, value = F.linear(read, *self.key_value()).chunk(2, dim=-1)
        return self.joined(x, self.attend(self.query(x), key, value))

    def query(self, x: Tensor) -> Tensor:
        """Queries (…, d)."""
        width = x.shape[-1]
        weight, offset = self.query_key_value.weight, self.query_key_value.bias
        return F.linear(x, weight[:width], offset[:width])

    def key_value(self) -> tuple[Tensor, Tensor]:
        """Weight (2d, d) and bias (2d,) of keys and values."""
        width = self.query_key_value.in_features
        return self.query_key_value.weight[width:], self.query_key_value.bias[width:]

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None
    ) -> Tensor:
        """softmax(q k'/√(d/H) + bias) v of all heads side by side, (B, T, d)."""
        mask = None if bias is None else bias[:, None, None]
        share = self.dropout if self.training else 0.0
        query, key, value = self._split(query), self._split(key), self._split(value)
        read = F.scaled_dot_product_attention(query, key, value, mask, share)
        return read.transpose(1, 2).flatten(2)

    def weights(self, query: Tensor, key: Tensor, bias: Tensor | None = None) -> Tensor:
        """The weights of :meth:`attend`, the mean of all heads, (B, T, L)."""
        found: Tensor | None = None
        query = query * (query.shape[-1] // self.heads) ** -0.5
        for one, other in zip(
            self._split(query).unbind(1), self._split(key).unbind(1), strict=True
        ):
            scores = one @ other.mT
            scores = scores if bias is None else scores + bias.unsqueeze(1)
            weights = scores.softmax(dim=-1)
            found = weights if found is None else found + weights
        assert found is not None
        return found / self.heads

    def joined(self, x: Tensor, context: Tensor) -> Tensor:
        """What was attended to and the feed-forward layer, added to x."""
        x = self.attention_norm(x + self.out(context))
        fed: Tensor = self.feed_norm(x + self.down(F.gelu(self.up(x))))
        return fed

    def _split(self, x: Tensor) -> Tensor:
        """(B, T, d) to (B, H, T, d/H)."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class Decoder(nn.Module):
    """Patches to values of genes."""

    def __init__(self, config: CellPatchConfig) -> None:
        super().__init__()
        self.back = nn.Linear(config.features, config.width) if config.projection else None
        self.across = Layer(config)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.decoder_layers))
        self.value = nn.Linear(config.width, 1)

    def forward(self, genes: Tensor, features: Tensor, padding: Tensor | None = None) -> Tensor:
        """Of genes (B, D, d) from patches (B, P, p): values (B, D)."""
        read = features if self.back is None else self.back(features)
        x = self.across.across(genes, read)
        bias = None
        if padding is not None:
            bias = torch.zeros(padding.shape, dtype=x.dtype, device=x.device)
            bias = bias.masked_fill(padding & ~padding.all(dim=1, keepdim=True), -torch.inf)
        for layer in self.layers:
            x = layer(x, bias)
        told: Tensor = self.value(x).squeeze(-1)
        return told


class LabelHead(nn.Module):
    """Patches to labels, through two hidden layers."""

    def __init__(self, config: CellPatchConfig, labels: int) -> None:
        super().__init__()
        self.back = self.norm = None
        if config.bottleneck:
            self.back = nn.Linear(config.features, config.width)
            self.norm = nn.LayerNorm(config.width)
        first, second = _HIDDEN
        self.first = nn.Linear(config.patches * config.width, first)
        self.second = nn.Linear(first, second)
        self.last = nn.Linear(second, labels)
        self.dropout = nn.Dropout(config.head_dropout)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, C), and the second hidden layer (B, 100)."""
        if self.back is not None and self.norm is not None:
            patches = self.norm(self.back(patches))
        x = self.dropout(self.first(patches.flatten(1)).relu())
        hidden = self.second(x).relu()
        return self.last(self.dropout(hidden)), hidden
