"""Which cells are of which type, and how many: kept up to date at the price of what changes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

UNASSIGNED_CODE = -1
UNKNOWN_CODE = -2
BINS = 20

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


class CountedCells:
    """Codes of N cells under a bound on their confidence.

    ``likeliest`` (N,): codes before the bound, −1 Unassigned whatever it is, −2 not known yet;
    ``confidence`` (N,), 0 to 1; ``codes`` (N,): with the bound. ``histogram`` (20,) counts the
    cells that are known by confidence.
    """

    def __init__(self, likeliest: Ints, confidence: Floats, bound: float, types: int) -> None:
        self.likeliest, self.confidence, self.bound = likeliest, confidence, bound
        self.codes = _bounded(likeliest, confidence, bound)
        self._counts = np.bincount(self.codes - UNKNOWN_CODE, minlength=types + 2)
        self.histogram = _histogram(confidence[likeliest > UNKNOWN_CODE])

    @classmethod
    def unknown(cls, cells: int, types: int) -> CountedCells:
        """Cells none of which has a type yet."""
        likeliest = np.full(cells, UNKNOWN_CODE, dtype=np.int64)
        return cls(likeliest, np.zeros(cells, dtype=np.float32), 0.0, types)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def counts(self) -> Ints:
        """Cells of every type, (C,)."""
        return self._counts[2:]

    @property
    def unassigned(self) -> int:
        """Cells without a type that is likely enough."""
        return int(self._counts[1])

    @property
    def pending(self) -> int:
        """Cells that are not known yet."""
        return int(self._counts[0])

    def drawn(self, rows: Ints | None = None) -> Ints:
        """Codes as painted: a cell that is not known yet comes after all types."""
        codes = self.codes if rows is None else self.codes[rows]
        return np.where(codes == UNKNOWN_CODE, len(self.counts), codes)

    def add(self, rows: Ints, likeliest: Ints, confidence: Floats) -> None:
        """Take what is known of some cells, each once."""
        known = rows[self.likeliest[rows] > UNKNOWN_CODE]
        self.histogram = (
            self.histogram + _histogram(confidence) - _histogram(self.confidence[known])
        )
        self.likeliest[rows], self.confidence[rows] = likeliest, confidence
        size = len(self._counts)
        before = np.bincount(self.codes[rows] - UNKNOWN_CODE, minlength=size)
        self.codes[rows] = _bounded(likeliest, confidence, self.bound)
        after = np.bincount(self.codes[rows] - UNKNOWN_CODE, minlength=size)
        self._counts += after - before

    def move(self, bound: float) -> tuple[Ints, Ints]:
        """Take another bound: the rows of the cells that change, ascending, and their codes."""
        low, high = sorted((self.bound, bound))
        between = (self.confidence >= low) & (self.confidence < high)
        rows = np.flatnonzero(between & (self.likeliest >= 0))
        codes = self.likeliest[rows]
        moved = np.bincount(codes, minlength=len(self.counts))
        if bound > self.bound:
            moved, codes = -moved, np.full(len(rows), UNASSIGNED_CODE, dtype=np.int64)
        self.codes[rows], self.bound = codes, bound
        self._counts[1] -= moved.sum()
        self._counts[2:] += moved
        return rows, codes


def _bounded(likeliest: Ints, confidence: Floats, bound: float) -> Ints:
    unsure = (likeliest >= 0) & (confidence < bound)
    return np.where(unsure, UNASSIGNED_CODE, likeliest)


def _histogram(confidence: Floats) -> Ints:
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    return np.bincount(bins, minlength=BINS)
