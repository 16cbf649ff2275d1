"""Time and memory reckoned from a timed handful of cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.inference import estimate as module
from tagscope.inference.annotate import AnnotateConfig
from tagscope.inference.estimate import estimate
from tagscope.jobs import JobCancelled, JobContext

CONFIG = AnnotateConfig(attention=True, device="cpu")


class Clock:
    """A clock that every run on a cell moves by a tenth of a second."""

    def __init__(self, model):
        self._model = model

    def monotonic(self):
        return 0.1 * sum(len(rows) for rows in self._model.seen)


@pytest.fixture
def many(panel):
    counts = np.random.default_rng(0).poisson(0.7, (1000, 12)).astype(np.float32)
    return Cells(sp.csr_matrix(counts), panel, np.arange(1000).astype(np.str_))


def test_time_is_that_of_a_cell_times_all(model, many, monkeypatch):
    monkeypatch.setattr(module, "time", Clock(model))
    found = estimate(many, model, replace(CONFIG, batch_size=20), limit=5.0)
    assert found.seconds == pytest.approx(100.0, rel=0.5)
    assert sum(len(rows) for rows in model.seen) <= 70


def test_a_small_section_is_timed_whole(model, cells, monkeypatch):
    monkeypatch.setattr(module, "time", Clock(model))
    assert estimate(cells, model, CONFIG, limit=1e6).seconds == pytest.approx(4.0)


def test_memory_grows_with_the_section_and_what_is_free_is_told(model, cells, many):
    small, large = estimate(cells, model, CONFIG), estimate(many, model, CONFIG)
    assert large.memory_bytes > small.memory_bytes
    assert large.free_bytes > 0


def test_memory_grows_with_what_is_read_and_kept(model, many, monkeypatch):
    monkeypatch.setattr(module, "_LARGEST", module._LEAST)  # the process grows as it pleases

    def memory(cells, **asked):
        return estimate(cells, model, replace(CONFIG, **asked)).memory_bytes

    labels, level_1, level_2 = (
        memory(many, attention=attention, slots=slots)
        for attention, slots in ((False, False), (True, False), (True, True))
    )
    assert level_2 - level_1 > level_1 - labels > 0
    names = (*many.panel.symbols, "unknown to the model")
    column = sp.csr_matrix(np.ones((1000, 1), np.float32))
    wider = replace(many, panel=GenePanel(names), values=sp.hstack([many.values, column], "csr"))
    assert memory(wider) == memory(many)


def test_it_can_be_cancelled(model, many):
    context = JobContext()
    context.cancel()
    with pytest.raises(JobCancelled):
        estimate(many, model, CONFIG, context=context)
