"""Whether the window answers while it annotates 100,000 simulated cells.

Run with ``pytest tests/bench/test_responsiveness.py --benchmark-only``; takes some minutes, most
of them to simulate. The gaps between beats of the event loop are kept in the benchmark's extra
information, since they hold for the machine and its load alone: software GL takes its share.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from heart import Heart
from responsiveness import cancel_once, opened, run_once
from tagscope import api

CELLS = 100_000


@pytest.fixture(scope="module")
def section(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a section of that many cells and a reference."""
    folder = tmp_path_factory.mktemp("simulated")
    return api.simulate(folder / "tissue", api.SimulateConfig(cells=CELLS))


@pytest.fixture(scope="module")
def bundle(section: Path) -> Path:
    """A network that was trained for a moment."""
    reference = api.read_reference(section / "reference.h5ad", "cell_type")
    config = api.TrainConfig(epochs=1, learning_rate=0.002)
    out = section / "bundle"
    api.train(reference, out=out, config=config)
    return out


def test_annotating(benchmark: BenchmarkFixture, section: Path, bundle: Path, qapp: object) -> None:
    viewer, session = opened(section / "section.zarr", bundle)
    heart = Heart()
    first, _ = benchmark.pedantic(lambda: run_once(session, heart), rounds=1)
    cancelled = cancel_once(session)
    viewer.close()
    benchmark.extra_info |= {
        "p99, s": heart.percentile(99),
        "longest, s": heart.longest,
        "first colours, s": first,
        "cancelled, s": cancelled,
    }
    assert first < 2
    assert cancelled < 1
