"""Image layers as napari's own, which also tell what is under the mouse."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image
from napari.utils.colormaps import Colormap, ensure_colormap

from napari_tagscope.canvas.caption import add_caption

Describe = Callable[[int], str]
Tell = Callable[[npt.ArrayLike], str]

DARK = 0.25  # a colour whose brightest channel is below this looks like a black canvas
DARK_LINE = 0.55  # the same of a line one or two pixels wide
PALE = 0.6  # a colour whose darkest channel is above this looks like a white canvas


@cache
def visible(name: str, outlines: bool) -> Colormap:
    """Napari's colour map of a name, cut to colours in which cells can be told from the canvas.

    A cell with the lowest or highest value is tissue, and must not look like none in either theme.
    Another name keeps napari from taking it for its own.
    """
    colormap = ensure_colormap(name)
    steps = np.linspace(0, 1, 256)
    colors = colormap.map(steps)[:, :3]
    darkest = DARK_LINE if outlines else DARK
    seen = steps[(colors.max(axis=1) >= darkest) & (colors.min(axis=1) <= PALE)]
    if len(seen) in (0, len(steps)):
        return colormap
    what = "outlines" if outlines else "cells"
    return Colormap(colormap.map(np.linspace(seen[0], seen[-1], 256)), name=f"{name} for {what}")


class TellingImage(Image):  # type: ignore[misc]
    """An Image layer whose status line and tooltip say what is under the mouse.

    ``tell`` gives the line of a world position, empty to keep napari's own. napari asks for it
    from a thread of its own.
    """

    def __init__(self, data: Any, *, tell: Tell, **kwargs: Any) -> None:
        self._tell = tell
        super().__init__(data, **kwargs)

    @property
    def _type_string(self) -> str:
        # what napari and other plugins take it for when they save it or choose an icon
        return "image"

    def get_status(self, position: Any = None, **kwargs: Any) -> dict[str, str]:
        """Napari's status of a position, with the line of what is there."""
        status: dict[str, str] = super().get_status(position, **kwargs)
        if position is None or not kwargs.get("world", False):
            return status
        line = self._tell(position)
        if line:
            status["value"] = line
            status["coordinates"] = f"{status['coords']}: {line}"
        return status

    def _get_tooltip_text(self, position: Any, *, world: bool = False, **_: Any) -> str:
        """What napari shows beside the mouse."""
        return self._tell(position) if world else ""


class CellImage(TellingImage):
    """An Image layer of cells, which tells about the cell under the mouse.

    ``cell_at`` gives the cell's row at a world position, −1 beside cells; ``describe`` its line.
    ``tell_above`` gives the line of what another layer draws over the cells.
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
        self.tell_above: Tell | None = None
        self._ramp: str | None = None
        self._outlined = False
        self._wants_bar = False
        self._caption = ("", "")
        super().__init__(data, tell=self.tell, **kwargs)
        self.events.visible.connect(self._add_bar)

    def tell(self, position: npt.ArrayLike) -> str:
        """The line of what is drawn over a world position, and of the cell there."""
        above = "" if self.tell_above is None else self.tell_above(position)
        row = self._cell_at(position)
        return " · ".join(filter(None, (above, self._describe(row) if row >= 0 else "")))

    def set_outlined(self, outlined: bool) -> None:
        """Take colours of the scale that thin lines show, or all that filled cells do."""
        before, self._outlined = self._outlined, outlined
        layer: Any = self
        # another map was chosen by hand
        if self._ramp is None or layer.colormap.name != visible(self._ramp, before).name:
            return
        layer.colormap = visible(self._ramp, outlined)

    def set_caption(self, facts: str, unit: str) -> None:
        """Say below the name over the picture what is true of it, and at its bar the unit."""
        self._caption = (facts, unit)
        if self.colorbar.visible:
            add_caption(self, facts, unit)

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
        self._ramp = colormap
        if layer.colormap.name != visible(colormap, self._outlined).name:
            layer.colormap = visible(colormap, self._outlined)
        self._wants_bar = True
        self._add_bar()

    def _add_bar(self) -> None:
        """Have a colour bar once the layer is seen: napari draws that of a hidden one too."""
        if self._wants_bar and self.visible:
            self._wants_bar = False
            self.colorbar.position = "bottom_right"
            self.colorbar.visible = True
            add_caption(self, *self._caption)
