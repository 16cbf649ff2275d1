"""A trained CellMemory, as the rest of TAGscope asks it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.models.base import Capability, CellBatch, CellModel, CellOutput, TokenPairs
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.network import CellMemoryNetwork, PairTable
from tagscope.models.cellmemory.tokenise import CellMemoryTokens, Preprocessing, tokenise

CAPABILITIES = frozenset(Capability)


@dataclass
class CellMemory:
    """A CellMemory network with its vocabulary, labels and preprocessing."""

    network: CellMemoryNetwork
    vocabulary: GenePanel
    labels: LabelSet
    preprocessing: Preprocessing
    capabilities: frozenset[Capability] = CAPABILITIES
    _table: tuple[TokenPairs, bool, PairTable] | None = field(default=None, init=False, repr=False)

    @property
    def config(self) -> CellMemoryConfig:
        """The network's configuration."""
        return self.network.config

    @property
    def bytes_per_token(self) -> int:
        """Memory that one token takes while a batch is read, in bytes."""
        config = self.config
        attention = 3 * config.heads * config.slots
        return 4 * (5 * config.width + 2 * config.ffn + attention)

    def tokenise(self, cells: Cells, *, seed: int = 0) -> CellMemoryTokens:
        """Encode cells over the vocabulary, genes aligned by name.

        ``seed`` draws the genes of cells with more than ``config.max_tokens``.
        """
        tokens = tokenise(cells, self.vocabulary, self.config, self.preprocessing, seed=seed)
        return tokens.for_prediction(self.config)

    def to(self, device: torch.device) -> CellModel:
        """Move the weights to ``device`` and return the model."""
        self._table = None
        self.network.to(device)
        return self

    @torch.inference_mode()
    def __call__(
        self, batch: CellBatch, *, gene_scores: bool = False, slot_scores: bool = False
    ) -> CellOutput:
        """Run the network in evaluation mode; scores are per token of ``batch``, CLS left out."""
        self.network.eval()
        device = next(self.network.parameters()).device
        batch = batch.to(device)
        said = self.network(
            batch.tokens,
            batch.genes,
            batch.padding,
            pads=batch.pads,
            table=self._table_of(batch.pairs, device) if batch.pairs is not None else None,
            gene_scores=gene_scores,
            slot_scores=slot_scores,
        )
        genes = said.gene_scores[:, 1:] if said.gene_scores is not None else None
        return CellOutput(said.embedding, said.logits, genes, said.slot_scores)

    def _table_of(self, pairs: TokenPairs, device: torch.device) -> PairTable:
        """The table of a section's pairs, made for its first batch in the precision in force."""
        reduced = torch.is_autocast_enabled(device.type)
        if self._table is None or self._table[0] is not pairs or self._table[1] != reduced:
            table = self.network.pair_table(pairs.tokens.to(device), pairs.genes.to(device))
            self._table = (pairs, reduced, table)
        return self._table[2]
