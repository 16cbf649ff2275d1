"""How napari's canvas draws lines over the cells, on napari's private side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari._vispy.overlays.base import ViewerOverlayMixin, VispySceneOverlay
from napari._vispy.utils.visual import overlay_to_visual
from vispy.scene.visuals import Compound, Line

if TYPE_CHECKING:
    from napari_tagscope.canvas.lines import LinesOverlay


WIDTHS = 3.5, 1.5  # pixels on the screen, of the ground and of the ink
BLACK, WHITE = (0.0, 0.0, 0.0, 0.8), (1.0, 1.0, 1.0, 0.9)


class VispyLines(ViewerOverlayMixin, VispySceneOverlay):  # type: ignore[misc]
    """Draws a :class:`LinesOverlay` in the canvas's ink within its ground: seen on any colour."""

    def __init__(self, **kwargs: Any) -> None:
        nowhere = np.zeros((2, 2), np.float32)
        self._lines = [
            Line(pos=nowhere, width=width, connect="segments", method="gl") for width in WIDTHS
        ]
        super().__init__(node=Compound(self._lines), **kwargs)
        self.overlay.events.changes.connect(self._on_changes)
        self.reset()
        self._on_changes()

    def close(self) -> None:
        """Leave the canvas."""
        self.overlay.events.changes.disconnect(self._on_changes)
        super().close()

    def _on_changes(self) -> None:
        corners = self.overlay.lines.segments.reshape(-1, 2)
        colors = (BLACK, WHITE) if self.overlay.lines.dark else (WHITE, BLACK)
        if len(corners):
            for line, color in zip(self._lines, colors, strict=True):
                line.set_data(pos=corners, color=color)


def register(overlay_class: type[LinesOverlay]) -> None:
    """Tell napari how to draw lines."""
    overlay_to_visual[overlay_class] = VispyLines
