"""A trained CellPatch, as the rest of TAGscope asks it."""

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
from tagscope.models.base import Capability, CellBatch, CellModel, CellOutput
from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.models.cellpatch.network import CellPatchNetwork, Genes, GeneTable
from tagscope.models.cellpatch.tokenise import CellPatchPreprocessing, CellPatchTokens, tokenise
from tagscope.models.ensemble import mean_logits
from tagscope.models.novelty import NoveltyModel

KIND = "cellpatch"
PRETRAINED = frozenset({Capability.EMBED})
CAPABILITIES = frozenset({Capability.ANNOTATE, Capability.EMBED, Capability.GENE_SCORES})


@dataclass
class CellPatch:
    """CellPatch networks with their vocabulary, labels and preprocessing.

    Without labels a cell's embedding is its projected patches side by side, (P·p,); with labels it
    is the last hidden layer before them, of all ``networks`` side by side. Probabilities and gene
    scores are means over the networks. A gene's score is the attention that the patches pay it,
    the mean of all patches and heads of the first attention.
    """

    networks: tuple[CellPatchNetwork, ...]
    vocabulary: GenePanel
    labels: LabelSet
    preprocessing: CellPatchPreprocessing
    capabilities: frozenset[Capability] = CAPABILITIES
    temperature: float = 1.0
    usual: NoveltyModel | None = None
    tree: LabelTree | None = None
    kind: str = field(default=KIND, init=False)
    _tables: dict[tuple[int, bool], GeneTable] = field(default_factory=dict, init=False, repr=False)

    @property
    def config(self) -> CellPatchConfig:
        """The networks' configuration."""
        return self.networks[0].config

    @property
    def bytes_per_token(self) -> int:
        """Memory that one token takes while a batch is read, in bytes."""
        return 4 * (4 * self.config.width + self.config.heads * self.config.patches)

    def tokenise(
        self,
        cells: Cells,
        *,
        seed: int = 0,  # noqa: ARG002 - nothing is drawn
        context: JobContext | None = None,
    ) -> CellPatchTokens:
        """Encode cells over the vocabulary, genes aligned by name."""
        return tokenise(cells, self.vocabulary, self.config, self.preprocessing, context=context)

    def to(self, device: torch.device) -> CellModel:
        """Move the weights to ``device`` and return the model."""
        self._tables = {}
        for network in self.networks:
            network.to(device)
        return self

    @torch.inference_mode()
    def __call__(
        self, batch: CellBatch, *, gene_scores: bool = False, slot_scores: bool = False
    ) -> CellOutput:
        """Run the networks in evaluation mode; scores are per token of ``batch``."""
        if slot_scores:
            raise ValueError("a CellPatch has no memory slots")
        device = self.networks[0].patches.device
        read = genes_of(batch.to(device))
        embeddings, logits, scores = [], [], []
        for index, network in enumerate(self.networks):
            found = network.eval()(read, self._table(index), attention=gene_scores)
            if network.head is None:
                embeddings.append(network.features(found.patches).flatten(1))
            else:
                said, hidden = network.logits(found.patches)
                logits.append(said / self.temperature)
                embeddings.append(hidden)
            if found.attention is not None:
                scores.append(found.attention.mean(dim=1))
        return CellOutput(
            torch.cat(embeddings, dim=1),
            mean_logits(logits) if logits else None,
            torch.stack(scores).mean(dim=0) if scores else None,
        )

    def novelty(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
        """How unlike the reference cells of an embedding (N, D) are, 0 to 1, (N,)."""
        if self.usual is None:
            return None
        width = embedding.shape[1] // len(self.networks)
        return self.usual.score(embedding[:, :width])

    def _table(self, index: int) -> GeneTable:
        """The genes of a network, made for its first batch in the precision in force."""
        network = self.networks[index]
        key = index, torch.is_autocast_enabled(network.patches.device.type)
        if key not in self._tables:
            self._tables[key] = network.table()
        return self._tables[key]


def genes_of(batch: CellBatch) -> Genes:
    """A batch as the network takes it."""
    if batch.values is None:
        raise ValueError("a CellPatch reads values")
    return Genes(batch.genes, batch.values, batch.padding, batch.pads)
