"""A CellMemory that tells how long it was read for and run for, behind the public path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from measuring import Clock
from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.jobs import JobContext
from tagscope.models.base import CellBatch, CellOutput
from tagscope.models.cellmemory.model import CellMemory
from tagscope.models.cellmemory.network import CellMemoryNetwork
from tagscope.models.cellmemory.tokenise import CellMemoryTokens
from tagscope.models.preprocessing import Preprocessing

if TYPE_CHECKING:
    from cellmemory_cases import Sample


@dataclass
class Timed(CellMemory):
    """Books its time under "reading" and "network"."""

    clock: Clock = field(default=None, kw_only=True)

    @classmethod
    def of(cls, network: CellMemoryNetwork, genes: int, clock: Clock) -> Timed:
        """A model of invented genes and labels."""
        labels = LabelSet(tuple(f"type {i}" for i in range(network.head.out_features)))
        return cls(network, panel(genes), labels, Preprocessing(), clock=clock)

    def tokenise(
        self, cells: Cells, *, seed: int = 0, context: JobContext | None = None
    ) -> CellMemoryTokens:
        """As the model does."""
        tokens: CellMemoryTokens = self.clock(
            "reading", lambda: CellMemory.tokenise(self, cells, seed=seed, context=context)
        )
        return tokens

    def __call__(self, batch: CellBatch, **asked: bool) -> CellOutput:
        """As the model does."""
        said: CellOutput = self.clock("network", lambda: CellMemory.__call__(self, batch, **asked))
        return said


def panel(genes: int) -> GenePanel:
    """Invented genes."""
    return GenePanel(tuple(f"gene {i}" for i in range(genes)))


def cells_of(sample: Sample, *, counts: bool = False) -> Cells:
    """The cells of a sample: its log values, or its counts."""
    values = sample.counts if counts else sample.values
    matrix = sp.csr_matrix((values, sample.columns, sample.offsets), sample.shape)
    ids = np.char.add("cell ", np.arange(len(sample.offsets) - 1).astype(str))
    return Cells(matrix, panel(sample.genes), ids, normalised=not counts)
