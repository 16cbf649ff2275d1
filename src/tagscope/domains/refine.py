"""Domains without stray cells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tagscope.domains.smoothed import averaging


def refined(codes: npt.NDArray[np.int64], near: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """What most of a cell's neighbours ``near`` (N, K) are, the cell itself having one vote.

    ``codes`` (N,) from 0. Where several have as many votes the cell stays what it is, or becomes
    the first of them.
    """
    own = sp.csr_matrix((np.ones(len(codes), np.float32), (np.arange(len(codes)), codes)))
    votes = (averaging(near) @ own).toarray()
    kept = np.arange(len(codes)), codes
    votes[kept] += 0.5 / (near.shape[1] + 1)  # less than a vote
    return np.asarray(votes.argmax(axis=1), dtype=np.int64)
