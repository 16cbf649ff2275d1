"""Drawing an area on the canvas by hand: a lasso, or a polygon corner by corner."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from napari.components import ViewerModel
from napari.components.overlays import SceneOverlay

try:
    from napari_tagscope.canvas import area_visual

    DRAWN = True
except ImportError:  # napari's drawing side is private; without it the area is not seen
    DRAWN = False

Tool = Literal["click", "lasso", "polygon"]
How = Literal["replace", "add", "remove"]
Ring = npt.NDArray[np.float64]
Drawn = Callable[[Ring, How], None]

STEP = 3.0  # screen pixels between two corners of a lasso
CLOSING = 8.0  # screen pixels from its first corner within which a polygon is closed
KEYS: dict[str, Tool] = {"L": "lasso", "P": "polygon"}


class AreaOverlay(SceneOverlay):  # type: ignore[misc]
    """What napari's canvas draws: ``corners`` (x, y) in world coordinates, in every picture."""

    corners: tuple[Any, ...] = ()


class AreaTools:
    """Lets a person draw an area on a viewer's canvas.

    While a tool is in use the left button draws: a lasso while it is held down, a polygon by
    clicks that end with a double click, Return, or a click at the first corner. Shift adds what is
    inside to the selection and Alt takes it away, where held when the drawing begins. The wheel
    still zooms. With the canvas in focus L and P take the tools up and Escape puts them down.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._tool: Tool = "click"
        self._how: How = "replace"
        self._corners: list[tuple[float, float]] = []
        self._first = np.zeros(2)
        self._drawn: Drawn | None = None
        self._wanted: Callable[[Tool], None] | None = None
        self._set_aside: dict[str, list[Any]] = {}
        self._overlay = AreaOverlay(blending="translucent_no_depth")
        self._key = f"tagscope_area_{id(self):x}"
        for key, tool in KEYS.items():
            viewer.bind_key(key, lambda _, tool=tool: self._want(tool), overwrite=True)

    @property
    def tool(self) -> Tool:
        """The tool in use; ``"click"`` leaves the mouse to napari."""
        return self._tool

    def listen(self, drawn: Drawn, wanted: Callable[[Tool], None]) -> None:
        """Say who is told.

        ``drawn`` of the corners (V, 2), x and y, of a finished area and what it is for; ``wanted``
        of the tool that a key asks for.
        """
        self._drawn, self._wanted = drawn, wanted

    def use(self, tool: Tool) -> None:
        """Take up a tool; what was half drawn is dropped."""
        self._drop()
        if tool == self._tool:
            return
        if self._tool == "click":
            self._take_mouse()
        elif tool == "click":
            self._leave_mouse()
        self._tool = tool
        self._viewer.cursor.style = "standard" if tool == "click" else "crosshair"

    def stop(self) -> None:
        """Put the tool down, and let go of the keys."""
        self.use("click")
        for key in KEYS:
            self._viewer.bind_key(key, None)
        self._drawn = self._wanted = None

    def _want(self, tool: Tool) -> None:
        if self._wanted is not None:
            self._wanted(tool)

    def _take_mouse(self) -> None:
        """Put napari's own drags and double clicks, which zoom, aside."""
        viewer = self._viewer
        for name in ("mouse_drag_callbacks", "mouse_double_click_callbacks"):
            callbacks = getattr(viewer, name)
            own = [
                one
                for one in callbacks
                if str(getattr(one, "__module__", "")).startswith("napari.")
            ]
            self._set_aside[name] = own
            for one in own:
                callbacks.remove(one)
        viewer.mouse_drag_callbacks.insert(0, self._on_press)
        viewer.mouse_move_callbacks.append(self._on_move)
        viewer.mouse_double_click_callbacks.append(self._on_double_click)
        viewer.bind_key("Escape", lambda _: self._want("click"), overwrite=True)
        viewer.bind_key("Enter", lambda _: self._finish(), overwrite=True)
        if DRAWN:
            area_visual.register(AreaOverlay)
            viewer.scene.overlays[self._key] = self._overlay

    def _leave_mouse(self) -> None:
        viewer = self._viewer
        viewer.mouse_drag_callbacks.remove(self._on_press)
        viewer.mouse_move_callbacks.remove(self._on_move)
        viewer.mouse_double_click_callbacks.remove(self._on_double_click)
        for name, own in self._set_aside.items():
            getattr(viewer, name).extend(own)
        self._set_aside.clear()
        viewer.bind_key("Escape", None)
        viewer.bind_key("Enter", None)
        viewer.scene.overlays.pop(self._key, None)

    def _on_press(self, viewer: ViewerModel, event: Any) -> Generator[None, None, None]:
        if event.button != 1 or viewer.dims.ndisplay != 2:
            return
        event.handled = True  # the camera stays where it is
        if self._tool == "polygon":
            self._add_corner(event)
            return
        self._begin(event)
        last = self._first
        yield
        while event.type == "mouse_move" and self._tool == "lasso":
            at = np.asarray(event.pos)
            if np.abs(at - last).max() >= STEP:
                last = at
                self._corners.append(_place(event))
                self._show(*self._corners)
            yield
        if self._tool == "lasso":  # Escape may have put it down
            self._finish()

    def _add_corner(self, event: Any) -> None:
        """A click of a polygon: its first corner, another, or the one that closes it."""
        if not self._corners:
            self._begin(event)
        elif len(self._corners) > 2 and self._is_at_first(event):
            self._finish()
        else:
            self._corners.append(_place(event))
            self._show(*self._corners)

    def _begin(self, event: Any) -> None:
        modifiers = event.modifiers
        self._how = "remove" if "Alt" in modifiers else "add" if "Shift" in modifiers else "replace"
        self._first = np.asarray(event.pos)
        self._corners = [_place(event)]

    def _is_at_first(self, event: Any) -> bool:
        away = np.subtract(_place(event), self._corners[0]) * self._viewer.scene.camera.zoom
        return bool(np.abs(away).max() <= CLOSING)

    def _on_move(self, viewer: ViewerModel, event: Any) -> None:
        """Draw a polygon's next side to where the mouse is."""
        viewer.cursor.style = "crosshair"  # another layer on view brings its own
        if self._tool == "polygon" and self._corners:
            self._show(*self._corners, _place(event))

    def _on_double_click(self, _: ViewerModel, event: Any) -> None:
        event.handled = True
        if self._tool == "polygon":
            self._finish()

    def _finish(self) -> None:
        """Hand the area over; fewer than three corners are none."""
        ring, how = np.array(self._corners), self._how
        self._drop()
        if len(ring) > 2 and self._drawn is not None:
            self._drawn(ring, how)

    def _drop(self) -> None:
        self._corners = []
        self._show()

    def _show(self, *corners: tuple[float, float]) -> None:
        self._overlay.corners = corners
        self._overlay.visible = len(corners) > 1


def _place(event: Any) -> tuple[float, float]:
    """World position x, y of a mouse event."""
    y, x = event.position[-2:]
    return float(x), float(y)
