"""What it costs to tell of a cell, to find cells like it, and to select and compare many.

Run with ``pytest tests/bench/test_inspector.py --benchmark-only``.
"""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
import scipy.sparse as sp
from pytest_benchmark.fixture import BenchmarkFixture

from tagscope import api
from tagscope.core.area import rows_inside
from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.provenance import Provenance
from tagscope.core.results import Annotation, AnnotationResult, GeneScores, SlotScores
from tagscope.core.section import Cells, Section

CELLS, GENES, EXPRESSED, WIDTH, TYPES, SLOTS = 100_000, 500, 50, 256, 30, 8


@pytest.fixture(scope="module")
def section() -> Section:
    random = np.random.default_rng(0)
    genes = np.sort(random.integers(0, GENES, (CELLS, EXPRESSED)), axis=1).ravel()
    counts = random.integers(1, 9, len(genes)).astype(np.float32)
    starts = np.arange(0, len(genes) + 1, EXPRESSED)
    values = sp.csr_matrix((counts, genes, starts), (CELLS, GENES))
    values.sum_duplicates()
    panel = GenePanel(tuple(f"g{i}" for i in range(GENES)))
    cells = Cells(values, panel, np.arange(CELLS).astype(str))
    return Section(cells, random.uniform(0, 3000, (CELLS, 2)))


@pytest.fixture(scope="module")
def profiles(section: Section) -> api.CellProfiles:
    random = np.random.default_rng(1)
    annotation = Annotation(
        section.ids,
        LabelSet(tuple(f"type {i}" for i in range(TYPES))),
        random.dirichlet(np.ones(TYPES), CELLS).astype(np.float32),
        random.normal(size=(CELLS, WIDTH)).astype(np.float32),
    )
    scores = section.cells.values.tocsc()
    memory = SlotScores(section.ids, section.panel, (scores * (1 / SLOTS),) * SLOTS)
    attention = GeneScores(section.ids, section.panel, scores)
    result = AnnotationResult("bench", annotation, attention, memory, Provenance("annotate", {}))
    return api.CellProfiles(section, result)


def test_telling_of_a_cell(benchmark: BenchmarkFixture, profiles: api.CellProfiles) -> None:
    rows = count(0, 7919)
    benchmark(lambda: profiles.of_cell(next(rows) % CELLS))


def test_finding_cells_like_one(benchmark: BenchmarkFixture, profiles: api.CellProfiles) -> None:
    benchmark(lambda: profiles.like(5))


def test_comparing_half_of_the_cells(
    benchmark: BenchmarkFixture, profiles: api.CellProfiles
) -> None:
    benchmark.pedantic(lambda: profiles.of_cells(np.arange(0, CELLS, 2)), rounds=3)


def test_selecting_by_a_lasso(benchmark: BenchmarkFixture, section: Section) -> None:
    angle = np.linspace(0, 2 * np.pi, 500, endpoint=False)
    reach = 1200 * (1 + 0.1 * np.sin(9 * angle))
    ring = 1500 + reach[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    benchmark(lambda: rows_inside(section.xy, ring))
