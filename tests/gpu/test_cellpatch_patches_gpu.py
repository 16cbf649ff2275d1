"""Patches are read on a CUDA device as on the CPU.

Needs torch, numpy, scipy and pytest: ``PYTHONPATH=src python -m pytest tests/gpu``.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tagscope.interpret.patch_sums import patch_sums
from tagscope.jobs import JobContext
from tagscope.models.cellpatch.attention import ListedAttention
from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.models.cellpatch.network import CellPatchNetwork

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]

CELLS, GENES = 700, 90


def test_a_card_reads_what_a_processor_reads():
    values = sp.random(CELLS, GENES, 0.3, "csr", np.float32, random_state=0)
    codes = np.random.default_rng(0).integers(-1, 4, CELLS)
    torch.manual_seed(0)
    network = CellPatchNetwork(CellPatchConfig(patches=16), GENES, 4).eval()
    found = []
    for device in ("cpu", "cuda"):
        genes = torch.arange(GENES, device=device)
        attention = ListedAttention(network.to(device), genes)
        found.append(patch_sums(attention, values, codes, 4, JobContext()))
    on_cpu, on_card = found
    np.testing.assert_allclose(on_card.z_scores, on_cpu.z_scores, atol=1e-3)
    np.testing.assert_allclose(on_card.attention, on_cpu.attention, atol=1e-6)
    np.testing.assert_allclose(on_card.activity, on_cpu.activity, rtol=1e-3)
