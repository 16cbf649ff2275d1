"""A network whose label hangs on one gene."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from expressed_tokens import ExpressedTokens
from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.jobs import JobContext
from tagscope.models.base import Capability, CellOutput

GENES, KEY = 20, 7


@dataclass
class OneGeneModel:
    """Says "yes" to cells that it reads the key gene in, else "no", and attends to that gene.

    With ``attentive`` off it attends to all genes but the key gene. ``most_cells`` makes it run
    out of memory as torch does.
    """

    vocabulary: GenePanel
    labels: LabelSet = field(default_factory=lambda: LabelSet(("no", "yes")))
    attentive: bool = True
    most_cells: int = 10**9
    capabilities: frozenset[Capability] = frozenset(Capability)
    bytes_per_token: int = 5120
    kind: str = "cellmemory"
    calls: list[int] = field(default_factory=list)

    def tokenise(self, cells: Cells, *, seed: int = 0, context: JobContext | None = None):
        (context or JobContext()).step("reading genes", 0, len(cells))
        return ExpressedTokens(cells.restrict(self.vocabulary).values)

    def to(self, device):
        return self

    def __call__(self, batch, *, gene_scores=False, slot_scores=False):
        if len(batch.rows) > self.most_cells:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        self.calls.append(len(batch.rows))
        key = (batch.genes == KEY) & ~batch.padding
        logit = torch.where(key.any(dim=1), 2.0, -2.0)
        scores = key.float() if self.attentive else (batch.genes != KEY).float()
        return CellOutput(
            embedding=logit[:, None],
            logits=torch.stack((-logit, logit), dim=1),
            gene_scores=scores.masked_fill(batch.padding, 0) if gene_scores else None,
        )


@pytest.fixture
def one_gene():
    return OneGeneModel(GenePanel(tuple(f"G{i}" for i in range(GENES))))


@pytest.fixture
def cells_with_key(one_gene):
    """Thirty cells that express the key gene, as their least, and ten to nineteen others."""
    random = np.random.default_rng(0)
    counts = np.zeros((30, GENES), np.float32)
    for row, others in zip(counts, random.integers(10, 20, 30), strict=True):
        genes = random.permutation(np.delete(np.arange(GENES), KEY))[:others]
        row[genes] = random.integers(2, 9, others)
        row[KEY] = 1
    ids = np.array([f"c{i}" for i in range(30)])
    return Cells(sp.csr_matrix(counts), one_gene.vocabulary, ids)
