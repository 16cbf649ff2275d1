"""Progress on the command line: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from tagscope.jobs import Progress

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def report_progress() -> Iterator[Callable[[Progress], None]]:
    """Yield a listener for a :class:`~tagscope.jobs.JobContext`; close its bar at the end."""
    reporter = _Bar() if sys.stderr.isatty() else _Lines()
    try:
        yield reporter
    finally:
        reporter.close()


class _Bar:
    def __init__(self) -> None:
        self._bar: tqdm[None] | None = None
        self._stage = ""

    def __call__(self, progress: Progress) -> None:
        if self._bar is None or progress.stage != self._stage:
            self.close()
            self._stage = progress.stage
            self._bar = tqdm(total=progress.total, desc=progress.stage, file=sys.stderr)
        self._bar.total = progress.total
        self._bar.update(progress.done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class _Lines:
    def __init__(self) -> None:
        self._stage = ""
        self._last = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        finished = progress.done >= progress.total
        if (
            progress.stage == self._stage
            and not finished
            and now - self._last < (SECONDS_BETWEEN_LINES)
        ):
            return
        self._stage, self._last = progress.stage, now
        left = progress.remaining_seconds
        time_left = f", {left:.0f} s left" if left is not None and not finished else ""
        print(
            f"{progress.stage}: {progress.done:,} of {progress.total:,}{time_left}",
            file=sys.stderr,
            flush=True,
        )

    def close(self) -> None:
        """Nothing is open."""
