"""How napari's canvas draws lines over the cells, on napari's private side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari._vispy.overlays.base import ViewerOverlayMixin, VispySceneOverlay
from napari._vispy.utils.visual import overlay_to_visual
from vispy.scene.visuals import Compound, Line

if TYPE_CHECKING:
    from napari_tagscope.canvas.lines import LinesOverlay


class VispyLines(ViewerOverlayMixin, VispySceneOverlay):  # type: ignore[misc]
    """Draws a :class:`LinesOverlay`, white within black: seen on any colour."""

    def __init__(self, **kwargs: Any) -> None:
        nowhere = np.zeros((2, 2), np.float32)
        self._lines = [
            Line(pos=nowhere, color=color, width=width, connect="segments", method="gl")
            for color, width in (((0, 0, 0, 0.8), 3), ("white", 1.5))
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
        if len(corners):
            for line in self._lines:
                line.set_data(pos=corners)


def register(overlay_class: type[LinesOverlay]) -> None:
    """Tell napari how to draw lines."""
    overlay_to_visual[overlay_class] = VispyLines
