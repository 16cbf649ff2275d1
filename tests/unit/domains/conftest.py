"""A simulated tissue with known domains, as a section."""

from __future__ import annotations

import pytest

from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Section
from tagscope.simulation import SimulateConfig, simulate_tissue


@pytest.fixture(scope="session")
def tissue():
    return simulate_tissue(SimulateConfig(cells=2500, seed=5, reference_cells=1000))


@pytest.fixture(scope="session")
def section(tissue):
    cells = Cells(tissue.counts.seen, GenePanel(tissue.genes), tissue.ids)
    return Section(cells, tissue.placement.seeds)


@pytest.fixture(scope="session")
def truth(tissue):
    """The domain of every cell, (N,) int64."""
    return tissue.placement.domains
