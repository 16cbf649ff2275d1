"""How unlike its reference a cell looks to a network, for cells of types that it never saw.

The distance to the nearest reference cells on the unit sphere of the embedding (Sun et al. 2022,
"Out-of-distribution detection with deep nearest neighbors"). docs/benchmarks/unseen-types.md
compares it with others, the softmax maximum among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats = npt.NDArray[np.floating[Any]]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# A single doublet or mislabelled cell of the reference then does not vouch for a new type.
NEIGHBOURS = 3
_MOST_CELLS = 10_000
_BLOCK = 1 << 22  # numbers in one block of similarities
_TAIL = 0.95  # above this quantile held-out cells are too few to be counted
_LEAST_SCALE = 1e-6


@dataclass(frozen=True)
class NoveltyModel:
    """What is usual for a reference, in the space of one network.

    ``bank`` (M, D) float32: unit embeddings of its training cells. ``knots`` (K,) float64: the
    distances of its held-out cells at the quantiles 0 to 0.95, in equal steps. ``scale``: mean
    excess of the others over the last knot.
    """

    bank: npt.NDArray[np.float32]
    knots: Doubles
    scale: float
    neighbours: int = NEIGHBOURS

    @classmethod
    def fit(
        cls,
        embedding: Floats,
        codes: Ints,
        held_out: Floats | None = None,
        *,
        neighbours: int = NEIGHBOURS,
        most_cells: int = _MOST_CELLS,
        seed: int = 0,
    ) -> NoveltyModel:
        """From the embedding (N, D) of training cells and that of held-out ones (H, D).

        Without held-out cells every training cell is held out of the others. Embed both at the
        depth that the network was trained for.

        Parameters
        ----------
        codes
            (N,) types of the training cells. Of more than ``most_cells`` the largest types are
            drawn from, so that rare types stay whole.
        seed
            Seed of that draw.

        Raises
        ------
        ValueError
            If there are no training cells, or sizes differ.
        """
        if not len(embedding) or len(embedding) != len(codes):
            raise ValueError(f"{len(codes)} codes for {len(embedding)} training cells")
        bank = unit_rows(embedding[_evened(codes, most_cells, np.random.default_rng(seed))])
        if held_out is None or not len(held_out):
            usual = neighbour_distance(bank, bank, neighbours + 1)  # the first one is the cell
        else:
            usual = neighbour_distance(held_out, bank, neighbours)
        knots = np.quantile(usual, np.linspace(0, _TAIL, 96))
        excess = usual[usual > knots[-1]] - knots[-1]
        scale = max(float(excess.mean()) if len(excess) else 0.0, _LEAST_SCALE)
        return cls(bank, knots, scale, neighbours)

    def distance(self, embedding: Floats) -> Doubles:
        """Distance of cells (N, D) to their k-th nearest reference cell, 0 to 2, (N,)."""
        return neighbour_distance(embedding, self.bank, self.neighbours)

    def score(self, embedding: Floats) -> npt.NDArray[np.float32]:
        """Novelty of cells (N, D), 0 to 1, (N,).

        Up to 0.95 it is the share of held-out reference cells that are less unusual: a cell above
        0.95 is more unusual than 95 % of them. Beyond, where they are too few to be counted,
        1 − 0.05 / (1 + excess / scale): it keeps the order of distances and never reaches 1.

        A query of another technology is unusual as a whole. Compare its cells with each other
        then, for the share of held-out cells says little of them.
        """
        distance = self.distance(embedding)
        quantiles = np.linspace(0, _TAIL, len(self.knots))
        inner = np.interp(distance, self.knots, quantiles)
        excess = np.maximum(distance - self.knots[-1], 0) / self.scale
        tail = 1 - (1 - _TAIL) / (1 + excess)
        return np.asarray(np.where(excess > 0, tail, inner), dtype=np.float32)

    def to_state(self) -> dict[str, Tensor]:
        """Tensors for a safetensors file."""
        return {
            "bank": torch.from_numpy(self.bank),
            "knots": torch.from_numpy(self.knots),
            "scale": torch.tensor([self.scale], dtype=torch.float64),
            "neighbours": torch.tensor([self.neighbours]),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> NoveltyModel:
        """Inverse of :meth:`to_state`.

        Raises
        ------
        KeyError
            If a tensor is missing.
        """
        return cls(
            state["bank"].numpy().astype(np.float32),
            state["knots"].numpy().astype(np.float64),
            float(state["scale"].item()),
            int(state["neighbours"].item()),
        )


def neighbour_distance(embedding: Floats, bank: Floats, k: int) -> Doubles:
    """Distance of rows (N, D) to the k-th nearest of ``bank`` (M, D) on the unit sphere, (N,).

    Of a bank of fewer than k the farthest counts.
    """
    known, asked = unit_rows(bank), unit_rows(embedding)
    place = max(len(known) - k, 0)
    rows = max(1, _BLOCK // len(known))
    found = np.empty(len(asked))
    for start in range(0, len(asked), rows):
        similarity = asked[start : start + rows] @ known.T
        nearest = np.partition(similarity, place, axis=1)[:, place]
        found[start : start + rows] = np.sqrt(np.maximum(2 - 2 * nearest, 0))
    return found


def unit_rows(rows: Floats) -> npt.NDArray[np.float32]:
    """Rows divided by their lengths; a row of zeros stays one."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def _evened(codes: Ints, most: int, rng: np.random.Generator) -> Ints:
    """At most ``most`` rows, ascending, the largest types cut to one size."""
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    counts = np.unique(codes, return_counts=True)[1]
    place = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    # the cells of a type in turn: all firsts, all seconds, …
    return np.sort(order[np.argsort(place, kind="stable")[:most]])
