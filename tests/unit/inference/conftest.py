"""A small honest model: softmax regression on counts, attention = a gene's share of the counts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from expressed_tokens import ExpressedTokens
from tagscope.core.hierarchy import LabelTree
from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.jobs import JobContext
from tagscope.models.base import Capability, CellOutput


@dataclass
class LinearModel:
    """A linear softmax over counts; slot s of S holds the genes g with g % S == s.

    ``most_cells`` makes it run out of memory as torch does, ``seen`` records the rows it was given.
    """

    weights: torch.Tensor
    vocabulary: GenePanel
    labels: LabelSet
    slots: int = 2
    most_cells: int = 10**9
    capabilities: frozenset[Capability] = frozenset(Capability)
    bytes_per_token: int = 5120
    kind: str = "cellmemory"
    tree: LabelTree | None = None
    seen: list[np.ndarray] = field(default_factory=list)

    def tokenise(self, cells: Cells, *, seed: int = 0, context: JobContext | None = None):
        (context or JobContext()).step("reading genes", 0, len(cells))
        return ExpressedTokens(cells.restrict(self.vocabulary).values)

    def to(self, device):
        self.weights = self.weights.to(device)
        return self

    def __call__(self, batch, *, gene_scores=False, slot_scores=False):
        if len(batch.rows) > self.most_cells:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        self.seen.append(batch.rows)
        values = batch.tokens.float().masked_fill(batch.padding, 0)
        chosen = self.weights[batch.genes.clamp(min=0)]
        logits = torch.einsum("bl,blc->bc", values, chosen)
        share = values / values.sum(1, keepdim=True).clamp(min=1)
        in_slot = torch.nn.functional.one_hot(batch.genes.clamp(min=0) % self.slots, self.slots)
        return CellOutput(
            embedding=logits * 2,
            logits=logits,
            gene_scores=share if gene_scores else None,
            slot_scores=in_slot.transpose(1, 2).float() if slot_scores else None,
        )

    def novelty(self, embedding):
        return None


@pytest.fixture
def panel():
    return GenePanel(tuple(f"Gene{i}" for i in range(12)))


@pytest.fixture
def model(panel):
    generator = torch.Generator().manual_seed(3)
    weights = torch.randn((12, 3), generator=generator) / 3
    return LinearModel(weights, panel, LabelSet(("a", "b", "c")))


@pytest.fixture
def cells(panel):
    """40 cells of 12 genes; cell 5 is empty."""
    counts = np.random.default_rng(0).poisson(0.7, (40, 12)).astype(np.float32)
    counts[5] = 0
    ids = np.array([f"cell{i}" for i in range(40)])
    return Cells(sp.csr_matrix(counts), panel, ids)
