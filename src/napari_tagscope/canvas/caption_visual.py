"""How napari's canvas draws captions; like ``legend_visual`` this touches napari's private side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari._vispy.overlays.base import LayerOverlayMixin, VispyCanvasOverlay
from napari._vispy.utils.visual import overlay_to_visual
from napari._vispy.visuals.text import Text
from vispy.scene import Node

if TYPE_CHECKING:
    from napari_tagscope.canvas.caption import CaptionOverlay

TITLE, FACTS = 10.0, 8.0  # font sizes
LINE = 1.25  # distance of lines, in text heights
DIM = 0.8  # opacity of what stands below the title


class CaptionNode(Node):  # type: ignore[misc]
    """Lines of text from the top, aligned at the left where there is a title."""

    def __init__(self, font_info: Any, titled: bool) -> None:
        super().__init__()
        self.lines = [Text(parent=self, font_info=font_info, bold=True)] if titled else []
        self.lines.append(Text(parent=self, font_info=font_info))
        self._side = "left" if titled else "right"
        for line in self.lines:
            line.anchors = (self._side, "center")

    def set_gl_state(self, *args: Any, **kwargs: Any) -> None:
        """Pass napari's blending to the visuals."""
        for line in self.lines:
            line.set_gl_state(*args, **kwargs)

    def lay_out(self, texts: list[str], ink: Any) -> tuple[float, float]:
        """Lay out the last lines' ``texts`` in ``ink`` (RGBA); returns width and height, pixels."""
        faint = np.array([*ink[:3], ink[3] * DIM])
        y, widths = 0.0, [0.0]
        for line, text in zip(self.lines, texts, strict=True):
            line.text = text
            line.visible = bool(text)
            line.font_size, line.color = (FACTS, faint) if line is self.lines[-1] else (TITLE, ink)
            if text:
                widths.append(line.get_width_height()[0])
                height = LINE * line.get_line_height()
                line.pos = (0.0 if self._side == "left" else max(widths), y + height / 2)
                y += height
        return max(widths), y


class VispyCaption(LayerOverlayMixin, VispyCanvasOverlay):  # type: ignore[misc]
    """Draws a :class:`CaptionOverlay` whenever its text or the layer's name changes."""

    def __init__(self, *, overlay: CaptionOverlay, font_info: Any, **kwargs: Any) -> None:
        node = CaptionNode(font_info, overlay.titled)
        super().__init__(overlay=overlay, node=node, font_info=font_info, **kwargs)
        overlay.events.text.connect(self._on_text_change)
        self.layer.events.name.connect(self._on_text_change)
        self.viewer.canvas.events.background_color.connect(self._on_text_change)
        self.reset()
        self._on_text_change()

    def _on_text_change(self) -> None:
        overlay = self.overlay
        texts = [self.layer.name, overlay.text] if overlay.titled else [overlay.text]
        self.x_size, self.y_size = self.node.lay_out(texts, self._get_fgcolor())
        self._on_position_change()

    def _on_visible_change(self) -> None:
        super()._on_visible_change()
        self._on_position_change()

    def close(self) -> None:
        """Follow the text no more."""
        self.overlay.events.text.disconnect(self._on_text_change)
        super().close()


def register(overlay_class: type[CaptionOverlay]) -> None:
    """Tell napari how to draw captions."""
    overlay_to_visual[overlay_class] = VispyCaption
