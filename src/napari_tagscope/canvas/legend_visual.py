"""How napari's canvas draws the legend; this and ``area_visual`` touch napari's private side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari._vispy.overlays.base import ViewerOverlayMixin, VispyCanvasOverlay
from napari._vispy.utils.visual import overlay_to_visual
from napari._vispy.visuals.text import Text
from vispy.color import ColorArray
from vispy.scene import Node
from vispy.scene.visuals import Markers

if TYPE_CHECKING:
    from napari_tagscope.canvas.legend import LegendOverlay

FAINT = 0.4
LINE = 1.35  # distance of lines, in text heights


class LegendNode(Node):  # type: ignore[misc]
    """Swatches, names and counts, each one visual for all lines."""

    def __init__(self, font_info: Any) -> None:
        super().__init__()
        self.swatches = Markers(parent=self, antialias=0)
        self.title = Text(parent=self, font_info=font_info, bold=True)
        self.names = Text(parent=self, font_info=font_info)
        self.counts = Text(parent=self, font_info=font_info)
        self.title.anchors = self.names.anchors = ("left", "center")
        self.counts.anchors = ("right", "center")

    def set_gl_state(self, *args: Any, **kwargs: Any) -> None:
        """Pass napari's blending to the visuals."""
        for visual in (self.swatches, self.title, self.names, self.counts):
            visual.set_gl_state(*args, **kwargs)

    def lay_out(self, overlay: LegendOverlay, ink: npt.NDArray[np.float32]) -> tuple[float, float]:
        """Lay out the lines in ``ink`` (RGBA); returns width and height in screen pixels."""
        entries = overlay.entries
        self.title.text = overlay.title
        self.names.text = [entry.name for entry in entries]
        if overlay.more:
            self.names.text = [entry.name for entry in entries] + [f"+{overlay.more} more"]
        self.counts.text = [f"{entry.count:,}" for entry in entries]
        for text in (self.title, self.names, self.counts):
            text.font_size = overlay.font_size
        height = self.names.get_line_height()
        left = 1.4 * height
        count_width = self.counts.get_width_height()[0]
        right = left + self.names.get_width_height()[0] + height + count_width
        width = max(right, self.title.get_width_height()[0])
        y = (np.arange(len(self.names.text)) + (1.6 if overlay.title else 0.5)) * LINE * height
        self.title.pos = (0, 0.5 * LINE * height)
        self.names.pos = np.stack([np.full(len(y), left), y], axis=1)
        self.counts.pos = np.stack([np.full(len(entries), width), y[: len(entries)]], axis=1)
        self._color(overlay, ink, np.stack([np.full(len(y), height / 2), y], axis=1), height)
        return width, float(y[-1] + 0.5 * LINE * height)

    def _color(
        self,
        overlay: LegendOverlay,
        ink: npt.NDArray[np.float32],
        places: npt.NDArray[np.float64],
        height: float,
    ) -> None:
        faint = np.array([entry.faint for entry in overlay.entries])
        inks = np.tile(ink, (len(faint), 1))
        inks[faint, 3] *= FAINT
        colors = ColorArray([entry.color for entry in overlay.entries]).rgba
        colors[faint, 3] *= FAINT
        self.title.color = ink
        self.counts.color = inks
        self.names.color = np.vstack([inks, np.tile(ink, (len(places) - len(inks), 1))])
        self.swatches.set_data(
            places[: len(faint)],
            symbol="square",
            size=0.8 * height,
            edge_width=0,
            face_color=colors,
        )


class VispyLegend(ViewerOverlayMixin, VispyCanvasOverlay):  # type: ignore[misc]
    """Draws a :class:`LegendOverlay` whenever its entries change."""

    def __init__(self, *, font_info: Any, **kwargs: Any) -> None:
        super().__init__(node=LegendNode(font_info), font_info=font_info, **kwargs)
        self.overlay.events.entries.connect(self._on_entries_change)
        self.overlay.events.font_size.connect(self._on_entries_change)
        self.viewer.canvas.events.background_color.connect(self._on_entries_change)
        self.reset()
        self._on_entries_change()

    def _on_entries_change(self) -> None:
        if self.overlay.entries:
            ink = np.asarray(self._get_fgcolor(), dtype=np.float32)
            self.x_size, self.y_size = self.node.lay_out(self.overlay, ink)
        self._on_position_change()

    def _on_visible_change(self) -> None:
        super()._on_visible_change()
        self._on_position_change()


def register(overlay_class: type[LegendOverlay]) -> None:
    """Tell napari how to draw the legend."""
    overlay_to_visual[overlay_class] = VispyLegend
