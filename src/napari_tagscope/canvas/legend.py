"""The legend drawn on the canvas: a swatch, a name and a count per category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari.components import ViewerModel
from napari.components.overlays import CanvasOverlay

try:
    from napari_tagscope.canvas import legend_visual

    DRAWN = True
except ImportError:  # napari's drawing side is private; without it the dock's legend remains
    DRAWN = False

LONGEST_NAME = 30
MOST_ENTRIES = 20


@dataclass(frozen=True)
class LegendEntry:
    """One line: ``color`` as ``#rrggbb``, ``count`` cells; ``faint`` where it is not drawn."""

    name: str
    color: str
    count: int
    faint: bool = False


class LegendOverlay(CanvasOverlay):  # type: ignore[misc]
    """What napari's canvas draws: ``title``, ``entries``, and ``more`` categories left out."""

    title: str = ""
    entries: tuple[Any, ...] = ()
    more: int = 0
    font_size: float = 8
    position: Any = "top_left"


class Legend:
    """A legend in a corner of a viewer's canvas."""

    def __init__(self, viewer: ViewerModel, position: str = "top_left") -> None:
        self._overlays = viewer.canvas.overlays
        self.overlay = LegendOverlay(position=position)
        self.wanted = True
        self._key = f"tagscope_legend_{id(self):x}"
        if DRAWN:
            legend_visual.register(LegendOverlay)
            self._overlays[self._key] = self.overlay

    def show(self, title: str, entries: list[LegendEntry]) -> None:
        """Show the entries with the most cells, long names elided."""
        present = sorted((e for e in entries if e.count), key=lambda entry: -entry.count)
        # read as one: the drawing follows the last of the three
        self.overlay.title = elide(title)
        self.overlay.more = max(0, len(present) - MOST_ENTRIES)
        self.overlay.entries = tuple(present[:MOST_ENTRIES])
        self.overlay.visible = bool(present) and self.wanted

    def hide(self) -> None:
        """Take the legend off the canvas; :meth:`show` brings it back."""
        self.overlay.visible = False

    def remove(self) -> None:
        """Take the legend out of the viewer."""
        self._overlays.pop(self._key, None)


def elide(name: str) -> str:
    """``name``, its end cut where it is too long for a legend."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
