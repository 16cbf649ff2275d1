"""A temperature that makes a network's confidence mean what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

LEAST, MOST = 0.05, 20.0
_STEPS = 60  # halvings of the interval: beyond the last digit of a double
_PRIOR_CELLS = 1.0


def fit_temperature(logits: Floats, codes: npt.NDArray[np.int64]) -> float:
    """The temperature T by which to divide logits, from ``LEAST`` to ``MOST``.

    T minimises the negative log-likelihood of the true labels (Guo et al. 2017, section 4.2) plus
    β − 1 − log β for the inverse temperature β, a preference for T = 1 worth one cell. The sum is
    strictly convex in β, so its minimum is found by bisection; a few cells, a single label or a
    validation set without any error move T but a little, where the plain likelihood would go to 0.

    Parameters
    ----------
    logits
        (N, C) of held-out cells.
    codes
        (N,) their true labels; cells of −1 are left out.

    Raises
    ------
    ValueError
        If the sizes differ, or logits are not finite.
    """
    if logits.ndim != 2 or len(logits) != len(codes):
        raise ValueError(f"{len(codes)} labels for logits of shape {logits.shape}")
    known = codes >= 0
    z = logits[known].astype(np.float64)
    if not np.isfinite(z).all():
        raise ValueError("the logits are not finite")
    of_truth = np.take_along_axis(z, codes[known][:, None], axis=1).sum()

    def slope(beta: float) -> float:
        expected = float((softmax(z, 1 / beta) * z).sum()) if z.size else 0.0
        return expected - float(of_truth) + _PRIOR_CELLS * (1 - 1 / beta)

    low, high = np.log(1 / MOST), np.log(1 / LEAST)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(float(np.exp(middle))) < 0 else (low, middle)
    return float(np.exp(-(low + high) / 2))


def softmax(logits: Floats, temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """Probabilities (N, C) of logits divided by ``temperature``."""
    z = logits.astype(np.float64) / temperature
    odds = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def negative_log_likelihood(
    logits: Floats, codes: npt.NDArray[np.int64], temperature: float = 1.0
) -> float:
    """Mean −log probability of the true labels (N,), in nats."""
    z = logits.astype(np.float64) / temperature
    highest = z.max(axis=1, keepdims=True)
    total = highest[:, 0] + np.log(np.exp(z - highest).sum(axis=1))
    return float((total - np.take_along_axis(z, codes[:, None], axis=1)[:, 0]).mean())
