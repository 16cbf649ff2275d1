"""One small tissue, shared by the tests that only look at it."""

from __future__ import annotations

import pytest

from tagscope.simulation import SimulateConfig, simulate_tissue

SMALL = SimulateConfig(cells=1500, seed=3, reference_cells=1500)


@pytest.fixture(scope="session")
def tissue():
    return simulate_tissue(SMALL)
