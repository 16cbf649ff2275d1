"""What CellPatch is pretrained for: telling the values of genes that were hidden from it.

Of every cell a share of the genes that it expresses is hidden and asked for, together with genes
that it does not express. What a cell expresses beyond the most that is read, or asked for, is left
out at random; the published code takes the first by row, and of genes that are not expressed always
the first, which ``published`` reproduces. This module imports torch and numpy alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tagscope.models.cellpatch.network import Genes

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Masked:
    """Cells with genes hidden: ``read`` what is left, ``asked`` (B, D) int64 rows of the genes to
    tell, ``padding`` (B, D) bool beside them, ``values`` (B, D) float32 what is right."""

    read: Genes
    asked: Tensor
    padding: Tensor
    values: Tensor

    def to(self, device: torch.device) -> Masked:
        """The same cells on ``device``."""
        parts = self.asked, self.padding, self.values
        return Masked(self.read.to(device), *(part.to(device) for part in parts))


@dataclass(frozen=True)
class GeneMasking:
    """``share`` of the expressed genes are hidden, and ``zeros`` for each of them that is not
    expressed asked for too; at most ``most_read`` are left and ``most_asked`` asked for."""

    share: float = 0.3
    zeros: float = 0.5
    most_read: int = 3000
    most_asked: int = 1000
    published: bool = False

    def draw(self, cells: list[tuple[Ints, npt.NDArray[np.float32]]], genes: Ints,
             rng: np.random.Generator) -> Masked:  # fmt: skip
        """Hide genes of cells, each given as the places among the measured ``genes`` (G,), rows of
        the network's table, that it expresses, ascending, and the values there."""
        drawn = [self._cell(places, values, len(genes), rng) for places, values in cells]
        read = _padded([(genes[places], values) for (places, values), _ in drawn])
        asked = _padded([(genes[places], values) for _, (places, values) in drawn])
        return Masked(Genes(read[0], read[1], read[2]), asked[0], asked[2], asked[1])

    def _cell(
        self, places: Ints, values: npt.NDArray[np.float32], genes: int, rng: np.random.Generator
    ) -> tuple[tuple[Ints, npt.NDArray[np.float32]], tuple[Ints, npt.NDArray[np.float32]]]:
        """What is read of a cell, and what is asked."""
        count = int(self.share * len(places))
        hidden = np.zeros(len(places), bool)
        hidden[rng.choice(len(places), count, replace=False)] = True
        others = np.setdiff1d(np.arange(genes), places, assume_unique=True)
        wanted = min(int(self.zeros * count), len(others))
        zeros = others[:wanted] if self.published else rng.choice(others, wanted, replace=False)
        asked = np.concatenate((places[hidden], zeros))
        right = np.concatenate((values[hidden], np.zeros(len(zeros), np.float32)))
        order = rng.permutation(len(asked))[: self.most_asked]
        left = np.flatnonzero(~hidden)
        if len(left) > self.most_read:
            left = (
                left[: self.most_read]
                if self.published
                else np.sort(rng.choice(left, self.most_read, replace=False))
            )
        return (places[left], values[left]), (asked[order], right[order])


def told_loss(told: Tensor, masked: Masked) -> Tensor:
    """Squared errors of told values (B, D), summed over the genes that were asked for."""
    errors = (told.float() - masked.values) ** 2
    return errors.masked_fill(masked.padding, 0.0).sum()


def _padded(
    cells: list[tuple[Ints, npt.NDArray[np.float32]]],
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, values and padding of cells side by side, at least one wide."""
    width = max(1, *(len(rows) for rows, _ in cells))
    genes = np.zeros((len(cells), width), np.int64)
    values = np.zeros((len(cells), width), np.float32)
    padding = np.ones((len(cells), width), bool)
    for index, (rows, numbers) in enumerate(cells):
        genes[index, : len(rows)] = rows
        values[index, : len(rows)] = numbers
        padding[index, : len(rows)] = False
    return torch.from_numpy(genes), torch.from_numpy(values), torch.from_numpy(padding)
