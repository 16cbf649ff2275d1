"""What CellPatch is timed against gives the published numbers."""

from __future__ import annotations

import pytest
import torch

from cellpatch_cases import CASES, close, load_case
from plain_cellpatch import PlainCellPatch


@pytest.mark.parametrize("name", [name for name in CASES if "projected" not in name])
@torch.inference_mode()
def test_plain_numbers(name, shared):
    case = load_case(shared / "parity" / "cellpatch" / name)
    plain, inputs = PlainCellPatch(case.weights, case.config), case.inputs
    if case.labels:
        close(plain.logits(inputs["genes"], inputs["values"]), case.expected["logits"])
        return
    told = plain.told(inputs["genes_enc"], inputs["values_enc"], inputs["genes_dec"])
    close(told, case.expected["prediction"].squeeze(-1))
