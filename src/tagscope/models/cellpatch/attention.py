"""What patches attend to among one list of genes, those that a cell does not express included.

The score of a gene with value v is a constant of the gene, plus v times a constant of all genes.
All that a cell does not express therefore have the weights of a table, times one factor a patch and
head: only where a cell has values is anything computed for it. In double precision, for weights
that are nearly alike are told apart by small differences.

Letters: B cells, E genes that a cell expresses, G genes of the list, H heads, P patches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from tagscope.models.cellpatch.network import CellPatchNetwork


@dataclass(frozen=True)
class Expressed:
    """What some cells express.

    ``columns`` (B, E) int64 into the list; ``values`` (B, E) float64; ``present`` (B, E) bool,
    False on padding.
    """

    columns: Tensor
    values: Tensor
    present: Tensor

    def to(self, device: torch.device) -> Expressed:
        """The same on ``device``."""
        parts = self.columns, self.values, self.present
        return Expressed(*(part.to(device) for part in parts))


@dataclass(frozen=True)
class CellWeights:
    """Weights of some cells, means of the heads; those of a cell's patch sum to 1 over the list.

    ``expressed`` (B, E, P), 0 on padding. A gene that a cell does not express has the weight of
    the table times ``factors`` (B, H, P), summed over the heads; ``others`` (B, G) is 1 for such a
    gene, else 0. ``spread`` (B, P) is the unbiased standard deviation over the list.
    """

    expressed: Tensor
    factors: Tensor
    others: Tensor
    spread: Tensor


class ListedAttention:
    """The first cross attention of a network, in evaluation mode, over a list of genes."""

    @torch.inference_mode()
    def __init__(self, network: CellPatchNetwork, genes: Tensor) -> None:
        """``genes`` (G,) int64 are rows of the network's table, two at least."""
        width, heads = network.config.width, network.config.heads
        table, query = network.table(), network.gather.query(network.patches)
        query = query.double().view(-1, heads, width // heads) * (width // heads) ** -0.5
        keys = table.genes[genes, :width].double().view(-1, heads, width // heads)
        step = table.step[:width].double().view(heads, -1)
        scores = torch.einsum("phw,ghw->ghp", query, keys).contiguous()
        self.by_value = torch.einsum("phw,hw->hp", query, step).contiguous()
        self.scores = scores - scores.amax(dim=0)
        self.at_zero = self.scores.exp()
        self._products = self.at_zero[:, :, None] * self.at_zero[:, None]  # of two heads each
        self.genes, self.heads, self.patches = self.at_zero.shape

    @torch.inference_mode()
    def of(self, cells: Expressed) -> CellWeights:
        """The weights of some cells."""
        cells = cells.to(self.scores.device)
        values = cells.values[:, :, None, None]
        # at least as high as the highest score of the cell, less that at 0
        above = self.by_value.clamp(min=0) * cells.values.amax(dim=1)[:, None, None]
        own = self.scores[cells.columns].addcmul_(values, self.by_value).sub_(above[:, None]).exp_()
        own.mul_(cells.present[:, :, None, None])
        others = self._others(cells)
        factors = (-above).exp()
        total = own.sum(dim=1) + factors * (others @ self.at_zero.flatten(1)).view(factors.shape)
        shares = 1 / total / self.heads
        expressed = own.mul_(shares[:, None]).sum(dim=2)
        factors = factors * shares
        return CellWeights(expressed, factors, others, self._spread(expressed, factors, others))

    def summed(self, cells: Expressed, found: CellWeights, factor: Tensor | None = None) -> Tensor:
        """Weights of every gene summed over the cells, (G, P), each times ``factor`` (B, P)."""
        own, factors = found.expressed, found.factors
        if factor is not None:
            own, factors = own * factor[:, None], factors * factor[:, None]
        rest = (found.others.T @ factors.flatten(1)).view(self.at_zero.shape)
        rest = (rest * self.at_zero).sum(dim=1)
        return rest + _summed_by(cells.columns.flatten(), own.flatten(0, 1), self.genes)

    def _others(self, cells: Expressed) -> Tensor:
        """1 for every gene that a cell does not express, (B, G)."""
        shape = len(cells.columns), self.genes + 1  # the last takes what padding says
        others = torch.ones(shape, dtype=torch.float64, device=self.scores.device)
        places = cells.columns.masked_fill(~cells.present, self.genes)
        return others.scatter_(1, places, 0.0)[:, : self.genes]

    def _spread(self, expressed: Tensor, factors: Tensor, others: Tensor) -> Tensor:
        """Standard deviations of weights (B, P): their mean is 1 / G."""
        squares: Tensor = torch.linalg.vector_norm(expressed, dim=1) ** 2
        pairs = (others @ self._products.flatten(1)).view(-1, *self._products.shape[1:])
        squares += (pairs * factors[:, :, None] * factors[:, None]).sum(dim=(1, 2))
        return ((squares - 1 / self.genes).clamp(min=0) / (self.genes - 1)).sqrt()


def _summed_by(places: Tensor, rows: Tensor, count: int) -> Tensor:
    """Sums of the rows (n, P) of each place (n,), (count, P)."""
    if rows.device.type == "cpu":  # ten times as fast as torch's
        ones = np.ones(len(places))
        which = sp.csr_matrix(
            (ones, (places.numpy(), np.arange(len(places)))), (count, len(places))
        )
        return torch.from_numpy(which @ rows.numpy())
    return rows.new_zeros(count, rows.shape[1]).index_add_(0, places.to(rows.device), rows)
