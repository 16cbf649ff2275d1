"""What controllers ask of the tissue canvas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from tagscope.api import SectionImage, Transcripts
    from tagscope.core.section import Section

Codes = npt.NDArray[np.integer[Any]]
Look = Literal["filled", "translucent", "outlines", "both"]
Shape = Literal["discs", "areas"]


class Painter(Protocol):
    """Paints the open section. ``name`` is a painting's identity, ``title`` what people read."""

    def at_once(self) -> AbstractContextManager[None]:
        """Take all that is done within into the picture in one step, which costs as one would."""
        ...

    def prepare(self, section: Section) -> None:
        """Make ahead what showing a section takes long for; in any thread."""
        ...

    def preview(self, section: Section | None) -> None:
        """Show where cells are while no section is open yet; None takes them away again."""
        ...

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
        """Paint a number per cell, (N,), and show it in place of what was shown, or beside it.

        ``facts`` stand below the title over the picture, ``unit`` at its colour bar. One that is
        not ``shown`` waits in the layer list for a person to ask for it.
        """
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

    def show_beside(self, *names: str) -> None:
        """Show paintings side by side with one view, the first at the left."""
        ...

    def on_view(self, *names: str) -> bool:
        """Whether these paintings, and no others, are on view, several of them side by side."""
        ...

    def set_look(self, look: Look) -> None:
        """Draw cells filled, translucent, their outlines where they are large enough, or both."""
        ...

    def set_shape(self, shape: Shape) -> None:
        """Draw cells without an outline as discs, or as the areas nearest to them."""
        ...

    def draw_lines(self, lines: npt.NDArray[np.float32] | None) -> None:
        """Draw lines over the cells, segments (S, 2, 2) between x, y; None takes them away."""
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

    def bring_into_view(self, row: int, *, centred: bool = False) -> None:
        """Move the view to a cell that is not on the screen, or to any; the zoom stays."""
        ...

    def seen(self) -> Any:
        """What is on view of the open section, for :meth:`restore`."""
        ...

    def restore(self, seen: Any) -> None:
        """Put the camera back where it was, and show again what was on view of what is painted."""
        ...

    def forget(self, section: Section) -> None:
        """Let go of all that is kept of a section that was closed."""
        ...

    def set_limits(self, name: str, low: float, high: float) -> None:
        """Let the colours of a painting of numbers span these values."""
        ...
