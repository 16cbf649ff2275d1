"""What controllers ask of the tissue canvas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_tagscope.state import CellStyle
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from tagscope.api import SectionImage, Transcripts

Codes = npt.NDArray[np.integer[Any]]


class Painter(Protocol):
    """Paints the open section. ``name`` is a painting's identity, ``title`` what people read."""

    def paint_values(
        self, name: str, title: str, values: npt.NDArray[np.float32], *, colormap: str
    ) -> None:
        """Paint a number per cell, (N,), and show it in place of what was shown."""
        ...

    def paint_categories(
        self, name: str, title: str, codes: Codes, colors: Sequence[str], names: Sequence[str]
    ) -> None:
        """Paint a category per cell, (N,); −1 is Unassigned, −2 not known yet."""
        ...

    def update_categories(self, name: str, rows: npt.NDArray[np.int64], codes: Codes) -> None:
        """Repaint some cells."""
        ...

    def set_hidden(self, name: str, codes: Iterable[int]) -> None:
        """Draw all categories but these."""
        ...

    def isolate(self, name: str, code: int | None) -> None:
        """Draw one category in its colour and the others faintly; None draws all."""
        ...

    def set_cell_style(self, style: CellStyle) -> None:
        """Draw cells filled, translucent or outlined."""
        ...

    def show_images(self, images: Sequence[SectionImage]) -> None:
        """List images below the cells in place of those before; none takes them away."""
        ...

    def prepare_transcripts(self, transcripts: Transcripts, context: JobContext) -> Any:
        """What :meth:`show_transcripts` draws from; takes long, and runs in any thread."""
        ...

    def show_transcripts(self, prepared: Any, colors: Mapping[str, str]) -> None:
        """Show transcripts above the cells, each gene in its colour."""
        ...

    def remove_transcripts(self) -> None:
        """Take transcripts away."""
        ...

    def rows_in_view(self) -> npt.NDArray[np.int64]:
        """Rows of the cells on the screen."""
        ...
