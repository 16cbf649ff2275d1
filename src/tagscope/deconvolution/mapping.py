"""Reference cells mapped onto spots so that their embeddings add up to the spots'.

OmniCell's paper names "Tangram-like" deconvolution and gives no more; this form is TAGscope's own:
every spot is a mean of reference cells, whose weights are the softmax of free numbers, fitted so
that mapped and real embeddings point the same way, spot by spot and dimension by dimension
(Biancalani et al., Nature Methods 2021, eq. 1 without its density).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from tagscope.jobs import JobContext

Floats = npt.NDArray[np.float32]

_EVERY = 10  # steps between two reports


@dataclass(frozen=True)
class MappingSettings:
    """``entropy`` times the mean entropy of a spot's weights is added to the loss: above 0, spots
    are made of few cells."""

    steps: int = 400
    learning_rate: float = 0.1
    entropy: float = 0.0
    seed: int = 0


def map_cells(
    spots: Floats, cells: Floats, settings: MappingSettings, device: torch.device,
    context: JobContext,
) -> Floats:  # fmt: skip
    """Weights (S, N) of N reference cells in every spot, each row adding up to 1.

    ``spots`` (S, d) and ``cells`` (N, d) are embeddings of one model. ``context`` hears
    ``step("mapping cells onto spots", steps done, steps)``.
    """
    wanted, parts = (torch.from_numpy(array).to(device) for array in (spots, cells))
    generator = torch.Generator().manual_seed(settings.seed)
    drawn = 0.01 * torch.randn(len(spots), len(cells), generator=generator)
    free = drawn.to(device).requires_grad_()
    optimizer = torch.optim.Adam([free], lr=settings.learning_rate)
    for step in range(settings.steps):
        if step % _EVERY == 0:
            context.step("mapping cells onto spots", step, settings.steps)
        optimizer.zero_grad()
        mapping_loss(free, parts, wanted, settings.entropy).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    context.step("mapping cells onto spots", settings.steps, settings.steps)
    return np.asarray(torch.softmax(free.detach(), dim=1).cpu().numpy())


def mapping_loss(free: Tensor, cells: Tensor, spots: Tensor, entropy: float) -> Tensor:
    """How far mapped embeddings point from the spots', by spot and by dimension, at best −2."""
    weights = torch.softmax(free, dim=1)
    mapped = weights @ cells
    by_spot = F.cosine_similarity(mapped, spots, dim=1).mean()
    by_dimension = F.cosine_similarity(mapped, spots, dim=0).mean()
    loss = -by_spot - by_dimension
    if entropy:
        spread = -(weights * torch.log_softmax(free, dim=1)).sum(dim=1).mean()
        loss = loss + entropy * spread
    return loss
