"""First weights that know tokens are ordered and genes go together."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.extmath import randomized_svd
from torch import Tensor, nn

from tagscope.core.section import Cells
from tagscope.models.cellmemory.network import CellMemoryNetwork
from tagscope.models.preprocessing import Preprocessing

Floats = npt.NDArray[np.float32]

_TURNS = 1.0  # typical number of half waves over all tokens
_MOST_CELLS = 5_000  # of a source; components of more hardly differ
_MOST_SD = 10.0  # standardised values beyond are cut, as single cells would rule a component


@torch.no_grad()
def order_tokens(network: CellMemoryNetwork) -> None:
    """Start the token embeddings as smooth random curves over the tokens.

    Independent random rows, torch's default, leave the network to learn every bin by itself; on
    curves, what it learns of one bin holds for its neighbours. Each channel is a random cosine of
    unit variance. The padding row stays zero.
    """
    _start_on_curves(network.tokens)
    if network.values is not None:
        _start_on_curves(network.values)


def _start_on_curves(table: nn.Embedding) -> None:
    count, width = table.weight.shape
    places = torch.linspace(0, math.pi, count)[:, None]
    frequencies = torch.randn(width).abs() * _TURNS
    phases = torch.rand(width) * 2 * math.pi
    curves = math.sqrt(2) * torch.cos(places * frequencies + phases)
    if table.padding_idx is not None:
        curves[table.padding_idx] = 0
    table.weight.copy_(curves)


def gene_components(
    sources: list[Cells], preprocessing: Preprocessing, width: int, seed: int
) -> Floats:
    """How genes vary together, (G, k ≤ width): principal components of all sources' cells.

    ``sources`` are cells over the same genes: a reference, and the section it is meant for, which
    needs no labels. Log values are standardised within each source, so that what tells two
    technologies apart is no component; every source counts alike.
    """
    rng = np.random.default_rng([seed, 4])
    blocks = [_standardised(cells, preprocessing, rng) for cells in sources]
    stacked = np.concatenate([block / math.sqrt(max(1, len(block))) for block in blocks])
    count = min(width, *stacked.shape)
    _, strengths, axes = randomized_svd(stacked, count, random_state=seed)
    return np.asarray(axes.T * strengths, dtype=np.float32)


@torch.no_grad()
def relate_genes(weight: Tensor, components: Floats) -> None:
    """Start gene embeddings (G, d) from components (G, k), turned at random, every gene alike long.

    Genes that vary together start close to each other, and what is learned of one holds for the
    others: on a few hundred cells this is worth more than any other choice of the recipe.
    """
    width = weight.shape[1]
    turned = torch.linalg.qr(torch.randn(width, width)).Q[: components.shape[1]]
    placed = torch.from_numpy(components) @ turned
    lengths = placed.norm(dim=1, keepdim=True)
    # A gene that never varies keeps its random start.
    known = (lengths > 1e-6).squeeze(1)
    scaled = placed * (math.sqrt(width) / lengths.clamp(min=1e-6))
    weight[known] = scaled[known]


def _standardised(
    cells: Cells, preprocessing: Preprocessing, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Log values of at most 5,000 cells with counts, each gene with mean 0 and sd 1."""
    rows = np.flatnonzero(cells.totals > 0)
    if len(rows) > _MOST_CELLS:
        rows = np.sort(rng.choice(rows, _MOST_CELLS, replace=False))
    values: npt.NDArray[np.float64] = preprocessing.apply(cells.take(rows)).toarray()
    if not len(values):
        return values
    spread = values.std(axis=0)
    standardised = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return np.asarray(np.clip(standardised, -_MOST_SD, _MOST_SD), dtype=np.float64)
