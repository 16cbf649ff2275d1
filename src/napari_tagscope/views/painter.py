"""The painter that controllers ask for, on the tissue canvas of a viewer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_tagscope.canvas.at_once import at_once
from napari_tagscope.canvas.labels import LabelPyramid
from napari_tagscope.canvas.linking import cells_metadata, store_metadata
from napari_tagscope.canvas.selecting import AreaTools
from napari_tagscope.canvas.tissue import TissueCanvas, pyramid_of
from napari_tagscope.canvas.transcripts import TranscriptPyramid
from napari_tagscope.canvas.values import UNASSIGNED_CODE
from napari_tagscope.controllers.contrast import limits_of
from napari_tagscope.controllers.painter import Look, Shape
from napari_tagscope.state import ViewerState
from tagscope.core.labels import UNASSIGNED
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from tagscope.api import OpenedSection, SectionImage, Transcripts
    from tagscope.core.section import Section

Codes = npt.NDArray[np.integer[Any]]

PREVIEW = "cells"
OVERVIEW = 4096  # pixels: a level no larger than this may be what a screen shows of the whole


class CanvasPainter:
    """Shows the open section on a canvas; a layer the user deleted comes back when painted."""

    def __init__(self, viewer: Any, state: ViewerState) -> None:
        self._viewer = viewer
        self._state = state
        self.canvas: TissueCanvas | None = None
        self._preview: TissueCanvas | None = None
        self._prepared: dict[int, tuple[Section, LabelPyramid]] = {}
        self._kept: dict[int, tuple[Section, LabelPyramid]] = {}  # of sections left open
        self._in_view = False  # what the preview showed is where the section is
        self._look: Look = "filled"
        self._shape: Shape = "discs"
        self.areas = AreaTools(viewer)
        state.section_changed.connect(self._on_section)
        state.cell_selected.connect(lambda _: self._mark())
        state.rows_selected.connect(lambda _: self._mark())

    def at_once(self) -> AbstractContextManager[None]:
        """Take all that is done within into the picture in one step."""
        if self.canvas is not None:
            return self.canvas.at_once()
        return nullcontext() if self._viewer.canvas.grid.enabled else at_once(self._viewer)

    def prepare(self, section: Section) -> None:
        """Make a section's label pyramid ahead, and draw what all of it fills; in any thread."""
        pyramid = pyramid_of(section)
        pyramid.prepare(OVERVIEW)
        self._prepared[id(section)] = (section, pyramid)

    def preview(self, section: Section | None) -> None:
        """Show where cells are, in grey, while no section is open yet; None takes them away."""
        if self._preview is not None:
            self._preview.remove()
            self._preview = None
        if section is not None and self.canvas is None:
            self._preview = TissueCanvas(self._viewer, section, pyramid=self._pyramid_of(section))
            codes = np.full(len(section), UNASSIGNED_CODE, dtype=np.int8)
            self._preview.paint_categories(PREVIEW, codes, ())
            self._preview.fit()

    def paint_values(
        self,
        name: str,
        title: str,
        values: npt.NDArray[np.float32],
        *,
        colormap: str,
        facts: str = "",
        unit: str = "",
        alone: bool = True,
        shown: bool = True,
    ) -> None:
        """Paint a number per cell, (N,), from 0 for quantities that have no negative values."""
        if self.canvas is None:
            return
        first = not self.canvas.names and not self._in_view
        layer = self.canvas.paint_values(
            name, values, colormap=colormap, limits=limits_of(values), alone=alone, shown=shown
        )
        if layer.name != title:
            layer.name = title
        layer.set_caption(facts, unit)
        if first:
            self.canvas.fit()

    def paint_categories(
        self, name: str, title: str, codes: Codes, colors: Sequence[str], names: Sequence[str]
    ) -> None:
        """Paint a category per cell, (N,)."""
        if self.canvas is not None:
            layer = self.canvas.paint_categories(name, codes, colors, names=names)
            layer.name = title

    def update_categories(self, name: str, rows: npt.NDArray[np.int64], codes: Codes) -> None:
        """Repaint some cells."""
        if self.canvas is not None and name in self.canvas.names:
            self.canvas.update_categories(name, rows, codes)

    def set_hidden(self, name: str, codes: Iterable[int]) -> None:
        """Draw all categories but these."""
        if self.canvas is not None and name in self.canvas.names:
            self.canvas.set_hidden(name, codes)

    def isolate(self, name: str, code: int | None) -> None:
        """Draw one category in its colour."""
        if self.canvas is not None and name in self.canvas.names:
            self.canvas.isolate(name, code)

    def show_beside(self, *names: str) -> None:
        """Show paintings side by side."""
        if self.canvas is not None and set(names) <= set(self.canvas.names):
            self.canvas.show_beside(*names)

    def on_view(self, *names: str) -> bool:
        """Whether these paintings, and no others, are on view, several of them side by side."""
        if self.canvas is None or self._viewer.canvas.grid.enabled != (len(names) > 1):
            return False
        seen = {name for name in self.canvas.names if self.canvas.layer(name).visible}
        return seen == set(names)

    def set_look(self, look: Look) -> None:
        """Draw cells filled, outlined or both, in sections opened later too."""
        self._look = look
        if self.canvas is not None:
            self.canvas.set_look(look)

    def set_shape(self, shape: Shape) -> None:
        """Draw cells without an outline as discs or areas, in sections opened later too."""
        self._shape = shape
        if self.canvas is not None:
            self.canvas.set_shape(shape)

    def draw_lines(self, lines: npt.NDArray[np.float32] | None) -> None:
        """Draw lines over the cells, in every picture; None takes them away."""
        if self.canvas is not None:
            self.canvas.draw_lines(lines)

    def show_images(self, images: Sequence[SectionImage]) -> None:
        """List images below the cells in place of those before."""
        if self.canvas is not None and self._state.opened is not None:
            self.canvas.show_images(images, store_metadata(self._state.opened))

    def prepare_transcripts(
        self, transcripts: Transcripts, context: JobContext
    ) -> TranscriptPyramid:
        """Sort transcripts for drawing; runs in any thread."""
        return TranscriptPyramid(transcripts, context)

    def show_transcripts(self, prepared: TranscriptPyramid, colors: Mapping[str, str]) -> None:
        """Show transcripts above the cells."""
        if self.canvas is not None:
            self.canvas.show_transcripts(prepared, colors)

    def remove_transcripts(self) -> None:
        """Take transcripts away."""
        if self.canvas is not None:
            self.canvas.remove_transcripts()

    def settle(self) -> None:
        """Wait until all that is on view has been drawn."""
        if self.canvas is not None:
            self.canvas.settle()

    def stop(self) -> None:
        """Draw nothing more; the viewer may go."""
        self.areas.stop()
        for canvas in (self.canvas, self._preview):
            if canvas is not None:
                canvas.stop()

    def rows_in_view(self) -> npt.NDArray[np.int64]:
        """Rows of the cells on the screen."""
        return np.zeros(0, np.int64) if self.canvas is None else self.canvas.rows_in_view()

    def bring_into_view(self, row: int, *, centred: bool = False) -> None:
        """Move the view to a cell that is not on the screen, or to any; the zoom stays."""
        if self.canvas is not None and (centred or row not in self.canvas.rows_in_view()):
            x, y = self.canvas.section.xy[row]
            if np.isfinite([x, y]).all():
                self._viewer.scene.camera.center = (0.0, y, x)

    def seen(self) -> Any:
        """Where the camera is, and the names of the paintings on view, from the left."""
        if self.canvas is None:
            return None
        camera, canvas = self._viewer.scene.camera, self.canvas
        shown = [name for name in canvas.names if canvas.layer(name).visible]
        layers = self._viewer.layers
        shown.sort(key=lambda name: -layers.index(canvas.layer(name)))
        return tuple(camera.center), float(camera.zoom), tuple(shown)

    def restore(self, seen: Any) -> None:
        """Put the camera back, and show again the paintings that were on view."""
        if self.canvas is None:
            return
        center, zoom, names = seen
        shown = [name for name in names if name in self.canvas.names]
        if len(shown) > 1:
            self.canvas.show_beside(*shown)
        elif shown:
            self.canvas.show(shown[0])
        self._viewer.scene.camera.center = center
        self._viewer.scene.camera.zoom = zoom

    def forget(self, section: Section) -> None:
        """Drop the pyramid of a section that was closed, with its tiles in memory."""
        self._kept.pop(id(section), None)

    def set_limits(self, name: str, low: float, high: float) -> None:
        """Let the colours of a painting of numbers span these values."""
        if self.canvas is not None and name in self.canvas.names:
            layer: Any = self.canvas.layer(name)  # napari's properties have no types
            if tuple(layer.contrast_limits) != (low, high):  # napari draws again in any case
                layer.contrast_limits = (low, high)

    def _on_section(self, opened: OpenedSection | None) -> None:
        if self.canvas is not None:
            left = self.canvas.section
            self._kept[id(left)] = (left, self.canvas.pyramid)
            self.canvas.remove()
            self.canvas = None
        seen = None if self._preview is None else self._preview.pyramid.extent
        self.preview(None)
        if opened is not None:
            section = opened.section
            self.canvas = TissueCanvas(
                self._viewer,
                section,
                cells_metadata(opened),
                self._describe,
                self._pyramid_of(section),
            )
            self._prepared.clear()
            self._in_view = seen is not None and np.allclose(
                seen, self.canvas.pyramid.extent, rtol=0.01
            )
            self.canvas.set_look(self._look)
            self.canvas.set_shape(self._shape)
            self.canvas.show_legend(False)  # the dock has one that answers clicks
            self.canvas.on_pick(self._on_pick)

    def _on_pick(self, row: int) -> None:
        if self.areas.tool == "click":
            self._state.select_cell(None if row < 0 else row)

    def _mark(self) -> None:
        """Mark the selected cells and the one clicked."""
        cell, rows = self._state.cell, self._state.rows
        if self.canvas is not None:
            self.canvas.select(rows, cell)

    def _pyramid_of(self, section: Section) -> LabelPyramid | None:
        """The pyramid that was prepared for a section or kept, given away; None without one."""
        prepared = self._prepared.pop(id(section), None) or self._kept.pop(id(section), None)
        return None if prepared is None else prepared[1]

    def _describe(self, row: int) -> str:
        opened, result, found = self._state.opened, self._state.result, self._state.domains
        if opened is None:
            return ""
        section = opened.section
        parts = [f"cell {section.ids[row]}"]
        if section.pieces is not None:
            parts.append(section.pieces.names[section.pieces.codes[row]])
        if result is not None:
            annotation = result.annotation
            code = int(annotation.codes[row])
            name = annotation.labels.names[code] if code >= 0 else UNASSIGNED
            parts += [name, f"confidence {annotation.confidence[row]:.2f}"]
        if found is not None and found.codes[row] >= 0:
            parts.append(found.domains.names[found.codes[row]])
        return " · ".join(parts)
