"""Features of cells to clusters, the largest first: the same seed gives the same clusters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tagscope.errors import ArgumentError
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from anndata import AnnData

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]

_NEAREST = 15  # neighbours in Leiden's graph, scanpy's own default
_ROUNDS = 2  # of Leiden's algorithm, what scanpy advises
_OCTAVES = (-8.0, 6.0)  # between which powers of two a resolution is searched
_TRIES = 16
_ITERATIONS = 1000


_last_graph: dict[tuple[str, tuple[int, ...], int], AnnData] = {}


@dataclass(frozen=True)
class Clusters:
    """``codes`` (N,) int64 from 0, by size; ``found`` says how they came to be."""

    codes: Codes
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many clusters there are."""
        return int(self.codes.max()) + 1


def by_size(codes: npt.NDArray[Any]) -> Codes:
    """The same clusters numbered from 0, the largest first; of equal ones, the earlier first."""
    present, renumbered, sizes = np.unique(codes, return_inverse=True, return_counts=True)
    order = np.empty(len(present), np.int64)
    order[np.argsort(-sizes, kind="stable")] = np.arange(len(present))
    return order[renumbered]


def mixture(
    features: Floats, count: int, *, starts: int, seed: int, context: JobContext
) -> Clusters:
    """The likeliest of ``starts`` mixtures of Gaussians that share one covariance.

    A component that no cell is nearest to makes no cluster, so that there may be fewer than
    ``count``.

    Raises
    ------
    ArgumentError
        If there are not more cells than ``count``.
    """
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    def fit(start: int) -> tuple[float, Codes]:
        model = GaussianMixture(
            count, covariance_type="tied", max_iter=_ITERATIONS, random_state=start
        )
        # matrices are narrow: threads would wait for each other, on a busy machine most of the time
        with threadpool_limits(1, user_api="blas"):
            try:
                codes = model.fit_predict(features)
            except ValueError:
                # Directions in which cells hardly differ, as weight decay leaves them in an
                # embedding: single precision rounds such a covariance to one that has no inverse.
                codes = model.fit_predict(features.astype(np.float64))
        return float(model.lower_bound_), codes

    return _best_of(fit, features, count, starts, seed, context)


def kmeans(
    features: Floats, count: int, *, starts: int, seed: int, context: JobContext
) -> Clusters:
    """The tightest of ``starts`` runs of k-means.

    Raises
    ------
    ArgumentError
        If there are not more cells than ``count``.
    """
    from sklearn.cluster import KMeans

    def fit(start: int) -> tuple[float, Codes]:
        model = KMeans(count, n_init=1, max_iter=_ITERATIONS, random_state=start).fit(features)
        return -float(model.inertia_), model.labels_

    return _best_of(fit, features, count, starts, seed, context)


def _best_of(
    fit: Callable[[int], tuple[float, Codes]],
    features: Floats,
    count: int,
    starts: int,
    seed: int,
    context: JobContext,
) -> Clusters:
    """The start with the highest score; a cancel is answered between two of them.

    The partial result is the codes of the best so far, (N,).
    """
    _refuse_too_many(count, len(features))
    best: tuple[float, Codes] | None = None
    for done, start in enumerate(np.random.SeedSequence(seed).generate_state(starts)):
        context.step("clustering", done, starts, None if best is None else by_size(best[1]))
        one = fit(int(start))
        best = one if best is None or one[0] > best[0] else best
    context.step("clustering", starts, starts)
    assert best is not None
    return Clusters(by_size(best[1]), {"score": best[0]})


def leiden(features: Floats, resolution: float, *, seed: int, context: JobContext) -> Clusters:
    """Leiden's communities of the graph of nearest neighbours among features."""
    graph = _graph(features, seed, context)
    return Clusters(_communities(graph, resolution, seed), {"resolution": resolution})


def leiden_with(features: Floats, count: int, *, seed: int, context: JobContext) -> Clusters:
    """Leiden's communities at a resolution searched so that there are ``count``.

    Not every number can be reached; then it is the nearest that was met on the way. ``found``
    holds the resolution.

    Raises
    ------
    ArgumentError
        If there are not more cells than ``count``.
    """
    _refuse_too_many(count, len(features))
    graph = _graph(features, seed, context)
    (low, high), best = _OCTAVES, None
    for tried in range(_TRIES):
        context.step("searching the resolution", tried, _TRIES)
        resolution = 2 ** ((low + high) / 2)
        one = Clusters(_communities(graph, resolution, seed), {"resolution": resolution})
        if best is None or abs(one.count - count) < abs(best.count - count):
            best = one
        if one.count == count:
            break
        low, high = (np.log2(resolution), high) if one.count < count else (low, np.log2(resolution))
    context.step("searching the resolution", _TRIES, _TRIES)
    assert best is not None
    return best


def _graph(features: Floats, seed: int, context: JobContext) -> AnnData:
    """The graph of nearest neighbours among features; that of the last ones is kept.

    Who looks for a resolution asks for it again and again, and it takes longer than clustering it.
    """
    asked = (sha256(features.tobytes()).hexdigest(), features.shape, seed)
    kept = _last_graph.get(asked)
    if kept is None:
        kept = _made_graph(features, seed, context)
        _last_graph.clear()
        _last_graph[asked] = kept
    return kept


def _made_graph(features: Floats, seed: int, context: JobContext) -> AnnData:
    context.step("finding cells with like surroundings", 0, 1)
    import scanpy  # slow to import
    from anndata import AnnData

    names = pd.RangeIndex(len(features)).astype(str)
    cells = AnnData(obs=pd.DataFrame(index=names), obsm={"features": features})
    scanpy.pp.neighbors(
        cells,
        n_neighbors=min(_NEAREST, len(features) - 1),
        use_rep="features",
        random_state=seed,
        transformer="sklearn",  # exact; scanpy 1.11 cannot read the graph of pynndescent 0.7
    )
    context.step("finding cells with like surroundings", 1, 1)
    return cells


def _communities(graph: AnnData, resolution: float, seed: int) -> Codes:
    import scanpy

    found = scanpy.tl.leiden(
        graph, resolution, flavor="igraph", directed=False, n_iterations=_ROUNDS,
        random_state=seed, copy=True,
    )  # fmt: skip
    return by_size(found.obs["leiden"].cat.codes.to_numpy())


def _refuse_too_many(count: int, cells: int) -> None:
    if count >= cells:
        raise ArgumentError(
            f"{count} domains were asked for, and there are {cells} cells.",
            "A domain holds several cells.",
            "Ask for fewer.",
            {"n_domains": None},
        )
