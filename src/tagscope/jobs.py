"""Progress, partial results and cancelling, for every long engine function.

An engine function takes a :class:`JobContext` and calls :meth:`JobContext.step` once a batch or
epoch. Whoever started the job listens (the command line draws a bar, the window repaints) and may
cancel from any thread; the function then leaves by :class:`JobCancelled` at its next step.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


class JobCancelled(Exception):  # noqa: N818 - not an error: somebody asked for it
    """The job was cancelled by its owner."""


@dataclass(frozen=True)
class Progress:
    """One report of a running job.

    ``done`` of ``total`` in the units of the stage (cells, epochs); ``seconds`` since the stage's
    first report, with ``already`` done then: by an earlier sitting, or before the pace changed;
    ``partial`` is whatever the verb documents as its partial result.
    """

    stage: str
    done: int
    total: int
    seconds: float = 0.0
    partial: Any = None
    already: int = 0

    @property
    def fraction(self) -> float:
        """Share of the stage that is done, 0 to 1."""
        return self.done / self.total if self.total else 1.0

    @property
    def rate(self) -> float:
        """Units per second since the stage began, 0 while unknown."""
        return (self.done - self.already) / self.seconds if self.seconds > 0 else 0.0

    @property
    def remaining_seconds(self) -> float | None:
        """Estimated seconds left in this stage, or None while unknown."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None


def _ignore(progress: Progress) -> None:
    """Listen to nothing."""


@dataclass
class JobContext:
    """The thread-safe link between a job and its owner."""

    on_progress: Callable[[Progress], None] = _ignore
    _cancelled: threading.Event = field(default_factory=threading.Event, repr=False)
    _began: dict[str, tuple[float, int]] = field(default_factory=dict, repr=False)

    def cancel(self) -> None:
        """Ask the job to stop at its next step. May be called from any thread."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether somebody has asked the job to stop."""
        return self._cancelled.is_set()

    def step(self, stage: str, done: int, total: int, partial: Any = None) -> None:
        """Report ``done`` of ``total`` in ``stage``.

        Raises
        ------
        JobCancelled
            If :meth:`cancel` was called.
        """
        if self.cancelled:
            raise JobCancelled(stage)
        now = time.monotonic()
        began, already = self._began.setdefault(stage, (now, done))
        self.on_progress(Progress(stage, done, total, now - began, partial, already))

    def change_pace(self, stage: str) -> None:
        """What follows in ``stage`` takes longer or shorter: reckon its pace from here on."""
        self._began.pop(stage, None)
