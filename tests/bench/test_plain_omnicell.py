"""What OmniCell is timed against gives the published numbers."""

from __future__ import annotations

import pytest
import torch

from omnicell_cases import CASES, close, load_case
from plain_omnicell import PlainOmniCell


@pytest.mark.parametrize("name", [name for name in CASES if "flash" not in name])
@torch.inference_mode()
def test_plain_embeddings(name, shared):
    case = load_case(shared / "parity" / "omnicell" / name)
    inputs, wanted = case.inputs, case.expected["cell_embedding_normalised"]
    cells = 1 if wanted.dim() == 2 else wanted.shape[1]
    plain = PlainOmniCell(case.weights, case.config)
    found = plain.cells(
        inputs["tokens"], inputs["values"], inputs["positions"], inputs["expressed_mask"], cells
    )
    close(found.view(wanted.shape), wanted)
