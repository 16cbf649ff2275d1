"""Marker genes by how far a type's embeddings of a gene lie from those of all other cells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

Floats = npt.NDArray[np.floating]


def marker_scores(
    states: Floats, codes: npt.NDArray[np.int64], groups: int
) -> npt.NDArray[np.float64]:
    """How far apart one gene's states in and outside every group are, (groups,).

    ``states`` (N, d); ``codes`` (N,) int64, −1 for cells of no group, which count as others. The
    mean over dimensions of the Wasserstein-1 distance in one dimension, ∫ |F − F'|; nan for a group
    of no cell, or of all.
    """
    member = codes[:, None] == np.arange(groups)
    inside = member.sum(axis=0)
    outside = len(codes) - inside
    total = np.zeros(groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        for values in states.T:
            order = np.argsort(values, kind="stable")
            below = np.cumsum(member[order], axis=0)[:-1]
            steps = np.arange(1, len(order))[:, None]
            gap = np.abs(below / inside - (steps - below) / outside)
            total += np.diff(values[order].astype(np.float64)) @ gap
    return np.asarray(total / states.shape[1])


def ranked_markers(
    scores: npt.NDArray[np.float64],
    expression: sp.csr_matrix,
    codes: npt.NDArray[np.int64],
    groups: tuple[str, ...],
    genes: tuple[str, ...],
    *,
    top: int = 50,
) -> pd.DataFrame:
    """The genes of every group, the farthest first: columns group, rank, gene, score.

    ``scores`` (groups, genes). Of the ``top`` genes of a group those are kept that are expressed
    more in it than elsewhere, so that there may be fewer.
    """
    rows = []
    for index, group in enumerate(groups):
        inside = codes == index
        if not inside.any() or inside.all():
            continue
        own, other = (np.asarray(expression[c].mean(axis=0)).ravel() for c in (inside, ~inside))
        best = np.argsort(-scores[index], kind="stable")[:top]
        kept = best[own[best] > other[best]]
        rows += [
            (group, rank, genes[gene], scores[index, gene]) for rank, gene in enumerate(kept, 1)
        ]
    return pd.DataFrame(rows, columns=["group", "rank", "gene", "score"])
