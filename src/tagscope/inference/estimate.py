"""How long annotating takes on this machine and how much memory, by some that are timed."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import psutil

from tagscope.core.results import AnnotationResult
from tagscope.core.section import Cells
from tagscope.inference.annotate import AnnotateConfig, annotate
from tagscope.jobs import JobCancelled, JobContext, Progress
from tagscope.models.base import CellModel

_FIRST = 8  # cells: the first run is slower than any other, and tells how large a result is
_MOST = 4096  # cells: enough for a model to read what recurs in them once, as it does of all
# Bytes at the worst moment, as measured with 3,000 to 100,000 cells: of every value that the model
# reads its token and gene, twice while they are gathered; of every token the gene of its scores,
# and each score once and a little, since columns are made of rows one matrix after the other.
_PER_VALUE, _PER_TOKEN, _PER_SCORE = 16, 4, 5
_ARRAYS = 1.5  # of probabilities and embeddings, what batches leave between them included
# What networks take for a batch and the process keeps: as much as it grows while cells are timed,
# which is little where it had run some before, and in these bounds, since other threads work too.
_LEAST, _LARGEST = 50e6, 500e6
_MARGIN = 1.15


@dataclass(frozen=True)
class Estimate:
    """``seconds`` and ``memory_bytes`` that annotating takes beyond what is taken now;
    ``free_bytes``: what the machine has left."""

    seconds: float
    memory_bytes: int
    free_bytes: int


class _Watch:
    """Notes when how many values had been read, and ends the run after its time."""

    def __init__(self, cells: Cells, ends: float, context: JobContext) -> None:
        self._values = np.diff(cells.values.indptr)
        self._ends = ends
        self._context = context
        self.times: list[float] = []
        self.read: list[int] = []

    def hear(self, progress: Progress) -> None:
        """One step of the run.

        Raises
        ------
        JobCancelled
            If the time is over, or somebody cancelled.
        """
        self._context.step("timing some cells", progress.done, progress.total)
        now, part = time.monotonic(), progress.partial
        if part is None:
            if not self.times and progress.stage == "annotating":
                self.times, self.read = [now], [0]
            return
        self.times.append(now)
        self.read.append(self.read[-1] + int(self._values[part.rows].sum()))
        if now > self._ends:
            raise JobCancelled("the time is over")

    def seconds_for(self, values: int) -> float:
        """Seconds for a section of that many stored values; the first batch is a start as well."""
        first = 1 if len(self.times) > 2 else 0
        read = max(self.read[-1] - self.read[first], 1)
        per_value = (self.times[-1] - self.times[first]) / read
        start = self.times[first] - self.times[0] - per_value * self.read[first]
        return max(start, 0.0) + per_value * values


def estimate(
    cells: Cells,
    model: CellModel,
    config: AnnotateConfig,
    *,
    limit: float = 1.0,
    context: JobContext | None = None,
) -> Estimate:
    """Annotate cells drawn at random for ``limit`` seconds, one batch at least, and reckon on.

    ``context`` hears ``step("timing some cells", cells, N)`` after every batch.
    """
    context = context or JobContext()
    ends = time.monotonic() + limit
    before = psutil.Process().memory_info().rss
    order = np.random.default_rng(0).permutation(len(cells))[:_MOST]
    few = annotate(cells.take(order[:_FIRST]), model, config)
    sample = cells.take(order)
    watch = _Watch(sample, ends, context)
    with suppress(JobCancelled):
        annotate(sample, model, config, context=JobContext(watch.hear))
    context.step("timing some cells", len(sample), len(sample))
    grown = float(np.clip(psutil.Process().memory_info().rss - before, _LEAST, _LARGEST))
    free = int(psutil.virtual_memory().available)
    memory = int(_MARGIN * (grown + _memory(cells, model, few, sample)))
    return Estimate(watch.seconds_for(cells.values.nnz), memory, free)


def _memory(cells: Cells, model: CellModel, few: AnnotationResult, sample: Cells) -> float:
    """Bytes that all cells take, by the result of a ``few`` of them and tokens of a sample."""
    annotation = few.annotation
    arrays = annotation.probabilities.nbytes + annotation.embedding.nbytes
    whole = _ARRAYS * arrays / len(annotation.ids)
    tokens = int(model.tokenise(sample).lengths.sum()) / len(sample)
    matrices = 0 if few.gene_scores is None else 1
    matrices += 0 if few.slot_scores is None else len(few.slot_scores.scores)
    scores = (_PER_TOKEN + _PER_SCORE * matrices) * tokens if matrices else 0.0
    columns = model.vocabulary.columns_in(cells.panel)
    read = np.isin(np.arange(len(cells.panel)), columns)
    values = _PER_VALUE * np.count_nonzero(read[cells.values.indices])
    return values + (whole + scores) * len(cells)
