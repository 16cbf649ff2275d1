"""How well predicted labels fit, in the numbers every bundle carries."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def confusion_matrix(truth: Ints, predicted: Ints, labels: int) -> Ints:
    """Cells by true label (rows) and predicted label (columns), (C, C)."""
    counts = np.bincount(truth * labels + predicted, minlength=labels * labels)
    return counts.reshape(labels, labels).astype(np.int64)


def accuracy(confusion: Ints) -> float:
    """Share of cells on the diagonal, NaN without cells."""
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total else float("nan")


def macro_f1(confusion: Ints) -> float:
    """Mean F1 over the labels that occur in truth, NaN without cells."""
    true, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    occurs = true > 0
    if not occurs.any():
        return float("nan")
    scores = 2 * np.diag(confusion)[occurs] / (true + predicted)[occurs]
    return float(scores.mean())
