"""A trained CellMemory, as the rest of TAGscope asks it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from tagscope.core.hierarchy import LabelTree
from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.jobs import JobContext
from tagscope.models.base import Capability, CellBatch, CellModel, CellOutput, TokenPairs
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.network import CellMemoryNetwork, NetworkOutput, PairTable
from tagscope.models.cellmemory.tokenise import CellMemoryTokens, tokenise
from tagscope.models.ensemble import mean_logits
from tagscope.models.novelty import NoveltyModel
from tagscope.models.preprocessing import Preprocessing

KIND = "cellmemory"
CAPABILITIES = frozenset(Capability)


@dataclass
class CellMemory:
    """CellMemory networks with their vocabulary, labels and preprocessing.

    Probabilities and gene scores are means over ``network`` and ``others``, and embeddings stand
    side by side; memory slots are those of ``network`` alone, since no two networks use them alike.
    """

    network: CellMemoryNetwork
    vocabulary: GenePanel
    labels: LabelSet
    preprocessing: Preprocessing
    capabilities: frozenset[Capability] = CAPABILITIES
    others: tuple[CellMemoryNetwork, ...] = ()
    temperature: float = 1.0
    usual: NoveltyModel | None = None
    tree: LabelTree | None = None
    kind: str = field(default=KIND, init=False)
    _tables: dict[int, PairTable] = field(default_factory=dict, init=False, repr=False)
    _tables_of: tuple[TokenPairs, bool] | None = field(default=None, init=False, repr=False)

    @property
    def networks(self) -> tuple[CellMemoryNetwork, ...]:
        """All networks."""
        return (self.network, *self.others)

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

    def tokenise(
        self, cells: Cells, *, seed: int = 0, context: JobContext | None = None
    ) -> CellMemoryTokens:
        """Encode cells over the vocabulary, genes aligned by name.

        ``seed`` draws the genes of cells with more than ``config.max_tokens``.
        """
        tokens = tokenise(
            cells, self.vocabulary, self.config, self.preprocessing, seed=seed, context=context
        )
        return tokens.for_prediction(self.config)

    def to(self, device: torch.device) -> CellModel:
        """Move the weights to ``device`` and return the model."""
        self._tables_of = None
        for network in self.networks:
            network.to(device)
        return self

    @torch.inference_mode()
    def __call__(
        self, batch: CellBatch, *, gene_scores: bool = False, slot_scores: bool = False
    ) -> CellOutput:
        """Run the networks in evaluation mode; scores are per token of ``batch``, CLS left out."""
        batch = batch.to(next(self.network.parameters()).device)
        said = [
            self._ask(index, batch, gene_scores, slot_scores and index == 0)
            for index in range(len(self.networks))
        ]
        scores = [one.gene_scores[:, 1:] for one in said if one.gene_scores is not None]
        return CellOutput(
            torch.cat([one.embedding for one in said], dim=1),
            mean_logits([one.logits / self.temperature for one in said]),
            torch.stack(scores).mean(dim=0) if scores else None,
            said[0].slot_scores,
        )

    def novelty(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
        """How unlike the reference cells of an embedding (N, D) are, 0 to 1, (N,)."""
        if self.usual is None:
            return None
        return self.usual.score(embedding[:, : self.config.width])

    def _ask(
        self, index: int, batch: CellBatch, gene_scores: bool, slot_scores: bool
    ) -> NetworkOutput:
        network = self.networks[index].eval()
        said: NetworkOutput = network(
            batch.tokens,
            batch.genes,
            batch.padding,
            pads=batch.pads,
            table=None if batch.pairs is None else self._table(index, batch.pairs),
            gene_scores=gene_scores,
            slot_scores=slot_scores,
        )
        return said

    def _table(self, index: int, pairs: TokenPairs) -> PairTable:
        """The table of a section's pairs, made for its first batch in the precision in force."""
        network = self.networks[index]
        device = next(network.parameters()).device
        reduced = torch.is_autocast_enabled(device.type)
        if self._tables_of is None or self._tables_of != (pairs, reduced):
            self._tables_of, self._tables = (pairs, reduced), {}
        if index not in self._tables:
            self._tables[index] = network.pair_table(
                pairs.tokens.to(device), pairs.genes.to(device)
            )
        return self._tables[index]
