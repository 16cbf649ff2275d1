"""What a type is worth in a spot's embedding, learned from mixtures; spots told by it.

OmniCell's paper has no more of deconvolution than that it is "Tangram-like". This form is
TAGscope's own. An embedding is taken for a mean of the types' signatures and a rest; the rest's
covariance, seen on mixtures, says which directions can be trusted. A spot's shares are those, none
below 0 and 1 in all, that explain its embedding best (generalised least squares), with the
mixtures' own composition as a weak prior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from tagscope.jobs import JobContext

Floats = npt.NDArray[np.floating]

_RIDGE = 1e-3  # of a mixture's mean share, for types that hardly occur
_PRIOR = 0.3  # the prior's precision over that of a normal distribution with the mixtures' spread
_SUM = 30.0  # weight of "1 in all", in standard deviations of the rest
_EVERY = 256  # spots between two reports


@dataclass(frozen=True)
class Signatures:
    """``equations`` (R, C) and what they come to for an embedding of 0, ``offset`` (R,), the first
    d of them for its whitened directions, ``whitening`` (d, d); ``shares`` (C,) the prior's."""

    equations: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]
    whitening: npt.NDArray[np.float64]
    shares: npt.NDArray[np.float64]

    @classmethod
    def of(cls, embedded: Floats, shares: npt.NDArray[np.float64]) -> Signatures:
        """Learned from the embeddings (M, d) and shares (M, C) of mixtures."""
        from sklearn.covariance import LedoitWolf

        embedded = embedded.astype(np.float64)
        count, types = shares.shape
        ridge = _RIDGE * count / types * np.eye(types)
        signatures = np.linalg.solve(shares.T @ shares + ridge, shares.T @ embedded)
        rest = LedoitWolf().fit(embedded - shares @ signatures).covariance_
        values, vectors = np.linalg.eigh(rest)
        whitening = vectors / np.sqrt(np.maximum(values, values.max() * 1e-10))
        mean, spread = shares.mean(axis=0), shares.std(axis=0) + _RIDGE
        prior, once = np.diag(_PRIOR / spread), np.full((1, types), _SUM)
        equations = np.concatenate([(signatures @ whitening).T, once, prior])
        offset = np.concatenate([np.zeros(len(whitening)), [_SUM], _PRIOR * mean / spread])
        return cls(equations, offset, whitening, mean)

    def shares_in(self, embedded: Floats, context: JobContext) -> npt.NDArray[np.float32]:
        """Shares (S, C) of types in spots with the embeddings (S, d); the prior's where it is 0."""
        wide, square = np.linalg.qr(self.equations)  # as few equations as types
        wanted = np.tile(self.offset, (len(embedded), 1))
        wanted[:, : len(self.whitening)] = embedded.astype(np.float64) @ self.whitening
        wanted = wanted @ wide
        found = np.tile(self.shares, (len(embedded), 1))
        for spot in range(len(embedded)):
            if spot % _EVERY == 0:
                context.step("least squares", spot, len(embedded))
            if embedded[spot].any():
                found[spot] = nnls(square, wanted[spot])[0]
        return np.asarray(found / found.sum(axis=1, keepdims=True), dtype=np.float32)
