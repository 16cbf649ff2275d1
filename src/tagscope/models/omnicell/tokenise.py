"""Cells as OmniCell reads them: soft ranks of their values, alone or in a row with neighbours.

Nothing loops over cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from tagscope.models.omnicell.network import Sequences

Ints = npt.NDArray[np.int64]
LARGEST = 5.0  # soft rank of a cell's largest value


def soft_ranks(values: sp.csr_matrix) -> sp.csr_matrix:
    """Soft rank of every stored value among its row's distinct values, 0 to 5, (N, n) float32.

    The place of a value among the distinct values of its row, 0 always one of them, scaled so that
    the largest is 5. With a 0 in the row this is the paper's descending rank turned round; without
    one the paper sends the smallest value to 0, and the published code, followed here, does not.
    Values are not negative.
    """
    values = sp.csr_matrix(values, dtype=np.float32, copy=True)
    values.sum_duplicates()
    values.eliminate_zeros()
    lengths = np.diff(values.indptr)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((values.data, rows))
    ascending, of_row = values.data[order], rows[order]
    fresh = np.ones(len(order), np.int64)  # whether a value is another than the one before it
    fresh[1:] = (ascending[1:] != ascending[:-1]) | (of_row[1:] != of_row[:-1])
    counted = np.concatenate(([0], np.cumsum(fresh)))
    before, distinct = counted[values.indptr[:-1]], np.diff(counted[values.indptr])
    place = counted[1:] - before[of_row]
    ranks = np.empty(len(order), np.float32)
    ranks[order] = place / distinct[of_row] * LARGEST
    return sp.csr_matrix((ranks, values.indices, values.indptr), values.shape)


@dataclass(frozen=True)
class OmniCellTokens:
    """N cells over n genes, ready to be cut into sequences.

    ``ranks`` (N, n) CSR float32 soft ranks. A sequence reads rows 1 to n of a gene table of n + 2
    rows, between row 0, the start, and row n + 1, the end; ``expressed`` leaves out those of rank
    0. ``neighbours`` (N, k) int64 rows of the cells beside each, the nearest first, −1 where there
    are no more; ``xy`` (N, 2) their places.
    """

    ranks: sp.csr_matrix
    neighbours: Ints | None = None
    xy: npt.NDArray[np.float64] | None = None
    expressed: bool = False

    def __len__(self) -> int:
        return int(self.ranks.shape[0])

    @property
    def genes(self) -> int:
        """Genes read, n."""
        return int(self.ranks.shape[1])

    @property
    def cells(self) -> int:
        """Cells of a sequence, C = 1 + k."""
        return 1 if self.neighbours is None else 1 + self.neighbours.shape[1]

    @property
    def lengths(self) -> Ints:
        """Tokens of every cell's sequence, (N,), those of its longest cell for each in it."""
        read = np.full(len(self), self.genes)
        if self.expressed:
            read = np.diff(self.ranks.indptr)
            for others in () if self.neighbours is None else self.neighbours.T:
                beside = np.where(others >= 0, np.diff(self.ranks.indptr)[others], 0)
                read = np.maximum(read, beside)
        return np.asarray(self.cells * (read + 2), dtype=np.int64)

    def sequences(self, rows: Ints) -> Sequences:
        """The sequences of the given cells; of a gene that is expressed the value is above 0.

        Places are told from the centre: rotations are relative, and small angles are exact.
        """
        members = rows[:, None]
        if self.neighbours is not None:
            members = np.concatenate((members, self.neighbours[rows]), axis=1)
        genes, values, padding = (self._expressed if self.expressed else self._all)(members)
        return Sequences(genes, values, self._places(members), padding)

    def _all(self, members: Ints) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Every cell over all genes."""
        there = members >= 0
        values = np.zeros((members.size, self.genes + 2), np.float32)
        values[:, 1:-1] = self.ranks[np.maximum(members, 0).ravel()].toarray()
        values[~there.ravel()] = 0.0
        read = torch.from_numpy(values).view(*members.shape, -1)
        padding = None
        if not there.all():
            padding = torch.from_numpy(~there).unsqueeze(-1).expand(read.shape)
        return torch.arange(self.genes + 2), read, padding

    def _expressed(self, members: Ints) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Every cell over the genes that it expresses, padded to the longest."""
        flat = members.ravel()
        taken = self.ranks[np.maximum(flat, 0)]
        ends = np.where(flat >= 0, np.diff(taken.indptr) + 1, -1)
        shape = (len(flat), int(ends.max()) + 1)
        genes, values = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
        of_row = np.repeat(np.arange(len(flat)), np.diff(taken.indptr))
        place = np.arange(taken.nnz) - taken.indptr[of_row] + 1
        known = flat[of_row] >= 0
        genes[of_row[known], place[known]] = taken.indices[known] + 1
        values[of_row[known], place[known]] = taken.data[known]
        rows = np.flatnonzero(flat >= 0)
        genes[rows, ends[rows]] = self.genes + 1
        padding = np.arange(shape[1]) > ends[:, None]
        size = (*members.shape, shape[1])
        read, said, absent = (
            torch.from_numpy(part).view(size) for part in (genes, values, padding)
        )
        return read, said, absent

    def _places(self, members: Ints) -> torch.Tensor | None:
        if self.neighbours is None or self.xy is None:
            return None
        places = self.xy[np.maximum(members, 0)] - self.xy[members[:, :1]]
        return torch.from_numpy(np.where(members[..., None] >= 0, places, 0.0).astype(np.float32))
