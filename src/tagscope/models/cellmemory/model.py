"""A trained CellMemory, as the rest of TAGscope asks it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.models.base import Capability, CellBatch, CellModel, CellOutput
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.network import CellMemoryNetwork
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

    @property
    def config(self) -> CellMemoryConfig:
        """The network's configuration."""
        return self.network.config

    def tokenise(self, cells: Cells, *, seed: int = 0) -> CellMemoryTokens:
        """Encode cells over the vocabulary, genes aligned by name.

        ``seed`` draws the genes of cells with more than ``config.max_tokens``.
        """
        return tokenise(cells, self.vocabulary, self.config, self.preprocessing, seed=seed)

    def to(self, device: torch.device) -> CellModel:
        """Move the weights to ``device`` and return the model."""
        self.network.to(device)
        return self

    @torch.inference_mode()
    def __call__(
        self, batch: CellBatch, *, gene_scores: bool = False, slot_scores: bool = False
    ) -> CellOutput:
        """Run the network in evaluation mode; scores are per token of ``batch``, CLS left out."""
        self.network.eval()
        batch = batch.to(next(self.network.parameters()).device)
        said = self.network(
            batch.tokens,
            batch.genes,
            batch.padding,
            gene_scores=gene_scores,
            slot_scores=slot_scores,
        )
        genes = said.gene_scores[:, 1:] if said.gene_scores is not None else None
        return CellOutput(said.embedding, said.logits, genes, said.slot_scores)
