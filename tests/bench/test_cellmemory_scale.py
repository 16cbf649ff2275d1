"""The scale benchmark measures what it says, on a section small enough for every run."""

from __future__ import annotations

import numpy as np
import pytest

from cellmemory_scale import growth, latency, random_model, simulate, stages, watched, write
from tagscope.core.section import Cells
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.model import CellMemory


@pytest.fixture(scope="module")
def cells() -> Cells:
    return simulate(3_000)


@pytest.fixture(scope="module")
def model() -> CellMemory:
    return random_model(CellMemoryConfig(width=32, ffn=32, layers=2, slots=3))


def test_simulated_counts(cells: Cells) -> None:
    counts = cells.values
    assert counts.shape == (3_000, 300)
    assert (counts.data == np.round(counts.data)).all()
    assert counts.nnz / 3_000 == pytest.approx(90, rel=0.1)
    assert len(np.unique(cells.ids)) == 3_000
    assert (simulate(3_000).values != counts).nnz == 0


def test_stages_and_result(cells: Cells, model: CellMemory) -> None:
    result, moments = watched(cells, model)
    rows = list(stages(cells, moments))
    assert sum(float(row[1]) for row in rows) == pytest.approx(
        moments[-1].seconds - moments[0].seconds
    )
    annotated = sum(float(row[1]) * float(row[3]) for row in rows[1:4])
    assert annotated == pytest.approx(3_000)
    assert moments[0].held > 1e8  # a process with torch in it
    assert growth(moments) < 1
    assert result.gene_scores is not None
    assert result.gene_scores.scores.nnz == cells.values.nnz
    assert write(result, cells)[0] == "write_to, 4 layers"


def test_a_cancel_is_answered(cells: Cells, model: CellMemory) -> None:
    larger = simulate(6_000)
    assert 0 < latency(larger, model, 0.05) < 30
    with pytest.raises(RuntimeError, match="ended before"):
        latency(cells.take(np.arange(20)), model, 1.0)
