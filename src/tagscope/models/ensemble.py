"""Networks that were trained on different cells and answer together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tagscope.models.novelty import NoveltyModel

_NOVELTY = "novelty."


def joined_state(
    states: Sequence[Mapping[str, Tensor]], usual: NoveltyModel | None = None
) -> dict[str, Tensor]:
    """Everything of a model that is a tensor: ``"1.head.bias"``, of a single network without the
    number, and ``"novelty.bank"``."""
    joined = {} if usual is None else {_NOVELTY + k: v for k, v in usual.to_state().items()}
    for index, state in enumerate(states):
        prefix = f"{index}." if len(states) > 1 else ""
        joined |= {prefix + name: value for name, value in state.items()}
    return joined


def parted_state(
    state: Mapping[str, Tensor], networks: int
) -> tuple[list[dict[str, Tensor]], NoveltyModel | None]:
    """Inverse of :func:`joined_state`."""
    usual = {k.removeprefix(_NOVELTY): v for k, v in state.items() if k.startswith(_NOVELTY)}
    parts: list[dict[str, Tensor]] = [{} for _ in range(networks)]
    for key, value in state.items():
        if key.startswith(_NOVELTY):
            continue
        index, _, name = key.partition(".") if networks > 1 else ("0", "", key)
        parts[int(index)][name] = value
    return parts, NoveltyModel.from_state(usual) if usual else None


def mean_logits(logits: Sequence[Tensor]) -> Tensor:
    """Logits of the mean of the networks' probabilities, (B, C)."""
    if len(logits) == 1:
        return logits[0]
    of_all = torch.stack([torch.log_softmax(one, dim=1) for one in logits])
    return of_all.logsumexp(dim=0) - math.log(len(logits))
