"""How long annotating takes on this machine and how much memory, by a timed handful of cells."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import psutil

from tagscope.core.results import AnnotationResult
from tagscope.core.section import Cells
from tagscope.inference.annotate import AnnotateConfig, annotate
from tagscope.jobs import JobContext
from tagscope.models.base import CellModel

_FIRST, _FEW = 8, 32  # cells
_SPENT = 0.8  # of the time that is left
_LEAST = 0.5  # of the mean time per cell that the last ones may be thought to take
# What lies in memory beside the scores at the worst moment, per byte of them: they are gathered,
# then copied column by column.
_COPIES = 2.0
_BYTES_PER_VALUE = 40  # tokens, genes and their order, per stored value
_BATCH_BYTES = 300e6  # arrays of one batch, and what the process keeps of freed ones


@dataclass(frozen=True)
class Estimate:
    """``seconds`` and ``memory_bytes`` that annotating takes beyond what is taken now;
    ``free_bytes``: what the machine has left."""

    seconds: float
    memory_bytes: int
    free_bytes: int


def estimate(
    cells: Cells,
    model: CellModel,
    config: AnnotateConfig,
    *,
    limit: float = 1.0,
    context: JobContext | None = None,
) -> Estimate:
    """Annotate some cells, drawn at random, for about ``limit`` seconds, and reckon from them.

    ``context`` hears ``step("timing some cells", cells, N)``; a cancel is answered between
    two runs.
    """
    context = context or JobContext()
    order = np.random.default_rng(0).permutation(len(cells))
    began = time.monotonic()
    _timed(cells.take(order[:_FIRST]), model, config)  # the first run is slower than any other
    context.step("timing some cells", _FIRST, len(cells))
    few = min(_FEW, len(cells))
    taken, result = _timed(cells.take(order[:few]), model, config)
    context.step("timing some cells", few, len(cells))
    seconds, count, per_cell = taken, few, taken / few
    left = limit - (time.monotonic() - began)
    many = min(len(cells), int(_SPENT * left / per_cell))
    if (
        many > 2 * few
    ):  # what every run takes, however few its cells are, falls out of the difference
        seconds, result = _timed(cells.take(order[:many]), model, config)
        count = many
        per_cell = max((seconds - taken) / (many - few), _LEAST * seconds / many)
    seconds += per_cell * (len(cells) - count)
    free = int(psutil.virtual_memory().available)
    return Estimate(seconds, _memory(cells, result, count), free)


def _timed(
    cells: Cells, model: CellModel, config: AnnotateConfig
) -> tuple[float, AnnotationResult]:
    began = time.monotonic()
    result = annotate(cells, model, config)
    return time.monotonic() - began, result


def _memory(cells: Cells, result: AnnotationResult, count: int) -> int:
    """Bytes that a result for all cells takes while it is made."""
    annotation = result.annotation
    plain = annotation.probabilities.nbytes + annotation.embedding.nbytes
    matrices = [] if result.gene_scores is None else [result.gene_scores.scores]
    matrices += [] if result.slot_scores is None else [*result.slot_scores.scores]
    scores = sum(matrix.data.nbytes + matrix.indices.nbytes for matrix in matrices)
    whole = (plain + _COPIES * scores) * len(cells) / count
    return int(whole + _BYTES_PER_VALUE * cells.values.nnz + _BATCH_BYTES)
