"""How napari's canvas draws an area that is being made, on napari's private side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari._vispy.overlays.base import ViewerOverlayMixin, VispySceneOverlay
from napari._vispy.utils.visual import overlay_to_visual
from vispy.scene.visuals import Compound, Line

if TYPE_CHECKING:
    from napari_tagscope.canvas.selecting import AreaOverlay


class VispyArea(ViewerOverlayMixin, VispySceneOverlay):  # type: ignore[misc]
    """Draws an :class:`AreaOverlay` as a closed line, white within black: seen on any colour."""

    def __init__(self, **kwargs: Any) -> None:
        places = np.zeros((2, 2))
        self._lines = [
            Line(pos=places, color=color, width=width, method="gl", antialias=True)
            for color, width in (("black", 4), ("white", 2))
        ]
        super().__init__(node=Compound(self._lines), **kwargs)
        self.overlay.events.corners.connect(self._on_corners_change)
        self.reset()
        self._on_corners_change()

    def close(self) -> None:
        """Leave the canvas."""
        self.overlay.events.corners.disconnect(self._on_corners_change)
        super().close()

    def _on_corners_change(self) -> None:
        corners = self.overlay.corners
        if len(corners) > 1:
            ring = np.array([*corners, corners[0]], dtype=np.float32)
            for line in self._lines:
                line.set_data(pos=ring)


def register(overlay_class: type[AreaOverlay]) -> None:
    """Tell napari how to draw an area."""
    overlay_to_visual[overlay_class] = VispyArea
