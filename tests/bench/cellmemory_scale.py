"""A section of 300,000 cells annotated with attention and slots: memory and speed over time.

    python tests/bench/cellmemory_scale.py [--cells 300000] [--recipe published]

Poisson counts over 300 genes, about 90 of them expressed in a cell; random weights. Prints markdown
tables and ends with an error where memory passes ``--limit`` GB.
"""

from __future__ import annotations

import argparse
import resource
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
import torch
from anndata import AnnData

from measuring import machine, peak_so_far, table
from tagscope.core.labels import LabelSet
from tagscope.core.results import AnnotationResult
from tagscope.core.section import Cells
from tagscope.inference.annotate import AnnotateConfig, annotate
from tagscope.jobs import JobCancelled, JobContext, Progress
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.model import CellMemory
from tagscope.models.cellmemory.network import CellMemoryNetwork
from tagscope.models.preprocessing import Preprocessing
from tagscope.training.cellmemory import default_model
from tagscope.training.recipe import TrainConfig, recipe_of
from timed_model import panel

GENES, LABELS, EXPRESSED = 300, 20, 90
ATTENTION_AND_SLOTS = AnnotateConfig(attention=True, slots=True, device="cpu")
_BLOCK = 20_000
_MANY, _CANCELS = 20_000, 5


@dataclass(frozen=True)
class Moment:
    """A step of the job: seconds since its start, processor seconds, stage, cells, bytes held."""

    seconds: float
    processor: float
    stage: str
    done: int
    held: int


def simulate(count: int, seed: int = 0) -> Cells:
    """Poisson counts, (count, GENES): gene rates log-normal, cell depths gamma."""
    rng = np.random.default_rng(seed)
    rates = rng.lognormal(0, 1.5, GENES)
    rates *= _scale(rates, rng.gamma(6.25, 1 / 6.25, 2_000))
    blocks = []
    for start in range(0, count, _BLOCK):
        depths = rng.gamma(6.25, 1 / 6.25, min(_BLOCK, count - start))
        blocks.append(sp.csr_matrix(rng.poisson(depths[:, None] * rates).astype(np.float32)))
    ids = np.char.add("cell ", np.arange(count).astype(str))
    return Cells(sp.vstack(blocks, format="csr"), panel(GENES), ids)


def _scale(rates: npt.NDArray[np.float64], depths: npt.NDArray[np.float64]) -> float:
    """Factor of all rates at which a cell expresses EXPRESSED genes on average, by bisection."""
    low, high = 1e-6, 1e6
    for _ in range(60):
        middle = (low * high) ** 0.5
        expressed = (1 - np.exp(-middle * depths[:, None] * rates)).sum(axis=1).mean()
        low, high = (middle, high) if expressed < EXPRESSED else (low, middle)
    return low


def random_model(config: CellMemoryConfig) -> CellMemory:
    """A network nobody trained."""
    torch.manual_seed(7)
    labels = LabelSet(tuple(f"type {i}" for i in range(LABELS)))
    return CellMemory(
        CellMemoryNetwork(config, GENES, LABELS), panel(GENES), labels, Preprocessing()
    )


def watched(cells: Cells, model: CellMemory) -> tuple[AnnotationResult, list[Moment]]:
    """Annotate all cells; the job's steps, and its end."""
    began, processor = time.monotonic(), time.process_time()
    moments: list[Moment] = []

    def listen(progress: Progress) -> None:
        moments.append(moment(progress.stage, progress.done))

    def moment(stage: str, done: int) -> Moment:
        passed = time.monotonic() - began
        return Moment(passed, time.process_time() - processor, stage, done, memory_held())

    result = annotate(cells, model, ATTENTION_AND_SLOTS, context=JobContext(listen))
    moments.append(moment("end", len(cells)))
    return result, moments


def memory_held() -> int:
    """Memory of this process now, in bytes (its peak where the system does not tell)."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return int(peak_so_far())


def latency(cells: Cells, model: CellMemory, share: float | None) -> float:
    """Seconds from a cancel to its answer, asked for once ``share`` of the cells is done.

    Another thread cancels at a moment that is not the job's own. None cancels while genes are read.
    """
    due, asked = threading.Event(), []

    def listen(progress: Progress) -> None:
        reading = progress.stage == "reading genes"
        if reading if share is None else not reading and progress.done >= share * len(cells):
            due.set()

    context = JobContext(listen)

    def cancel() -> None:
        due.wait()
        time.sleep(0.05)
        asked.append(time.monotonic())
        context.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        annotate(cells, model, ATTENTION_AND_SLOTS, context=context)
    except JobCancelled:
        return time.monotonic() - asked[0]
    finally:
        due.set()
        thread.join()
    raise RuntimeError("the job ended before it was cancelled; give more --cells")


def stages(cells: Cells, moments: list[Moment]) -> Iterator[tuple[object, ...]]:
    """Name, seconds, processor seconds, cells per second and GB held at the end of every stage."""
    annotating = [moment for moment in moments if moment.stage == "annotating"]
    yield _row("reading genes", moments[0], annotating[0], len(cells))
    before = annotating[0]
    for part, name in enumerate(("first", "middle", "last"), start=1):
        until = next(m for m in annotating if m.done * 3 >= part * len(cells))
        yield _row(f"annotating, {name} third", before, until, until.done - before.done)
        before = until
    yield _row("gathering scores", annotating[-1], moments[-1], len(cells))


def _row(name: str, start: Moment, end: Moment, cells: int) -> tuple[object, ...]:
    seconds, processor = end.seconds - start.seconds, end.processor - start.processor
    return name, seconds, processor, cells / seconds, cells / processor, end.held / 1e9


def growth(moments: list[Moment]) -> float:
    """GB that memory grew by over the last nine tenths of the cells."""
    annotating = [moment for moment in moments if moment.stage == "annotating"]
    early = next(m for m in annotating if m.done * 10 >= annotating[-1].done)
    return (annotating[-1].held - early.held) / 1e9


def write(result: AnnotationResult, cells: Cells) -> tuple[object, ...]:
    """Write the result into a table of the same cells: a row as of :func:`stages`."""
    names = pd.Index(cells.panel.symbols)
    into = AnnData(cells.values, pd.DataFrame(index=cells.ids), pd.DataFrame(index=names))
    start = Moment(time.monotonic(), time.process_time(), "", 0, 0)
    result.write_to(into)
    end = Moment(time.monotonic(), time.process_time(), "", 0, memory_held())
    return _row(f"write_to, {len(into.layers)} layers", start, end, len(cells))


def report(cells: Cells, model: CellMemory) -> None:
    """Annotate, write, cancel; print what it took."""
    held = memory_held()
    result, moments = watched(cells, model)
    rows = [*stages(cells, moments), write(result, cells)]
    del result
    table("A section annotated with attention and slots",
          ("stage", "seconds", "processor s", "cells/s", "cells per processor s",
           "GB held at its end"), rows)  # fmt: skip
    gaps = np.diff([moment.seconds for moment in moments if moment.stage == "annotating"])
    few = cells.take(np.arange(min(_MANY, len(cells))))
    waits = [latency(few, model, share) for share in np.linspace(0.1, 0.8, _CANCELS)]
    table("Memory and cancelling", ("what", "value"), (
        ("cells", len(cells)),
        ("genes expressed in a cell", cells.values.nnz / len(cells)),
        ("held before the job, GB", held / 1e9),
        ("peak of the process, GB", peak_so_far() / 1e9),
        ("growth over the last nine tenths of the cells, GB", growth(moments)),
        ("longest time between two reports while annotating, s", float(gaps.max())),
        (f"cancel while annotating, {_CANCELS} times, longest, s", max(waits)),
        ("cancel while genes are read, s", latency(cells, model, None)),
    ))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=300_000)
    parser.add_argument("--recipe", default="default", choices=("default", "published"))
    parser.add_argument("--limit", type=float, default=24.0, help="GB this process may hold")
    chosen = parser.parse_args()
    config = default_model(recipe_of(TrainConfig(recipe=chosen.recipe)))
    print(f"{machine(torch.device('cpu'))}\n{config}")
    report(simulate(chosen.cells), random_model(config))
    print(f"\n{machine(torch.device('cpu'))}")
    if peak_so_far() > chosen.limit * 1e9:
        raise SystemExit(f"memory passed {chosen.limit} GB")


if __name__ == "__main__":
    main()
