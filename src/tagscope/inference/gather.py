"""Scores per token, gathered straight into sparse matrices of cells by genes."""

from __future__ import annotations

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
        self._starts = np.concatenate([[0], np.cumsum(lengths)])
        self._shape = (len(lengths), genes)
        total = int(self._starts[-1])
        self._index_type = np.int32 if total < 2**31 else np.int64
        self._columns = np.zeros(total, dtype=self._index_type)
        self._values = [np.zeros(total, dtype=np.float32) for _ in range(matrices)]

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

    def finish(self) -> tuple[sp.csc_matrix, ...]:
        """The M matrices by column. They share their pattern, so treat them as read-only.

        The gatherer is empty afterwards: every row-wise copy goes as its column-wise one comes.
        """
        starts = self._starts.astype(self._index_type)
        finished: list[sp.csc_matrix] = []
        while self._values:
            by_row = sp.csr_matrix((self._values.pop(0), self._columns, starts), self._shape)
            by_column = by_row.tocsc()
            if finished:
                pattern = finished[0]
                by_column = sp.csc_matrix(
                    (by_column.data, pattern.indices, pattern.indptr), self._shape
                )
            finished.append(by_column)
        return tuple(finished)
