"""CellMemory's speed beside the published mathematics done plainly.

Run with ``pytest tests/bench/test_cellmemory_speed.py --benchmark-only``; the script
``cellmemory_speed.py`` measures more, both sides in turns. What it measures with is tested in every
run.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from cellmemory_cases import (
    Case,
    Settings,
    annotate_ours,
    draw_cells,
    networks,
    run_ours,
    run_plain,
)
from measuring import Run, Turns, in_turns, rate, speed_up
from plain_cellmemory import bin_cells
from roofline import count
from tagscope.models.cellmemory.tokenise import quantile_bins
from timed_model import cells_of
from training_speed import training

CPU = torch.device("cpu")
CASES = [
    Case(genes, mode, share, cells)
    for genes, share, cells in ((300, 0.30, 140), (1000, 0.20, 70), (3000, 0.12, 28))
    for mode in ("expressed", "full")
]
SMALL = {"width": 32, "ffn": 64, "layers": 2}


@pytest.mark.parametrize("side", ["plain", "TAGscope"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_annotation_with_attention(benchmark: BenchmarkFixture, case: Case, side: str) -> None:
    benchmark.group = str(case)
    config = case.config("published" if side == "plain" else "none")
    plain, ours = networks(config, case.genes, CPU)
    run = {
        "plain": partial(run_plain, case, plain, config, CPU),
        "TAGscope": partial(annotate_ours, case, ours, CPU),
    }[side]
    benchmark.pedantic(run, rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("side", ["plain", "TAGscope"])
@pytest.mark.parametrize("counts", [True, False], ids=["counts", "log values"])
def test_binning(benchmark: BenchmarkFixture, counts: bool, side: str) -> None:
    benchmark.group = f"quantile bins of {'counts' if counts else 'log values'}"
    matrix = cells_of(draw_cells(300, 1 / 3, 5_000), counts=counts).values
    if side == "plain":
        benchmark(lambda: bin_cells(matrix.toarray(), 50))
    else:
        benchmark(quantile_bins, matrix, 50)


@pytest.mark.parametrize("mode", ["expressed", "full"])
def test_all_ways_give_the_same_answer(mode: str) -> None:
    case = Case(60, mode, 0.3, 30)
    config = case.config("published", **SMALL)
    plain, ours = networks(config, case.genes, CPU)
    wanted = run_plain(case, plain, config, CPU)
    for found in (run_ours(case, ours, CPU), annotate_ours(case, ours, CPU)):
        assert 0 < found.seconds["network"] <= found.seconds.get("all", np.inf)
        for part in ("probabilities", "embedding", "gene_scores"):
            got, expected = getattr(found.answer, part), getattr(wanted.answer, part)
            np.testing.assert_allclose(got, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("mode", ["expressed", "full"])
def test_every_side_trains(mode: str) -> None:
    case = Case(60, mode, 0.3, 20)
    settings = Settings(Turns(CPU, rounds=1, seconds=60), (case,), SMALL, quick=True)
    runs = training(case, 10, SMALL, settings)
    ours = ["TAGscope, published", "TAGscope", "TAGscope, own loop"]
    assert list(runs) == ["plain", "plain, memory kept", *ours]
    assert all(run.seconds["all"] > 0 for of_side in runs.values() for run in of_side)
    assert np.isfinite(runs["TAGscope, own loop"][0].answer)


def test_drawn_cells_are_like_a_section() -> None:
    sample = draw_cells(300, 0.3, 4_000)
    lengths, values = sample.lengths, sample.toarray()
    assert lengths.mean() == pytest.approx(90, rel=0.05)
    assert 0.28 < lengths.std() / lengths.mean() < 0.47
    assert lengths.max() <= sample.longest <= 2.5 * 90
    np.testing.assert_array_equal((values > 0).sum(1), lengths)
    detected = (values > 0).mean(0)
    assert detected.min() < 0.1
    assert detected.max() > 0.7
    few = draw_cells(300, 0.3, 10)
    assert few.longest == sample.longest  # the section's, however few cells are read


def test_work_is_counted_from_shapes() -> None:
    a, b = torch.randn(30, 40), torch.randn(40, 50)
    work = count(lambda: a @ b)
    assert work.flops == 2 * 30 * 40 * 50
    assert work.bytes == 4 * (30 * 40 + 40 * 50 + 30 * 50)
    assert count(lambda: a.t()[3:].unsqueeze(0)).bytes == 0
    once = torch.randn(1, 40).expand(1000, 40)
    assert count(lambda: once.contiguous()).bytes == 4 * (40 + 1000 * 40)


def test_sides_take_turns() -> None:
    order: list[str] = []

    def run(name: str, seconds: float) -> Run:
        order.append(name)
        return Run(name, {"all": seconds})

    sides = {"slow": partial(run, "slow", 2.0), "quick": partial(run, "quick", 0.5)}
    runs = in_turns(sides, Turns(CPU, rounds=3, seconds=60))
    assert order == ["slow", "quick"] * 3
    assert rate(runs["quick"], "all", cells=10) == 20
    assert speed_up(runs, "quick", "slow", "all") == 4
    assert len(in_turns(sides, Turns(CPU, rounds=9, seconds=0))["slow"]) == 2
