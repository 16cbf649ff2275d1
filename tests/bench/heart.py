"""How long a window does not answer: the gaps between the beats of a timer in its event loop."""

from __future__ import annotations

import time

import numpy as np
from qtpy.QtCore import QTimer

EVERY = 5  # ms


class Heart:
    """Beats every few milliseconds while the window answers; ``gaps`` in seconds."""

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self._last = 0.0
        self._timer = QTimer()
        self._timer.timeout.connect(self._beat)

    def start(self) -> None:
        """Begin to listen, with nothing heard yet."""
        self.gaps.clear()
        self._last = time.perf_counter()
        self._timer.start(EVERY)

    def stop(self) -> None:
        """Listen no more; a gap that is still open counts."""
        self._beat()
        self._timer.stop()

    @property
    def longest(self) -> float:
        """The longest gap, s."""
        return max(self.gaps, default=0.0)

    def percentile(self, share: float) -> float:
        """The gap that ``share`` percent of the time waited no longer than, s."""
        gaps = np.sort(self.gaps)
        waited = np.cumsum(gaps) / gaps.sum()
        return float(gaps[np.searchsorted(waited, share / 100)])

    def _beat(self) -> None:
        now = time.perf_counter()
        self.gaps.append(now - self._last)
        self._last = now
