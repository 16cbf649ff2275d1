"""Which cells go through the network together, and how many at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from tagscope.errors import ArgumentError

# What one batch may take. On a CPU a batch this large stays near its caches, is worth the overhead
# of a narrow network, and is also the time a cancel has to wait.
_BYTES = {"cpu": 40 << 20, "mps": 640 << 20}
# On a card, as many as fit in this share of its free memory; more than the limit gains nothing.
_SHARE_OF_FREE = 0.5
_MOST_TOKENS = 1 << 20
# A slower machine, or a wider network, must not make a cancel wait for more than a second. Once it
# is quicker again, batches grow again.
_SLOWEST_CPU_BATCH = 0.8
_QUICK_CPU_BATCH = 0.35


class Batches:
    """Cuts cells into batches, and into smaller ones when memory or patience run out.

    Parameters
    ----------
    lengths
        Tokens per cell, (N,).
    first
        Rows to do before all others, or None.
    batch_size
        Cells per batch, or None for as many as suit the device.
    bytes_per_token
        Memory that the model takes for a token of a batch.
    """

    def __init__(
        self,
        lengths: npt.NDArray[np.int64],
        first: npt.NDArray[np.int64] | None,
        batch_size: int | None,
        device: torch.device,
        bytes_per_token: int,
    ) -> None:
        self._lengths = lengths
        self._parts = _parts(lengths, first)
        self._cells = batch_size
        self._tokens = self._most_tokens = _tokens_of(device, bytes_per_token)
        self._patient = batch_size is not None or device.type != "cpu"
        if not self._patient:  # until the first answer nobody knows how quick the machine is
            self._tokens = max(1, self._tokens // 2)
        self._position = 0
        self._least_width = 0

    def __iter__(self) -> Iterator[npt.NDArray[np.int64]]:
        """Rows of one batch after the other; a batch is yielded again until it is accepted."""
        for part in self._parts:
            self._position = 0
            while self._position < len(part):
                yield part[self._position : self._position + self._count(part)]

    def _count(self, part: npt.NDArray[np.int64]) -> int:
        if self._cells is not None:
            return self._cells
        return max(1, self._tokens // self._width(part[self._position :]))

    def _width(self, rows: npt.NDArray[np.int64]) -> int:
        """Tokens per cell of a batch that starts with the longest of ``rows``, class token too."""
        return max(int(self._lengths[rows[0]]), self._least_width) + 1

    def accept(self, rows: npt.NDArray[np.int64], width: int, seconds: float) -> None:
        """The batch is done, padded to ``width``, after ``seconds``: go on to the next.

        A model that pads further than to the longest cell is believed to go on doing so.
        """
        self._position += len(rows)
        # one column more than the longest cell may stand for its padding
        if width > self._lengths[rows].max(initial=0) + 1:
            self._least_width = width
        if self._patient:
            return
        if seconds > _SLOWEST_CPU_BATCH:
            self._tokens = max(1, self._tokens // 2)
        elif seconds < _QUICK_CPU_BATCH:
            self._tokens = min(self._most_tokens, 2 * self._tokens)

    def halve(self, rows: npt.NDArray[np.int64]) -> None:
        """The batch did not fit: try again with half of it.

        Raises
        ------
        ArgumentError
            If it was a single cell.
        """
        if len(rows) == 1:
            raise ArgumentError(
                "The device has no memory for even one cell.",
                f"One cell of {int(self._lengths[rows].max())} genes must fit beside the model.",
                "Close other programs that use the device, or annotate on the CPU.",
                {"device": "cpu"},
            )
        self._cells = None
        self._tokens = self._most_tokens = len(rows) * self._width(rows) // 2


def _tokens_of(device: torch.device, bytes_per_token: int) -> int:
    """Tokens of one batch that suit a device, padding and the class token included."""
    if device.type != "cuda":
        return max(1, _BYTES.get(device.type, _BYTES["cpu"]) // bytes_per_token)
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(_MOST_TOKENS, int(_SHARE_OF_FREE * free) // bytes_per_token))


def _parts(
    lengths: npt.NDArray[np.int64], first: npt.NDArray[np.int64] | None
) -> list[npt.NDArray[np.int64]]:
    """The rows asked for first, then the others, the longest cells of each part first."""
    asked = np.zeros(len(lengths), dtype=bool)
    if first is not None:
        asked[first] = True
    parts = (np.flatnonzero(asked), np.flatnonzero(~asked))
    return [part[np.argsort(-lengths[part], kind="stable")] for part in parts]


def out_of_memory(error: RuntimeError | MemoryError) -> bool:
    """Whether an error says that memory ran out, on any device."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return any(s in text for s in ("out of memory", "not enough memory", "allocate memory"))
