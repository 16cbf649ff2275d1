"""Embeddings of many cells, a batch after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from tagscope.jobs import JobContext
from tagscope.models.batches import Batches, out_of_memory
from tagscope.models.omnicell.model import OmniCell, Reading
from tagscope.models.omnicell.tokenise import OmniCellTokens

Floats = npt.NDArray[np.float32]
Blocks = Literal["centre", "mean", "all"]


def embedded(
    model: OmniCell,
    tokens: OmniCellTokens,
    reading: Reading,
    context: JobContext,
    *,
    blocks: Blocks = "centre",
    batch_size: int | None = None,
) -> Floats:
    """Embeddings of all cells, (N, d), or (N, C, d) with ``blocks="all"``, of length 1.

    ``context`` hears ``step("embedding", cells done, N)`` after every batch. A batch that does not
    fit in memory is halved.
    """
    device = model.network.head.device
    cells = 1 if blocks == "centre" else tokens.cells
    shape = (len(tokens), cells, model.config.width)
    found = np.zeros(shape if blocks == "all" else (shape[0], shape[2]), np.float32)
    batches = Batches(tokens.lengths, None, batch_size, device, model.bytes_per_token)
    done = 0
    context.step("embedding", done, len(tokens))
    for rows, said in _answers(model, tokens, reading, batches, cells):
        found[rows] = said if blocks == "all" else said.mean(axis=1)
        done += len(rows)
        context.step("embedding", done, len(tokens))
    return found


def _answers(
    model: OmniCell, tokens: OmniCellTokens, reading: Reading, batches: Batches, cells: int
) -> Iterator[tuple[npt.NDArray[np.int64], Floats]]:
    for rows in batches:
        began = time.monotonic()
        try:
            said = model.embed(tokens, reading, rows, cells=cells).cpu().numpy()
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            batches.halve(rows)
            continue
        batches.accept(rows, 0, time.monotonic() - began)
        yield rows, said
