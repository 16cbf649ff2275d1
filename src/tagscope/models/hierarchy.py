"""The loss of a network whose labels have several levels (``core.hierarchy.LabelTree``)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everybody knows


def marginal_logits(logits: Tensor, ancestors: Tensor, labels: int) -> Tensor:
    """Log-probabilities of coarser labels, (N, C_k): log-sum-exp over the children of each.

    Parameters
    ----------
    logits
        (N, C) of the finest labels.
    ancestors
        (C,) int64 code on the coarser level of every finest label; every coarser label has one.
    labels
        C_k, the number of coarser labels.
    """
    fine = F.log_softmax(logits, dim=1)
    of_child = ancestors.expand_as(fine)
    highest = fine.new_full((len(fine), labels), -torch.inf)
    highest = highest.scatter_reduce(1, of_child, fine.detach(), "amax", include_self=True)
    summed = torch.zeros_like(highest).scatter_add(
        1, of_child, torch.exp(fine - highest.gather(1, of_child))
    )
    return highest + torch.log(summed)


def hierarchical_loss(
    logits: Tensor,
    codes: Sequence[Tensor],
    ancestors: Sequence[Tensor],
    *,
    weights: Sequence[Tensor | None] | None = None,
    level_weights: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of the marginal probabilities, summed over levels and cells.

    With one level it is the ordinary cross-entropy. Since a coarse label's probability is the sum
    over its children, the levels share one network and cannot contradict each other.

    Parameters
    ----------
    logits
        (N, C) of the finest labels.
    codes
        For every level, coarse to fine, (N,) int64 true codes; −1 where unknown, so that a cell may
        be labelled on the coarse levels alone.
    ancestors
        For every level, ``LabelTree.ancestors(level)`` as (C,) int64.
    weights
        For every level, (C_k,) weight of each label, or None.
    level_weights
        Weight of every level, 1 if not given.
    """
    total = logits.new_zeros(())
    for level, (truth, above) in enumerate(zip(codes, ancestors, strict=True)):
        weight = weights[level] if weights is not None else None
        loss = F.cross_entropy(
            marginal_logits(logits, above, int(above.max()) + 1),
            truth,
            weight=weight,
            reduction="sum",
            ignore_index=-1,
            label_smoothing=label_smoothing,
        )
        total = total + loss * (level_weights[level] if level_weights is not None else 1.0)
    return total
