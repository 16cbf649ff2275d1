"""CellPatch and STAGATE joined: patches of a cell's genes, coded with those of its neighbours.

CellPatch (2024), of whose name for it, PATH_STG, the code is published. Patches read all genes of
a section, those at 0 as well, and do not attend to each other. STAGATE codes them, side by side and
beside expression if ``concatenate``, and what it decodes tells expression through a last layer.

As in STAGATE the loss is taken without the reconstruction: what decodes and what tells are one
matrix (G, H), made anew for every update.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.models.cellpatch.network import CellPatchNetwork, Genes, GeneTable
from tagscope.models.cellpatch_stagate.reading import Scores, context_of, dense
from tagscope.models.stagate.network import (
    Beside,
    Coded,
    Coding,
    Decoder,
    Expression,
    Neighbourhood,
    Pattern,
    StagateNetwork,
    squared_error_of,
    times,
)

_ROOM = 1 << 24  # weights that are held at a time where attention is dropped out


class CellPatchStagate(nn.Module):
    """Patches of ``genes`` genes, coded by a STAGATE through ``hidden`` to ``width``."""

    def __init__(
        self,
        config: CellPatchConfig,
        genes: int,
        hidden: int = 512,
        width: int = 30,
        concatenate: bool = True,
    ) -> None:
        super().__init__()
        self.concatenate = concatenate
        self.patches = CellPatchNetwork(config, genes)
        self.patches.decoder = None  # genes are told from the graph
        coded = config.patches * config.width + (genes if concatenate else 0)
        self.graph = StagateNetwork(coded, hidden, width)
        self.tell = nn.Linear(coded, genes)

    @property
    def decoder(self) -> Decoder:
        """The matrices of STAGATE's encoder, which decode as well."""
        return self.graph.decoder

    def forward(self, x: Expression, near: Neighbourhood, decoder: Decoder | None = None) -> Coded:
        """Code and decode cells x (N, G), by a ``decoder`` of their own if given."""
        coded: Coded = self.graph(self.read(x), near, decoder)
        return coded

    def embed(self, x: Expression, edges: Pattern) -> Tensor:
        """Embeddings alone of the cells (M, D) that ``edges`` (M, N) lead into."""
        return self.graph.embed(self.read(x), edges)

    def read(self, x: Expression) -> Coding:
        """What STAGATE codes of cells x (N, G)."""
        features = self.features(x).flatten(1)
        return Beside(features, x) if self.concatenate else features

    def features(self, x: Expression) -> Tensor:
        """Patches of cells x (N, G), (N, P, d)."""
        if self.training and self.patches.config.dropout:
            return self._dropped_out(x)
        gather = self.patches.gather
        return gather.joined(self.patches.patches, context_of(x, self.scores()))

    def scores(self) -> Scores:
        """What patches make of genes, for :func:`reading.context_of`."""
        gather, table = self.patches.gather, self.patches.table()
        heads, width = gather.heads, self.patches.config.width
        query = gather.query(self.patches.patches) * (width // heads) ** -0.5
        keys, values = table.genes[:-1].chunk(2, dim=-1)
        key_step, value_step = table.step.view(2, heads, -1)
        asked, keys, values = (
            part.view(len(part), heads, -1).transpose(0, 1) for part in (query, keys, values)
        )
        found = keys @ asked.mT
        found = (found - found.detach().amax(dim=1, keepdim=True)).exp()
        slope = (asked @ key_step.unsqueeze(-1)).squeeze(-1)
        return Scores(found, slope, values, value_step)

    def reconstruction(self, coded: Coded, decoder: Decoder | None = None) -> Tensor:
        """Expression told from the embedding, (O, G)."""
        told: Tensor = self.tell(self.graph.reconstruction(coded, decoder))
        return told

    def squared_error(
        self, x: Expression, coded: Coded, squares: float, decoder: Decoder | None = None
    ) -> Tensor:
        """Sum of the squared errors of the own cells' reconstruction, a float64 scalar.

        ``squares``: the sum of their squared values.
        """
        own, offset = len(coded.decoded), self.tell.bias
        matrix = self.tell.weight @ (decoder or self.decoder).first
        if isinstance(x, Tensor) and len(matrix) < matrix.shape[1]:
            told = torch.addmm(offset, coded.decoded, matrix.T)
            return (x[:own] - told).square().sum(dtype=torch.float64)
        # |x - b - h D'|², of u = (x - b) D
        both = times(x, torch.cat((matrix, offset.unsqueeze(1)), dim=1))[:own]
        projected = both[:, :-1] - offset @ matrix
        wide = offset.double()
        without = squares - 2 * both[:, -1].sum(dtype=torch.float64) + own * (wide @ wide)
        return squared_error_of(projected, coded.decoded, matrix) + without

    def _dropped_out(self, x: Expression) -> Tensor:
        """Patches while attention is dropped out, gene by gene: nothing is shared by cells."""
        table, genes = self.patches.table(), len(self.patches.genes.weight) - 1
        config = self.patches.config
        size = max(1, _ROOM // (config.heads * config.patches * genes))
        every = torch.arange(genes, device=table.step.device)

        def read(rows: Tensor, keys: Tensor, step: Tensor) -> Tensor:
            given = Genes(every.expand(len(rows), -1), dense(x, rows))
            return self.patches.gathered(given, GeneTable(keys, step)).patches

        cells = torch.arange(len(x), device=every.device)
        parts = [
            checkpoint(read, rows, table.genes, table.step, use_reentrant=False)
            for rows in torch.split(cells, size)
        ]
        return torch.cat(parts)
