"""The Image layer of a painting: napari's own, which also tells about the cell under the mouse."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image
from napari.utils.colormaps import Colormap, ensure_colormap

Describe = Callable[[int], str]

DARK = 0.25  # a colour whose brightest channel is below this looks like the canvas


@cache
def lifted(name: str) -> Colormap:
    """Napari's colour map of a name, from where its colours can be told from a black canvas.

    A cell with the lowest value is tissue, and must not look like none. Another name keeps napari
    from taking it for its own.
    """
    colormap = ensure_colormap(name)
    steps = np.linspace(0, 1, 256)
    seen = steps[colormap.map(steps)[:, :3].max(axis=1) >= DARK]
    if len(seen) == 0 or seen[0] == 0:
        return colormap
    return Colormap(colormap.map(np.linspace(seen[0], 1, 256)), name=f"{name}, lifted")


class CellImage(Image):  # type: ignore[misc]
    """An Image layer whose status line and tooltip describe the cell under the mouse.

    ``cell_at`` gives the cell's row at a world position, −1 beside cells; ``describe`` its line,
    empty to keep napari's own.
    """

    def __init__(
        self,
        data: Any,
        *,
        cell_at: Callable[[npt.ArrayLike], int],
        describe: Describe,
        **kwargs: Any,
    ) -> None:
        self._cell_at = cell_at
        self._describe = describe
        super().__init__(data, **kwargs)

    @property
    def _type_string(self) -> str:
        # what napari and other plugins take it for when they save it or choose an icon
        return "image"

    def set_scale(
        self, limits: tuple[float, float], full: tuple[float, float], colormap: str
    ) -> None:
        """Set contrast limits within their full range, colour map and colour bar.

        What is as it was is left alone: every change makes napari draw again.
        """
        layer: Any = self  # napari's properties have no types
        if tuple(layer.contrast_limits_range) != full:
            layer.contrast_limits_range = full
        if tuple(layer.contrast_limits) != limits:
            layer.contrast_limits = limits
        if layer.colormap.name != lifted(colormap).name:
            layer.colormap = lifted(colormap)
        self.colorbar.position = "bottom_right"
        self.colorbar.visible = self.name_overlay.visible = True

    def get_status(self, position: Any = None, **kwargs: Any) -> dict[str, str]:
        """Napari's status of a position, with the description of the cell there."""
        status: dict[str, str] = super().get_status(position, **kwargs)
        if position is None or not kwargs.get("world", False):
            return status
        row = self._cell_at(position)
        line = self._describe(row) if row >= 0 else ""
        if line:
            status["value"] = line
            status["coordinates"] = f"{status['coords']}: {line}"
        return status

    def _get_tooltip_text(self, position: Any, *, world: bool = False, **_: Any) -> str:
        """What napari shows beside the mouse: the description of the cell there."""
        row = self._cell_at(position) if world else -1
        return self._describe(row) if row >= 0 else ""
