"""Lines over the cells, such as outlines of domains: one overlay of the scene, no layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from napari.components import ViewerModel
from napari.components.overlays import SceneOverlay

try:
    from napari_tagscope.canvas import lines_visual

    DRAWN = True
except ImportError:  # napari's drawing side is private; without it lines are not seen
    DRAWN = False

Segments = npt.NDArray[np.float32]


class LinesOverlay(SceneOverlay):  # type: ignore[misc]
    """What napari's canvas draws: the segments of ``lines``, anew whenever ``changes`` changes."""

    lines: Any
    changes: int = 0


class LinesOverCells:
    """Lines that are drawn over everything, in every picture side by side.

    ``segments`` (S, 2, 2) float32 are pairs of x, y in world coordinates. On a ``dark`` canvas they
    are white within black, else black within white.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._key = f"tagscope_lines_{id(self):x}"
        self._overlay: LinesOverlay | None = None
        self.segments: Segments = np.zeros((0, 2, 2), np.float32)
        viewer.canvas.events.background_color.connect(self._on_canvas_color)

    @property
    def dark(self) -> bool:
        """Whether lines are seen on a dark canvas."""
        return bool(np.mean(np.asarray(self._viewer.canvas.background_color)[:3]) < 0.5)

    def stop(self) -> None:
        """Draw no lines, and follow the canvas's colour no more."""
        self.show(None)
        self._viewer.canvas.events.background_color.disconnect(self._on_canvas_color)

    def show(self, segments: Segments | None) -> None:
        """Draw segments in place of those before; none, or None, takes them away."""
        self.segments = np.zeros((0, 2, 2), np.float32) if segments is None else segments
        overlays = self._viewer.scene.overlays
        if not len(self.segments):
            if self._overlay is not None:
                self._overlay = None
                overlays.pop(self._key, None)
        elif self._overlay is not None:
            self._overlay.changes += 1
        elif DRAWN:
            lines_visual.register(LinesOverlay)
            self._overlay = LinesOverlay(lines=self, visible=True, blending="translucent_no_depth")
            overlays[self._key] = self._overlay

    def _on_canvas_color(self) -> None:
        self.show(self.segments)
