"""What OmniCell is pretrained for: telling the soft ranks of genes that were hidden from it.

The paper leaves open what a hidden gene is read with, and there is no token for it. Here it is read
with a value of −1: values are embedded linearly, so that this is a direction no real value takes,
learned without new weights. The other candidate, 0, cannot be told from a gene that was not found.
On real sections the two did alike: held-out losses .482 and .486 (osmFISH, cells alone), .462 and
.463 (with neighbours), .302 and .299 (hypothalamus); see ``docs/developer/omnicell-training.md``.

Letters as in :mod:`tagscope.models.omnicell.network`. This module imports torch alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from tagscope.models.omnicell.network import Sequences

HIDDEN = -1.0  # the value that a hidden gene is read with
_FAR = 10.0  # a loss from which on experts are pressed hard into balance


@dataclass(frozen=True)
class Masking:
    """Shares of a cell's genes that are hidden: of those found in a sequence's ``centre`` and in
    its ``neighbours``, and of the ``zeros`` of the centre."""

    centre: float
    neighbours: float = 0.0
    zeros: float = 0.0

    def draw(
        self, read: Sequences, generator: torch.Generator, asked: Tensor | None = None
    ) -> Tensor:
        """Which genes to hide, (B, C, t) bool, none in cells that are not ``asked`` (B, C) about.

        Of n genes a share s is s·n, rounded up or down at random so that the mean is exact.
        """
        shares = torch.full(read.values.shape[:2], self.neighbours, dtype=torch.float64)
        shares[:, 0] = self.centre
        if asked is not None:
            shares *= asked
        found = _drawn(read.values > 0, shares, generator)
        if not self.zeros:
            return found
        zeros = read.values[:, :1] == 0
        zeros[..., 0] = zeros[..., -1] = False
        if read.padding is not None:
            zeros &= ~read.padding[:, :1]
        found[:, :1] |= _drawn(zeros, torch.full_like(shares[:, :1], self.zeros), generator)
        return found


SPATIAL = Masking(centre=0.3, neighbours=0.05)
CELLS = Masking(centre=0.3, zeros=0.1)


def hide(read: Sequences, hidden: Tensor) -> Sequences:
    """The sequences without the values of the ``hidden`` (B, C, t) genes."""
    return replace(read, values=read.values.masked_fill(hidden, HIDDEN))


def rank_loss(scores: Tensor, ranks: Tensor, hidden: Tensor) -> Tensor:
    """Huber loss (delta 1) of scores against soft ranks, summed over the hidden genes.

    ``scores`` (B, C, t − 2), of the genes alone; ``ranks`` and ``hidden`` (B, C, t), of all tokens.
    """
    asked = hidden[..., 1:-1]
    return F.huber_loss(scores.float()[asked], ranks[..., 1:-1][asked], reduction="sum")


def balance_weight(loss: float) -> float:
    """How much the balance of experts weighs beside the mean loss of a hidden gene."""
    return 0.05 if loss < _FAR else 10.0


def _drawn(among: Tensor, shares: Tensor, generator: torch.Generator) -> Tensor:
    """A random share (B, C) of the True of each cell, (B, C, t) bool."""
    draw = torch.rand(among.shape, dtype=torch.float64, generator=generator)
    lots = draw.masked_fill(~among, 2.0)
    rounding = torch.rand(shares.shape, dtype=torch.float64, generator=generator)
    wanted = (among.sum(dim=-1) * shares + rounding).long().unsqueeze(-1)
    bounds = lots.sort(dim=-1).values.gather(-1, wanted.clamp_max(among.shape[-1] - 1))
    return lots < bounds
