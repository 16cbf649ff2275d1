"""First weights that know tokens are ordered and genes go together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from sklearn.utils.extmath import randomized_svd
from torch import Tensor, nn

from tagscope.core.section import Cells
from tagscope.models.cellmemory.network import CellMemoryNetwork
from tagscope.models.preprocessing import Preprocessing
from tagscope.training.corpus import Corpus, Ints

Floats = npt.NDArray[np.float32]
Block = npt.NDArray[np.float64]

_TURNS = 1.0  # typical number of half waves over all tokens
_MOST_CELLS = 5_000  # of a source; components of more hardly differ
_MOST_NUMBERS = 25_000_000  # of a corpus, 200 MB: fewer cells where there are very many genes
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
    blocks = []
    for cells in sources:
        rows = _some(np.flatnonzero(cells.totals > 0), _MOST_CELLS, rng)
        blocks.append(_standardised(preprocessing.apply(cells.take(rows))))
    return _components(blocks, width, seed)


def corpus_components(corpus: Corpus, genes: int, width: int, seed: int) -> Floats:
    """The same of the cells that are learned from of a corpus, (G = ``genes``, k ≤ width).

    A gene that a part lacks varies in the others alone.
    """
    rng = np.random.default_rng([seed, 4])
    most = min(_MOST_CELLS, _MOST_NUMBERS // (genes * len(corpus.parts)))
    blocks = []
    for part in corpus.parts:
        learned = np.flatnonzero(~part.held & (np.diff(part.values.starts) > 0))
        rows = _some(learned, max(2, most), rng)
        block = np.zeros((len(rows), genes))
        block[:, part.genes] = _standardised(part.values.take(rows))
        blocks.append(block)
    return _components(blocks, width, seed)


def _components(blocks: Sequence[Block], width: int, seed: int) -> Floats:
    """Principal components (G, k) of blocks (N, G) that count alike."""
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


def _some(rows: Ints, most: int, rng: np.random.Generator) -> Ints:
    """At most so many of the rows, in order."""
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def _standardised(logged: sp.csr_matrix) -> Block:
    """Log values (N, G), each gene with mean 0 and sd 1."""
    values: Block = logged.toarray()
    if not len(values):
        return values
    spread = values.std(axis=0)
    standardised = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return np.asarray(np.clip(standardised, -_MOST_SD, _MOST_SD), dtype=np.float64)
