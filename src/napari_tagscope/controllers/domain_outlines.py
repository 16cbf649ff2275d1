"""Outlines of the domains as lines over the cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_tagscope.controllers.observed import Observed
from napari_tagscope.controllers.painter import Painter
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure, Runner, Task
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from tagscope.api import DomainMap
    from tagscope.core.section import Section

TOPIC = "outline domains"
Lines = npt.NDArray[np.float32]


@dataclass(frozen=True)
class OutlinesState:
    """Whether outlines are ``shown`` where there are domains; ``drawing`` while they are made."""

    shown: bool = True
    drawing: bool = False
    failure: Failure | None = None


class DomainOutlines(Observed[OutlinesState]):
    """Draws the outlines of the domains on view, whatever is painted below them."""

    def __init__(self, viewer_state: ViewerState, runner: Runner, painter: Painter) -> None:
        super().__init__(OutlinesState())
        self._viewer_state = viewer_state
        self._runner = runner
        self._painter = painter
        self._drawn: npt.NDArray[np.int64] | None = None
        viewer_state.section_changed.connect(lambda _: self._clear())
        viewer_state.domains_changed.connect(self._on_domains)

    def show(self, shown: bool) -> None:
        """Show outlines, or none."""
        self._update(shown=shown)
        if shown:
            self._on_domains(self._viewer_state.domains)
        else:
            self._clear()

    def _clear(self) -> None:
        self._runner.cancel(TOPIC)
        self._drawn = None
        self._painter.draw_lines(None)
        self._update(drawing=False, failure=None)

    def _on_domains(self, found: DomainMap | None) -> None:
        """Draw anew where cells have changed their domain: names and colours change no line."""
        opened = self._viewer_state.opened
        if found is None or opened is None:
            self._clear()
            return
        if not self.state.shown or found.codes is self._drawn:
            return
        section = opened.section
        self._update(drawing=True, failure=None)
        self._runner.start(
            Task(
                topic=TOPIC,
                title="Outlining domains",
                work=lambda context: _lines(section, found, context),
                done=lambda lines: self._on_lines(found.codes, lines),
                failed=lambda failure: self._update(drawing=False, failure=failure),
                cancelled=lambda: self._update(drawing=False),
            )
        )

    def _on_lines(self, codes: npt.NDArray[np.int64], lines: Lines) -> None:
        self._drawn = codes
        self._painter.draw_lines(lines)
        self._update(drawing=False)


def _lines(section: Section, found: DomainMap, context: JobContext) -> Lines:
    """The outlines as segments (S, 2, 2) between x, y, where the canvas has the cells.

    Two domains that adjoin share their edges, which are drawn once.
    """
    import shapely

    from tagscope import api

    outlines = api.domain_outlines(section, found, context=context)
    boundaries = shapely.boundary(outlines.geometry.to_numpy())
    parts, owner = shapely.get_parts(boundaries, return_index=True)
    corners, of_part = shapely.get_coordinates(parts, return_index=True)
    if section.pieces is not None:
        corners = corners + _moves(section.pieces, outlines)[owner[of_part]]
    joined = np.flatnonzero(of_part[1:] == of_part[:-1])
    segments = np.stack([corners[joined], corners[joined + 1]], axis=1).astype(np.float32)
    turned = (segments[:, 0, 0] > segments[:, 1, 0]) | (
        (segments[:, 0, 0] == segments[:, 1, 0]) & (segments[:, 0, 1] > segments[:, 1, 1])
    )
    segments[turned] = segments[turned, ::-1]
    return np.unique(segments.reshape(-1, 4), axis=0).reshape(-1, 2, 2)


def _moves(pieces: Any, outlines: Any) -> npt.NDArray[np.float64]:
    """By how much each outline's section was moved, (outlines, 2)."""
    place = {name: number for number, name in enumerate(pieces.names)}
    return np.asarray(pieces.offsets[[place[name] for name in outlines["section"]]])
