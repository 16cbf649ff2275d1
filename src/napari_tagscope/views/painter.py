"""The painter that controllers ask for, on the tissue canvas of a viewer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_tagscope.canvas.linking import cells_metadata, store_metadata
from napari_tagscope.canvas.tissue import TissueCanvas
from napari_tagscope.canvas.transcripts import TranscriptPyramid
from napari_tagscope.state import CellStyle, ViewerState
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from tagscope.api import OpenedSection, SectionImage, Transcripts

Codes = npt.NDArray[np.integer[Any]]


class CanvasPainter:
    """Shows the open section on a canvas; a layer the user deleted comes back when painted."""

    def __init__(self, viewer: Any, state: ViewerState) -> None:
        self._viewer = viewer
        self._state = state
        self.canvas: TissueCanvas | None = None
        state.section_changed.connect(self._on_section)

    def paint_values(
        self, name: str, title: str, values: npt.NDArray[np.float32], *, colormap: str
    ) -> None:
        """Paint a number per cell, (N,), from 0 for quantities that have no negative values."""
        if self.canvas is None:
            return
        first = not self.canvas.names
        layer = self.canvas.paint_values(name, values, colormap=colormap, limits=_limits(values))
        layer.name = title
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

    def set_cell_style(self, style: CellStyle) -> None:
        """Draw cells filled, translucent or outlined."""
        if self.canvas is not None:
            self.canvas.set_cell_style(style)

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

    def rows_in_view(self) -> npt.NDArray[np.int64]:
        """Rows of the cells on the screen."""
        return np.zeros(0, np.int64) if self.canvas is None else self.canvas.rows_in_view()

    def _on_section(self, opened: OpenedSection | None) -> None:
        if self.canvas is not None:
            self.canvas.remove()
            self.canvas = None
        if opened is not None:
            self.canvas = TissueCanvas(
                self._viewer, opened.section, cells_metadata(opened), self._describe
            )
            self.canvas.show_legend(False)  # the dock has one that answers clicks
            self.canvas.on_pick(lambda row: self._state.select_cell(None if row < 0 else row))

    def _describe(self, row: int) -> str:
        opened, result = self._state.opened, self._state.result
        if opened is None:
            return ""
        text = f"cell {opened.section.ids[row]}"
        if result is None:
            return text
        annotation = result.annotation
        code = int(annotation.codes[row])
        name = annotation.labels.names[code] if code >= 0 else "Unassigned"
        return f"{text} · {name} · confidence {annotation.confidence[row]:.2f}"


def _limits(values: npt.NDArray[np.float32]) -> tuple[float, float] | None:
    """From 0 to the 98th percentile of the values above 0; None leaves it to the canvas."""
    above = values[np.isfinite(values) & (values > 0)]
    if len(above) == 0 or np.nanmin(values) < 0:
        return None
    return 0.0, float(np.percentile(above, 98))
