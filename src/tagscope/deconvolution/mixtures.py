"""Spots put together from a reference's cells, and shallow parts of spots, for a model to read.

A model that learned from cells reads a spot otherwise than a mean of its cells: a spot is many
times deeper, and expresses nearly every gene. Two remedies, both TAGscope's own: a spot is read in
random parts no deeper than a cell, and what a type is worth in one is learned from made-up spots.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tagscope.core.section import Cells, Reference
from tagscope.jobs import JobContext, Progress
from tagscope.training.thinning import keep_counts

Floats = npt.NDArray[np.floating]
Space = Callable[[Cells, JobContext], Floats]  # cells (N, G) to their embeddings (N, d)

_FEWEST, _MOST = 3, 50  # cells of a mixture, whatever depths say
_RARE = 1e-3  # so that a type of no cell in a thousand still is a part of some mixtures


@dataclass(frozen=True)
class Mixtures:
    """``cells`` of M made-up spots and the ``shares`` (M, C) of types in each, by cells."""

    cells: Cells
    shares: npt.NDArray[np.float64]


def mixtures_of(
    reference: Reference, depths: npt.NDArray[np.float64], count: int, seed: int
) -> Mixtures:
    """Sums of a reference's cells, about as deep as the spots of total counts ``depths`` (S,).

    The chances of types differ from mixture to mixture (Dirichlet) and are on the average their
    frequencies in the reference.
    """
    rng, types = np.random.default_rng(seed), len(reference.labels)
    sizes = np.bincount(reference.codes, minlength=types)
    cells = rng.choice(depths, count) / max(1.0, float(reference.cells.totals.mean()))
    mixture = np.repeat(np.arange(count), np.clip(np.rint(cells), _FEWEST, _MOST).astype(int))
    present = np.flatnonzero(sizes)
    chances = rng.dirichlet(sizes[present] / len(reference) * len(present) + _RARE, count)
    passed = chances.cumsum(axis=1)[mixture, :-1] < rng.random(len(mixture))[:, None]
    drawn = present[passed.sum(axis=1)]
    firsts, by_type = np.cumsum(sizes) - sizes, np.argsort(reference.codes, kind="stable")
    rows = by_type[firsts[drawn] + (rng.random(len(drawn)) * sizes[drawn]).astype(int)]
    ones = np.ones(len(rows), np.float32)
    gather = sp.csr_matrix((ones, (mixture, rows)), (count, len(reference)))
    ids = np.array([f"mixture_{number}" for number in range(count)])
    shares = np.asarray(gather @ np.eye(types)[reference.codes])
    summed = Cells(sp.csr_matrix(gather @ reference.cells.values), reference.cells.panel, ids)
    return Mixtures(summed, shares / shares.sum(axis=1, keepdims=True))


def read_in_parts(
    cells: Cells, depth: float, parts: int, space: Space, seed: int, context: JobContext
) -> Floats:
    """Mean embedding (N, d) of random parts of every spot, each of about ``depth`` counts.

    Spots that are no deeper are read whole.
    """
    shares = np.minimum(1.0, depth / np.maximum(cells.totals, 1.0))
    if shares.min() == 1.0:
        return space(cells, context)
    rng = np.random.default_rng(seed)
    found = [
        space(keep_counts(cells, shares, rng), _within(context, part, parts))
        for part in range(parts)
    ]
    return np.asarray(np.mean(found, axis=0))


def _within(context: JobContext, part: int, parts: int) -> JobContext:
    """A context that reports one part of several as so much of the whole."""

    def report(said: Progress) -> None:
        context.step(said.stage, part * said.total + said.done, parts * said.total)

    return JobContext(report)
