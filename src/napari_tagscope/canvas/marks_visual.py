"""How napari's canvas draws marks over a layer, on napari's private side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari._vispy.overlays.base import LayerOverlayMixin, VispySceneOverlay
from napari._vispy.utils.visual import overlay_to_visual
from vispy.scene import Node
from vispy.scene.visuals import Image
from vispy.util.transforms import translate
from vispy.visuals.transforms import STTransform

if TYPE_CHECKING:
    from napari_tagscope.canvas.marks import MarksOverlay


class MarksNode(Node):  # type: ignore[misc]
    """An image in pixels of the level that a layer shows."""

    def __init__(self) -> None:
        super().__init__()
        self.image = Image(parent=self, interpolation="nearest")
        self.image.transform = STTransform()
        self.events.parent_change.connect(self._on_parent_change)

    def _on_parent_change(self, _: Any) -> None:
        """Be cut off at the borders of the picture moved to: vispy tells the layer alone."""
        self.image.parent = None
        self.image.parent = self

    def set_gl_state(self, *args: Any, **kwargs: Any) -> None:
        """Pass napari's blending to the image."""
        self.image.set_gl_state(*args, **kwargs)


class VispyMarks(LayerOverlayMixin, VispySceneOverlay):  # type: ignore[misc]
    """Draws a :class:`MarksOverlay` over the part and at the level that its layer shows."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(node=MarksNode(), **kwargs)
        self._drawn: object = None
        self.overlay.events.changes.connect(self._draw)
        self.layer.events.set_data.connect(self._draw)
        self.viewer.dims.events.ndisplay.connect(self._on_visible_change)
        self.reset()

    def close(self) -> None:
        """Leave the canvas."""
        self.overlay.events.changes.disconnect(self._draw)
        self.viewer.dims.events.ndisplay.disconnect(self._on_visible_change)
        super().close()

    def _should_be_visible(self) -> bool:
        return bool(super()._should_be_visible() and self.viewer.dims.ndisplay == 2)

    def _on_visible_change(self) -> None:
        super()._on_visible_change()
        self._draw()

    def _draw(self) -> None:
        if not self.node.visible:
            return
        level, corners = self.layer.data_level, self.layer.corner_pixels
        (r0, c0), (r1, c1) = corners[0], corners[1] + 1
        wanted = (level, r0, r1, c0, c1, self.overlay.changes)
        if wanted == self._drawn:
            return
        self._drawn = wanted
        # napari moves the children of a layer's node by the inverse, to the level's own pixels
        self.node.image.transform.translate = (c0 - 0.5, r0 - 0.5)
        self.node.transform.matrix = translate((0.5 - c0, 0.5 - r0, 0))
        self.node.image.set_data(self.overlay.marks.window(level, (r0, r1, c0, c1)))


def register(overlay_class: type[MarksOverlay]) -> None:
    """Tell napari how to draw marks."""
    overlay_to_visual[overlay_class] = VispyMarks
