"""Cells of a reference as the section to be annotated would have measured them.

A section counts more or fewer molecules of a cell than the reference does, and across technologies
it also counts molecules that are none of the cell's own: from neighbours above and below, from
imperfect segmentation, from probes bound elsewhere. A network that never met such counts in
training takes them for expression.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tagscope.core.section import Cells
from tagscope.training.thinning import spread, thin_to

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_EXCESS = 1.2  # times the reference's genes: within a technology sections had up to 1.14 times
_FEWEST_CELLS = 50  # of each side; below, a mean number of genes says little
_MOST_CELLS = 2_000  # of each side
_GRID = np.array([0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
_LARGEST = 0.95  # share of background in a cell that still is one
_SAME_KIND = 0.5  # of the reference's depth, from which on held-out cells vouch for confidences
_BLOCK = 4096  # cells whose background is drawn at a time


@dataclass(frozen=True)
class Measurement:
    """How a section measures.

    ``depth`` is its median total over the reference's. ``background`` is the mean share of a cell's
    counts that are none of its own, 0 where none was found, and ``profile`` (G,) how such counts
    fall on the genes, summing to 1.
    """

    depth: float
    background: float
    profile: Floats

    @property
    def same_kind(self) -> bool:
        """Whether the section counts much as the reference does."""
        return self.depth >= _SAME_KIND and not self.background

    @property
    def note(self) -> str:
        """What is done with the reference's cells, for the bundle."""
        if not self.background:
            return f"counts thinned to about {self.depth:.0%}, the depth of the section"
        return (
            f"counts brought to about {self.depth:.0%}, the depth of the section, and mixed with "
            f"background, about {self.background:.0%} of a cell's counts there"
        )

    def to_dict(self) -> dict[str, float]:
        """JSON-ready, without the profile."""
        return {"depth": self.depth, "background": self.background}

    def of(self, cells: Cells, rng: np.random.Generator) -> Cells:
        """The cells at the section's depth, which varies from cell to cell, and with background.

        The share of background is uniform from 0 to twice its mean, so that a network learns to
        tell a cell with any share of it.
        """
        if not self.background:
            return thin_to(cells, self.depth, rng)
        shares = rng.random(len(cells)) * min(2 * self.background, _LARGEST)
        depths = self.depth * spread(len(cells), rng)
        expected = np.asarray(cells.totals, dtype=np.float64) * depths
        own = _recounted(cells.values, depths * (1 - shares), rng)
        return replace(cells, values=own + self._drawn(expected * shares, rng))

    def _drawn(self, expected: Floats, rng: np.random.Generator) -> sp.csr_matrix:
        """Background of cells that expect so many counts of it, (N, G)."""
        blocks = []
        for first in range(0, len(expected), _BLOCK):
            counts = rng.poisson(expected[first : first + _BLOCK])
            genes = rng.choice(len(self.profile), int(counts.sum()), p=self.profile)
            rows = np.repeat(np.arange(len(counts)), counts)
            ones = np.ones(len(genes), np.float32)
            shape = (len(counts), len(self.profile))
            blocks.append(sp.coo_matrix((ones, (rows, genes)), shape).tocsr())
        return sp.vstack(blocks, format="csr", dtype=np.float32)


def measurement(reference: Cells, section: Cells) -> Measurement | None:
    """How ``section`` measures the genes of ``reference``, both over the same panel.

    None where it counts no less than the reference does and no background shows, or where counts
    are not known. Background shows as more genes expressed: cells of both sides are thinned to a
    common depth, and where the section's then express a fifth more genes, its share is the one that
    gives the reference's cells as many. Without background the numbers agree within a technology;
    see docs/benchmarks/training-study.md.
    """
    if reference.normalised or section.normalised:
        return None
    counted = section.take(np.flatnonzero(section.totals > 0))
    if not len(counted):
        return None
    depth = float(np.median(counted.totals) / np.median(reference.totals))
    sums = np.asarray(counted.values.sum(axis=0), dtype=np.float64).ravel()
    profile = sums / sums.sum()
    background = _background(reference, counted, profile)
    if depth >= 1 and not background:
        return None
    return Measurement(depth, background, profile)


def _background(reference: Cells, section: Cells, profile: Floats) -> float:
    """Mean share of a section cell's counts that are background, 0 where none shows."""
    rng = np.random.default_rng(0)
    known, asked = _counts(reference, rng), _counts(section, rng)
    if min(len(known), len(asked)) < _FEWEST_CELLS:
        return 0.0
    depth = min(np.median(known.sum(axis=1)), np.median(asked.sum(axis=1)))
    wanted = _genes(_thinned(asked, depth, rng))
    found = [_genes(_mixed(known, depth, share, profile, rng)) for share in _GRID]
    if wanted < _EXCESS * found[0]:
        return 0.0
    # More background never means fewer genes, but for the luck of the draw.
    return float(np.interp(wanted, np.maximum.accumulate(found), _GRID))


def _counts(cells: Cells, rng: np.random.Generator) -> Ints:
    """Counts, rounded, of at most 2,000 cells that have any, (N, G)."""
    rows = np.arange(len(cells))
    if len(rows) > _MOST_CELLS:
        rows = rng.choice(rows, _MOST_CELLS, replace=False)
    counts = np.asarray(np.rint(cells.take(rows).values.toarray()), dtype=np.int64)
    return counts[counts.any(axis=1)]


def _thinned(counts: Ints, depth: float, rng: np.random.Generator, share: float = 0.0) -> Ints:
    """Cells of at most ``depth`` counts, of which ``share`` is left out."""
    kept = np.minimum(1.0, depth / counts.sum(axis=1, keepdims=True)) * (1 - share)
    return np.asarray(rng.binomial(counts, kept), dtype=np.int64)


def _mixed(
    counts: Ints, depth: float, share: float, profile: Floats, rng: np.random.Generator
) -> Ints:
    totals = np.minimum(counts.sum(axis=1, keepdims=True), depth)
    own = _thinned(counts, depth, rng, share)
    return np.asarray(own + rng.poisson(totals * share * profile), dtype=np.int64)


def _genes(counts: Ints) -> float:
    """Mean number of genes expressed in a cell."""
    return float((counts > 0).sum(axis=1).mean())


def _recounted(values: sp.csr_matrix, shares: Floats, rng: np.random.Generator) -> sp.csr_matrix:
    """Counts of which a cell's share is kept, or of which there are so many times more."""
    own = sp.csr_matrix(values, copy=True)
    of_count = np.repeat(shares, np.diff(own.indptr))
    counts = np.rint(own.data).astype(np.int64)
    drawn = rng.binomial(counts, np.minimum(of_count, 1.0))
    more = of_count > 1.0
    drawn[more] = rng.poisson(counts[more] * of_count[more])
    own.data = drawn.astype(np.float32)
    own.eliminate_zeros()
    return own
