"""Networks that read the genes of cells: what they train on, and genes hidden from them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from tagscope.core.section import Cells
from tagscope.jobs import JobContext
from tagscope.models.base import CellBatch
from tagscope.training.loop import Examples
from tagscope.training.member import Member
from tagscope.training.thinning import thin

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ReadingMember(Member):
    """A network that reads cells anew in every epoch, each time measured otherwise."""

    @abstractmethod
    def examples(self, cells: Cells, codes: Ints, context: JobContext) -> Examples:
        """Cells, encoded."""

    def training(self, epoch: int, context: JobContext) -> Examples:
        """What one epoch (from 0) trains on: the training cells, as the section measures them."""
        rng = np.random.default_rng([self.seed, epoch, 2])
        cells = self.prepared.reference.cells.take(self.split.training)
        codes = self.prepared.reference.codes[self.split.training]
        if self.prepared.measured is None:
            return self.examples(thin(cells, self.recipe.thinning, rng), codes, context)
        return self.examples(self.as_measured(cells, rng), codes, context)

    def validation(self, context: JobContext) -> Examples:
        """The validation cells, encoded."""
        return self.examples(self.validation_cells(), self.validation_codes, context)

    def training_as_validation(self, most: int, context: JobContext) -> Examples:
        """At most so many training cells, measured like the validation cells."""
        rng, rows = np.random.default_rng([self.seed, 6]), self.split.training
        if len(rows) > most:
            rows = np.sort(rng.choice(rows, most, replace=False))
        cells = self.as_measured(self.prepared.reference.cells.take(rows), rng)
        return self.examples(cells, self.prepared.reference.codes[rows], context)


def hide_genes(
    batch: CellBatch, share: float, rng: np.random.Generator, *, alike: bool = False
) -> CellBatch:
    """Leave out a random ``share`` of genes: of each cell, or ``alike`` for the whole batch."""
    if share <= 0:
        return batch
    if not alike:
        hidden = torch.from_numpy(rng.random(tuple(batch.padding.shape)) < share)
        return replace(batch, padding=batch.padding | hidden)
    kept = torch.from_numpy(np.flatnonzero(rng.random(batch.genes.shape[1]) >= share))
    return CellBatch(
        batch.tokens[:, kept], batch.genes[:, kept], batch.padding[:, kept], batch.rows
    )
