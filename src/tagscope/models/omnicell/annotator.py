"""An OmniCell with a head that tells labels, as the rest of TAGscope asks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from tagscope.core.hierarchy import LabelTree
from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.jobs import JobContext
from tagscope.models.base import Capability, CellBatch, CellModel, CellOutput, TokenPairs
from tagscope.models.ensemble import joined_state, mean_logits, parted_state
from tagscope.models.novelty import NoveltyModel
from tagscope.models.omnicell.head import LabelHead
from tagscope.models.omnicell.model import KIND, SMALLEST_NORM, OmniCell, Reading
from tagscope.models.omnicell.network import GeneTable, Sequences
from tagscope.models.omnicell.tokenise import OmniCellTokens

CAPABILITIES = frozenset({Capability.ANNOTATE, Capability.EMBED})
_HEADS = "labels."
_CELLS = 1 << 13  # that are read between two reports


@dataclass(frozen=True)
class CellsAlone:
    """N cells over the genes that section and model share, zeros included, each read alone.

    ``pairs`` is the table of these genes, between start and end: the two columns after those of the
    vocabulary.
    """

    sequences: OmniCellTokens
    pairs: TokenPairs

    def __len__(self) -> int:
        return len(self.sequences)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens per cell, (N,)."""
        return self.sequences.lengths

    def batch(self, rows: npt.NDArray[np.int64]) -> CellBatch:
        """The given cells; none is padded, since all are read over the same genes."""
        read = self.sequences.sequences(rows)
        values = read.values[:, 0]
        return CellBatch(
            read.genes.expand(values.shape),
            self.pairs.genes.expand(values.shape),
            torch.zeros(values.shape, dtype=torch.bool),
            rows,
            pairs=self.pairs,
            values=values,
        )


@dataclass
class OmniCellAnnotator:
    """An OmniCell that reads cells alone, and heads that tell their labels from its embedding.

    Probabilities are means over the ``heads``; the embedding is the OmniCell's, of length 1.
    """

    omnicell: OmniCell
    heads: tuple[LabelHead, ...]
    labels: LabelSet
    temperature: float = 1.0
    usual: NoveltyModel | None = None
    tree: LabelTree | None = None
    capabilities: frozenset[Capability] = CAPABILITIES
    kind: str = field(default=KIND, init=False)
    vocabulary: GenePanel = field(init=False)
    _table: tuple[TokenPairs, bool, GeneTable] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.vocabulary = self.omnicell.vocabulary

    @property
    def bytes_per_token(self) -> int:
        """Memory that one token takes while a batch is read, in bytes."""
        return self.omnicell.bytes_per_token

    def tokenise(
        self,
        cells: Cells,
        *,
        seed: int = 0,  # noqa: ARG002 - nothing is drawn
        context: JobContext | None = None,
    ) -> CellsAlone:
        """Soft ranks of cells over the genes shared with the vocabulary, aligned by name.

        Raises
        ------
        InputError
            If values are negative or missing.
        """
        columns = self.vocabulary.columns_in(cells.panel)
        shared = np.flatnonzero(columns >= 0)
        reading = Reading(shared, columns[shared])
        context, ranks = context or JobContext(), []
        for start in range(0, max(1, len(cells)), _CELLS):
            context.step("reading genes", start, len(cells))
            block = cells.take(np.arange(start, min(start + _CELLS, len(cells))))
            ranks.append(self.omnicell.read(block, reading).ranks)
        genes = torch.from_numpy(self.omnicell.rows(reading))
        whole = OmniCellTokens(sp.vstack(ranks, format="csr"))
        return CellsAlone(whole, TokenPairs(torch.arange(len(genes)), genes))

    def to(self, device: torch.device) -> CellModel:
        """Move the weights to ``device`` and return the model."""
        self._table = None
        self.omnicell.to(device)
        for head in self.heads:
            head.to(device)
        return self

    @torch.inference_mode()
    def __call__(
        self, batch: CellBatch, *, gene_scores: bool = False, slot_scores: bool = False
    ) -> CellOutput:
        """Run the networks in evaluation mode; there are no scores to ask for."""
        if gene_scores or slot_scores:
            raise ValueError("an OmniCell scores neither genes nor slots")
        if batch.pairs is None or batch.values is None:
            raise ValueError("an OmniCell reads values over a table of genes")
        network = self.omnicell.network.eval()
        device, table = network.head.device, self._genes(batch.pairs)
        read = Sequences(batch.tokens[0].to(device), batch.values[:, None].to(device))
        pooled = network.pooled(table, read, self.omnicell.counted(read))[:, 0]
        embedding = F.normalize(pooled, dim=-1, eps=SMALLEST_NORM)
        said = [head.eval()(embedding) / self.temperature for head in self.heads]
        return CellOutput(embedding, mean_logits(said))

    def novelty(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
        """How unlike the reference cells of an embedding (N, D) are, 0 to 1, (N,)."""
        return None if self.usual is None else self.usual.score(embedding)

    def _genes(self, pairs: TokenPairs) -> GeneTable:
        """The table of a section's genes, made for its first batch in the precision in force."""
        network = self.omnicell.network
        device = network.head.device
        reduced = torch.is_autocast_enabled(device.type)
        if self._table is None or self._table[:2] != (pairs, reduced):
            self._table = pairs, reduced, network.table(pairs.genes.to(device))
        return self._table[2]


def annotator_state(
    backbone: Mapping[str, Tensor],
    heads: Sequence[Mapping[str, Tensor]],
    usual: NoveltyModel | None,
) -> dict[str, Tensor]:
    """Everything of an annotator that is a tensor; the OmniCell's keep their names."""
    own = {_HEADS + name: value for name, value in joined_state(heads, usual).items()}
    return {**backbone, **own}


def parted_heads(
    state: Mapping[str, Tensor], heads: int
) -> tuple[list[dict[str, Tensor]], NoveltyModel | None]:
    """The weights of every head, and what is usual for the reference."""
    own = {k.removeprefix(_HEADS): v for k, v in state.items() if k.startswith(_HEADS)}
    return parted_state(own, heads)


def backbone_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the OmniCell alone."""
    return {name: value for name, value in state.items() if not name.startswith(_HEADS)}
