"""Paintings side by side with one view: napari's grid, left without losing the place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer

from napari_tagscope.canvas.at_once import at_once
from napari_tagscope.canvas.layer import CellImage
from napari_tagscope.canvas.linking import METADATA_KEY


def view_size(viewer: ViewerModel) -> tuple[float, float]:
    """Height and width of a viewer's picture in screen pixels, of one of them in a grid."""
    height, width = viewer.canvas.viewbox_size(viewer.layers)
    return float(height), float(width)


class SideBySide:
    """A viewer's grid while it shows paintings beside each other; it is left as it was found.

    Images and transcripts, which would be pictures of their own, are hidden meanwhile.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._before: dict[str, Any] = {}
        self._set_aside: list[Layer] = []

    @property
    def begun(self) -> bool:
        """Whether paintings are beside each other because of us."""
        return bool(self._before)

    def at_once(self) -> AbstractContextManager[None]:
        """Let napari take all that changes within into its scene in one step.

        One by one where a person has a grid on, which comes back after ours: of a new layer napari
        would put the colour bar into a picture that the grid does not have yet.
        """
        theirs = self._before.get("enabled", self._viewer.canvas.grid.enabled)
        return nullcontext() if theirs else at_once(self._viewer)

    @contextmanager
    def ended(self) -> Iterator[None]:
        """Show one picture again, in one step with all that changes within."""
        with self.at_once():
            self.end()
            yield

    def begin(self) -> None:
        """Show the layers on view beside each other."""
        grid = self._viewer.canvas.grid
        self._before = self._before or {"enabled": grid.enabled, "stride": grid.stride}
        with self._same_part():
            grid.stride = -1  # counted from the top of the layer list
            self._set_others_aside()
            grid.enabled = True

    def end(self) -> None:
        """Show one picture again."""
        with self._same_part():
            for name, value in self._before.items():
                setattr(self._viewer.canvas.grid, name, value)
        self._before = {}
        for layer in self._set_aside:
            layer.visible = True
        self._set_aside.clear()

    def _set_others_aside(self) -> None:
        for layer in self._viewer.layers:
            ours = METADATA_KEY in layer.metadata and not isinstance(layer, CellImage)
            if ours and layer.visible:
                layer.visible = False
                self._set_aside.append(layer)

    @contextmanager
    def _same_part(self) -> Iterator[None]:
        """Let the camera see the same part of the section in a picture of another size."""
        before = np.asarray(view_size(self._viewer))
        yield
        change = np.asarray(view_size(self._viewer)) / before
        self._viewer.scene.camera.zoom *= float(change.min() if change.min() < 1 else change.max())
