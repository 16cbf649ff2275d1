"""A model on its device, asked batch by batch without waiting for it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tagscope.models.base import CellBatch, CellModel, CellOutput, Tokens
from tagscope.models.batches import Batches, out_of_memory
from tagscope.models.device import reduced

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class AnswerArrays:
    """``probabilities`` (B, C), of no labels where the model knows none; ``embedding`` (B, D);
    ``scores`` (B, M, L) all that was asked for: the attention, then the slots. All float32."""

    probabilities: Floats
    embedding: Floats
    scores: Floats | None


@dataclass(frozen=True)
class Answer:
    """What the network says of ``batch``, on its way to the host until ``ready``."""

    batch: CellBatch
    probabilities: Tensor
    embedding: Tensor
    scores: Tensor | None
    ready: torch.cuda.Event | None = None

    def arrays(self) -> AnswerArrays:
        """The numbers, once they have arrived."""
        if self.ready is not None:
            self.ready.synchronize()
        scores = None if self.scores is None else self.scores.numpy()
        return AnswerArrays(self.probabilities.numpy(), self.embedding.numpy(), scores)


@dataclass(frozen=True)
class Network:
    """A model on ``device`` in ``precision``, and what it is asked for."""

    model: CellModel
    device: torch.device
    precision: torch.dtype
    attention: bool = False
    slots: bool = False

    @property
    def ahead(self) -> int:
        """Batches to ask for before the first answer is taken over."""
        return 1 if self.device.type == "cuda" else 0

    def ask(self, tokens: Tokens, rows: npt.NDArray[np.int64]) -> Answer | None:
        """The answer for some cells; None where memory ran out, all that it held being free."""
        try:
            batch = tokens.batch(rows)
            with torch.inference_mode(), reduced(self.precision, self.device):
                output = self.model(
                    batch.to(self.device), gene_scores=self.attention, slot_scores=self.slots
                )
                return self._fetched(batch, output)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            return None

    def free_memory(self) -> None:
        """Give cached blocks back to the device, after it ran out of memory."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        elif self.device.type == "mps":
            torch.mps.empty_cache()

    def _fetched(self, batch: CellBatch, output: CellOutput) -> Answer:
        logits = output.logits
        if logits is None:
            logits = output.embedding.new_empty(len(output.embedding), 0)
        parts = [] if output.gene_scores is None else [output.gene_scores[:, None]]
        parts += [] if output.slot_scores is None else [output.slot_scores]
        return Answer(
            batch,
            self._to_host(torch.softmax(logits.float(), dim=1)),
            self._to_host(output.embedding),
            self._to_host(torch.cat(parts, dim=1)) if parts else None,
            self._mark(),
        )

    def _to_host(self, tensor: Tensor) -> Tensor:
        if self.device.type != "cuda":
            return tensor.float().cpu()
        there = torch.empty(tensor.shape, dtype=torch.float32, pin_memory=True)
        return there.copy_(tensor, non_blocking=True)

    def _mark(self) -> torch.cuda.Event | None:
        """An event after everything asked of the device so far."""
        if self.device.type != "cuda":
            return None
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self.device))
        return event


def answers(network: Network, tokens: Tokens, batches: Batches) -> Iterator[Answer]:
    """Answers for all cells, in the order of ``batches``; one that does not fit is halved.

    On a GPU the next batch is on its way while one is taken over.
    """
    under_way: deque[Answer] = deque()
    for rows in batches:
        began = time.monotonic()
        answer = network.ask(tokens, rows)
        if answer is None:
            yield from under_way
            under_way.clear()
            network.free_memory()
            batches.halve(rows)
            continue
        batches.accept(rows, answer.batch.padding.shape[1], time.monotonic() - began)
        under_way.append(answer)
        if len(under_way) > network.ahead:
            yield under_way.popleft()
    yield from under_way
