"""What stands over a painting of numbers, and at its colour bar."""

from __future__ import annotations

from typing import Any

from napari.components.overlays import CanvasOverlay
from napari.layers import Layer

try:
    from napari_tagscope.canvas import caption_visual

    DRAWN = True
except ImportError:  # napari's drawing side is private; without it napari's own name remains
    DRAWN = False

CAPTION, UNIT = "tagscope_caption", "tagscope_unit"


class CaptionOverlay(CanvasOverlay):  # type: ignore[misc]
    """What napari's canvas draws: the layer's name where ``titled``, and ``text``, smaller."""

    titled: bool = True
    text: str = ""
    position: Any = "top_left"


class UnitOverlay(CaptionOverlay):
    """The unit of a colour bar, above it."""

    titled: bool = False
    position: Any = "bottom_right"


def add_caption(layer: Layer, facts: str, unit: str) -> None:
    """Say over a layer's picture what it shows, and at its colour bar in which unit."""
    if not DRAWN:
        layer.name_overlay.visible = True
        return
    for key, kind, text in ((CAPTION, CaptionOverlay, facts), (UNIT, UnitOverlay, unit)):
        if key in layer._overlays:
            layer._overlays[key].text = text
        elif text or kind is CaptionOverlay:
            caption_visual.register(kind)
            layer._overlays[key] = kind(text=text, visible=True)


def show_caption(layer: Layer, shown: bool) -> None:
    """Draw what :meth:`add_caption` added, or not."""
    for key in (CAPTION, UNIT):
        if key in layer._overlays:
            layer._overlays[key].visible = shown
