"""What all models share: one protocol and the two things that pass through it.

This module imports torch and numpy alone, so that networks run on a bare GPU machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import torch

if TYPE_CHECKING:
    from tagscope.core.hierarchy import LabelTree
    from tagscope.core.labels import LabelSet
    from tagscope.core.panel import GenePanel
    from tagscope.core.section import Cells
    from tagscope.jobs import JobContext


class Capability(StrEnum):
    """What a model can be asked for. Callers test these, never the class."""

    ANNOTATE = "annotate"
    EMBED = "embed"
    GENE_SCORES = "gene_scores"
    SLOT_SCORES = "slot_scores"


@dataclass(frozen=True, eq=False)
class TokenPairs:
    """The distinct pairs of token and gene of a section, (P,) int64 each: work to be done once.

    The last pair is that of padding, where cells are padded.
    """

    tokens: torch.Tensor
    genes: torch.Tensor


@dataclass(frozen=True)
class CellBatch:
    """Cells as a network reads them.

    ``tokens`` (B, L) int64 what was measured, in the model's encoding, or positions in ``pairs``
    where these are given; ``genes`` (B, L) int64 columns of the model's vocabulary, −1 on padding;
    ``padding`` (B, L) bool, True on padding; ``rows`` (B,) int64 the cells' rows in the section;
    ``pads`` (B,) float32 how much padding a model that attends to it reads beside a cell, where
    the batch itself holds less; ``values`` (B, L) float32 what was measured, where a model reads
    numbers.
    """

    tokens: torch.Tensor
    genes: torch.Tensor
    padding: torch.Tensor
    rows: npt.NDArray[np.int64]
    pads: torch.Tensor | None = None
    pairs: TokenPairs | None = None
    values: torch.Tensor | None = None

    def to(self, device: torch.device) -> CellBatch:
        """The same batch on ``device``, the pairs left where they are.

        On a GPU the copy runs beside the host's work, from page-locked memory.
        """
        if self.tokens.device == device:
            return self

        def moved(tensor: torch.Tensor) -> torch.Tensor:
            ready = tensor.pin_memory() if device.type == "cuda" else tensor
            return ready.to(device, non_blocking=True)

        pads = None if self.pads is None else moved(self.pads)
        values = None if self.values is None else moved(self.values)
        arrays = moved(self.tokens), moved(self.genes), moved(self.padding)
        return CellBatch(*arrays, self.rows, pads, self.pairs, values)


@dataclass(frozen=True)
class CellOutput:
    """What a network says of a batch.

    ``embedding`` (B, D); ``logits`` (B, C); ``gene_scores`` (B, L) attention per token, or None
    where not asked for; ``slot_scores`` (B, S, L) likewise.
    """

    embedding: torch.Tensor
    logits: torch.Tensor | None = None
    gene_scores: torch.Tensor | None = None
    slot_scores: torch.Tensor | None = None


class Tokens(Protocol):
    """A section in a model's encoding, ready to be cut into batches."""

    def __len__(self) -> int:
        """Number of cells."""
        ...

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens per cell, (N,): cells of like length make cheap batches."""
        ...

    def batch(self, rows: npt.NDArray[np.int64]) -> CellBatch:
        """The given cells, padded to the longest of them."""
        ...


class CellModel(Protocol):
    """A trained model that can be asked about cells.

    ``kind`` is what its bundle says it is, and the key of its results unless another is given.
    """

    kind: str
    capabilities: frozenset[Capability]
    vocabulary: GenePanel
    labels: LabelSet
    tree: LabelTree | None
    """Coarser levels of the labels, where it was trained on several."""

    @property
    def bytes_per_token(self) -> int:
        """Memory that one token takes while a batch is read, in bytes, as a fair upper estimate."""
        ...

    def tokenise(self, cells: Cells, *, seed: int = 0, context: JobContext | None = None) -> Tokens:
        """Encode cells over the model's vocabulary, genes aligned by name.

        ``seed`` decides whatever the model draws at random while reading cells. ``context`` hears
        ``step("reading genes", cells done, N)`` at least once a second.
        """
        ...

    def to(self, device: torch.device) -> CellModel:
        """Move the weights to ``device`` and return the model."""
        ...

    def __call__(
        self, batch: CellBatch, *, gene_scores: bool = False, slot_scores: bool = False
    ) -> CellOutput:
        """Run the network in evaluation mode, without gradients."""
        ...

    def novelty(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
        """How unlike the cells it learned from cells of an embedding (N, D) are, 0 to 1, (N,).

        A cell above 0.95 is more unusual than 95 % of the held-out cells; None where the model
        cannot tell.
        """
        ...
