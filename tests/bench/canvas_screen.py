"""A napari window, and when what was asked of it is on the screen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from napari import Viewer
from qtpy.QtWidgets import QApplication

SIZE = (1400, 900)
QUIET = 0.4  # s without a picture after which none is expected any more


class Screen:
    """Waits for the pictures that a viewer draws once it has layers.

    napari may draw a picture, find that it wants another resolution, and draw it again; and what is
    asked for may be drawn later. Seconds are counted until Qt has put a picture on the screen.
    """

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self._drawn = False
        viewer.window._qt_window.resize(*SIZE)
        viewer.window._qt_viewer.canvas._scene_canvas.events.draw.connect(self._on_draw)
        QApplication.processEvents()

    def timed(self, work: Callable[[], object]) -> float:
        """Seconds from the beginning of some work until a picture was drawn."""
        self._drawn = False
        began = time.perf_counter()
        work()
        while not self._drawn:
            QApplication.processEvents()
        return time.perf_counter() - began

    def settled(self, work: Callable[[], object]) -> tuple[float, float]:
        """Seconds until the first picture after some work, and until the last one."""
        first = self.timed(work)
        return first, first + self.rest()

    def rest(self) -> float:
        """Wait until the window draws nothing more: seconds until its last picture, 0 for none."""
        began = last = time.perf_counter()
        while time.perf_counter() - last < QUIET:
            self._drawn = False
            QApplication.processEvents()
            if self._drawn:
                last = time.perf_counter()
            else:
                time.sleep(0.001)
        return last - began

    def _on_draw(self, event: Any) -> None:
        self._drawn = self._drawn or len(self.viewer.layers) > 0
