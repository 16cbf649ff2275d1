"""The plain STAGATE, which ours is timed against, gives the published numbers."""

from __future__ import annotations

import pytest
import torch

from plain_stagate import PlainStagate
from stagate_cases import CASES, close, load_case, ours


@pytest.mark.parametrize("name", CASES)
def test_plain_is_published(shared, name):
    case = load_case(shared / "parity" / "stagate" / name)
    plain = PlainStagate(**ours(case.weights))
    edges = case.inputs["edge_index"]
    with torch.inference_mode():
        embedding, told = plain(case.x, *edges)
        close(embedding, case.expected["latent"])
        close(told, case.expected["reconstruction"])
    losses, norms = zip(*(plain.step(case.x, *edges) for _ in range(8)), strict=True)
    close(torch.tensor(losses), torch.tensor(case.scalars["losses_plain_tying"]))
    norms_wanted = case.scalars["grad_norm_before_clip_plain_tying"]
    close(torch.tensor(norms), torch.tensor(norms_wanted))
