"""STAGATE on a CUDA device learns what it learns on the CPU, and the same twice.

Needs torch, numpy, scipy, scikit-learn and pytest: ``PYTHONPATH=src python -m pytest tests/gpu``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tagscope.core.neighbours import nearest_others
from tagscope.models.stagate.graph import Graph
from tagscope.training.stagate import StagateConfig, learn

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]

CELLS, GENES = 600, 80
CONFIG = StagateConfig(hidden=32, width=8, epochs=5)
WAYS = [{}, {"batch_size": 128}, {"compat": "published"}]


def learned(share: float, device: str, **asked):
    rng = np.random.default_rng(0)
    values = sp.random(CELLS, GENES, share, "csr", np.float32, random_state=rng)
    xy = rng.uniform(0, 100, (CELLS, 2))
    near = nearest_others(xy, 6)
    graph = Graph.of_edges(np.repeat(np.arange(CELLS), 6), near.ravel(), CELLS)
    return learn(values, xy, graph, replace(CONFIG, device=device, **asked))


@pytest.mark.parametrize("share", [0.02, 0.3])
@pytest.mark.parametrize("asked", WAYS)
def test_a_card_learns_what_a_processor_learns(share, asked):
    there, again = (learned(share, "cuda", **asked) for _ in range(2))
    here = learned(share, "cpu", **asked)
    np.testing.assert_array_equal(there.embedding, again.embedding)
    np.testing.assert_allclose(there.losses, here.losses, rtol=1e-4)
    np.testing.assert_allclose(there.embedding, here.embedding, atol=2e-3)
