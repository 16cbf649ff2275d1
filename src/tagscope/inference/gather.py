"""Scores per token, gathered straight into sparse matrices of cells by genes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tagscope.models.base import CellBatch


class ScoreGatherer:
    """M score matrices (N, G) with one pattern: a cell's entries are the genes it was read with.

    Everything is allocated once, from the number of tokens per cell; no batch is kept.

    Parameters
    ----------
    lengths
        Tokens per cell, (N,), padding not counted.
    genes
        G, the size of the vocabulary.
    matrices
        M, how many scores every token has.
    """

    def __init__(self, lengths: npt.NDArray[np.int64], genes: int, matrices: int) -> None:
        self.matrices = matrices
        self._starts = np.concatenate([[0], np.cumsum(lengths)])
        self._shape = (len(lengths), genes)
        total = int(self._starts[-1])
        self._index_type = np.int32 if total < 2**31 else np.int64
        self._columns = np.empty(total, dtype=self._index_type)
        self._values = [np.empty(total, dtype=np.float32) for _ in range(matrices)]

    def clear(self, after_each: Callable[[], None]) -> None:
        """Write to all memory once, one array after the other.

        The system clears a page when it is first written to. For a large section that takes a
        second, all of it in the first batch, whose cells lie all over the arrays.
        """
        for array in (self._columns, *self._values):
            array.fill(0)
            after_each()

    def put(self, batch: CellBatch, scores: npt.NDArray[np.float32]) -> None:
        """Take over the scores of a batch, (B, M, L)."""
        real = ~batch.padding.numpy()
        starts = self._starts[batch.rows]
        if not np.array_equal(real.sum(axis=1), self._starts[batch.rows + 1] - starts):
            raise ValueError("a batch has other numbers of tokens than its cells")
        places = (starts[:, None] + np.cumsum(real, axis=1) - 1)[real]
        self._columns[places] = batch.genes.numpy()[real]
        for values, of_matrix in zip(self._values, scores.swapaxes(0, 1), strict=True):
            values[places] = of_matrix[real]

    def finish(self) -> Iterator[sp.csc_matrix]:
        """The M matrices by column, one after the other.

        They share their pattern, so treat them as read-only. The gatherer is empty afterwards:
        every row-wise copy goes as its column-wise one comes.
        """
        starts = self._starts.astype(self._index_type)
        pattern: sp.csc_matrix | None = None
        while self._values:
            by_row = sp.csr_matrix((self._values.pop(0), self._columns, starts), self._shape)
            by_column = by_row.tocsc()
            if pattern is None:
                pattern = by_column
            else:
                shared = (by_column.data, pattern.indices, pattern.indptr)
                by_column = sp.csc_matrix(shared, self._shape)
            yield by_column
