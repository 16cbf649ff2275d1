"""Gene embeddings of a whole data set: those of its cells, propagated over their graph.

Generalised PageRank (Chien et al., ICLR 2021) as OmniCell's published code uses it: every gene's
embeddings in N cells are transformed alike, propagated over a graph of like cells, and averaged; a
linear map of the average has to predict the gene's expression in every cell. This module imports
torch and numpy alone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

_WEAKEST = 1e-4  # edges up to this weight are left out
_LEAST_DISTANCE = 1e-12  # cells that are alike have no distance to divide by


def neighbour_weights(
    distances: npt.NDArray[np.float64], neighbours: npt.NDArray[np.int64], power: float = 0.95
) -> npt.NDArray[np.float32]:
    """Weights of the edges from every cell to its k nearest, (N, k), 0 where an edge is left out.

    ``distances`` and ``neighbours`` (N, k), the nearest first. An edge weighs the mean of
    exp(−(d/ε)^power) with ε the distance of either end to its k-th neighbour.
    """
    reach = np.maximum(distances[:, -1], _LEAST_DISTANCE)
    own = np.exp(-((distances / reach[:, None]) ** power))
    other = np.exp(-((distances / reach[neighbours]) ** power))
    weights = 0.5 * own + 0.5 * other
    return np.where(weights > _WEAKEST, weights, 0.0).astype(np.float32)


def propagator(neighbours: npt.NDArray[np.int64], weights: npt.NDArray[np.float32]) -> Tensor:
    """D^−1/2 (A + I) D^−1/2 as a sparse (N, N), from a cell to its neighbours; D: what arrives."""
    cells, count = neighbours.shape
    there = weights.reshape(-1) > 0
    source = np.concatenate((np.repeat(np.arange(cells), count)[there], np.arange(cells)))
    target = np.concatenate((neighbours.reshape(-1)[there], np.arange(cells)))
    weight = np.concatenate((weights.reshape(-1)[there], np.ones(cells, np.float32)))
    arriving = np.bincount(target, weights=weight, minlength=cells)
    scale = 1 / np.sqrt(arriving)
    values = torch.from_numpy((scale[source] * weight * scale[target]).astype(np.float32))
    places = torch.from_numpy(np.stack((target, source)))
    size = (cells, cells)
    return torch.sparse_coo_tensor(places, values, size, check_invariants=True).coalesce()


class GenePropagation(nn.Module):
    """What learns the embeddings of genes of width ``width`` from N ``cells``."""

    def __init__(
        self, cells: int, width: int, *, hidden: int = 128, steps: int = 10, restart: float = 0.1,
        dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.inner, self.outer = nn.Linear(width, hidden), nn.Linear(hidden, width)
        reached = (1 - restart) ** torch.arange(steps + 1, dtype=torch.float64)
        reached[:-1] *= restart
        self.shares = nn.Parameter(reached)
        self.expression = nn.Linear(width, cells)
        self.dropout = dropout

    def propagate(self, states: Tensor, graph: Tensor) -> Tensor:
        """Σ_k γ_k Â^k of the transformed states, (B, N, d), of B genes' states (B, N, d)."""
        hidden = F.relu(self.inner(self._drop(states)))
        moved: Tensor = self.outer(self._drop(hidden))
        genes, cells, width = moved.shape
        at = moved.transpose(0, 1).reshape(cells, genes * width)
        total: Tensor = at * self.shares[0]
        for share in self.shares[1:]:
            at = graph @ at
            total = total + at * share
        return total.view(cells, genes, width).transpose(0, 1)

    def forward(self, states: Tensor, graph: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (B, d) of B genes, and the expression (B, N) predicted from them."""
        embedding = self.propagate(states, graph).mean(dim=1).to(states.dtype)
        return embedding, self.expression(embedding)

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


def propagation_from_published(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """State of a :class:`GenePropagation` from published weights."""
    names = {"gnn.gpr_gnn.lin1": "inner", "gnn.gpr_gnn.lin2": "outer",
             "expression_predictor": "expression"}  # fmt: skip
    found = {"shares": weights["gnn.gpr_gnn.prop.temp"]}
    for theirs, ours in names.items():
        found |= {f"{ours}.{part}": weights[f"{theirs}.{part}"] for part in ("weight", "bias")}
    return found
