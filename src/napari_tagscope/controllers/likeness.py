"""Types in an order in which those lie side by side that the model takes for each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

SAMPLE = 20_000  # cells that tell which types are alike


def likeness_order(probabilities: npt.NDArray[np.floating[Any]]) -> tuple[int, ...]:
    """Codes of all C types, like ones side by side, of probabilities (N, C).

    Types are the leaves of a tree (average linkage) by the cosine distance of their mean
    probabilities; types of no cell come last. Of many cells a regular sample is looked at.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage

    sample = probabilities[:: max(1, len(probabilities) // SAMPLE)]
    codes = sample.argmax(axis=1)
    found, first, cells = np.unique(np.sort(codes), return_index=True, return_counts=True)
    sums = np.add.reduceat(sample[np.argsort(codes, kind="stable")], first, axis=0)
    order = found
    if len(found) > 2:
        tree = linkage(sums / cells[:, None], method="average", metric="cosine")
        order = found[leaves_list(tree)]
    absent = np.setdiff1d(np.arange(sample.shape[1]), found)
    return (*order.tolist(), *absent.tolist())
