"""The plain CellPatch + STAGATE, which ours is timed against, gives the published numbers."""

from __future__ import annotations

import pytest
import torch

from cellpatch_stagate_cases import CASES, network_of
from plain_cellpatch_stagate import PlainUnion
from stagate_cases import close, load_case, ours


@pytest.mark.parametrize("name", CASES)
def test_plain_is_published(shared, name):
    case = load_case(shared / "parity" / "stagate" / name)
    head = "model_head."
    patches = {k.removeprefix(head): v for k, v in case.weights.items() if k.startswith(head)}
    last = (case.weights[f"decoder_lin.{part}"] for part in ("weight", "bias"))
    config = network_of(case).patches.config
    plain = PlainUnion(
        patches, config, ours(case.weights, "model_STG."), *last, case.settings["res_cat"]
    )
    genes = case.inputs["genes"][0]
    with torch.inference_mode():
        embedding, told = plain(genes, case.x, *case.inputs["edge_index"])
    close(embedding, case.expected["latent"])
    close(told, case.expected["reconstruction"])
    first = plain.step(genes, case.x, *case.inputs["edge_index"])
    close(torch.tensor(first), torch.tensor(case.scalars["mse_loss"]))
