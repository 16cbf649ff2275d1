"""The selected cells: chosen by drawing around them, counted, and let go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import numpy.typing as npt

from napari_tagscope.controllers.observed import Observed
from napari_tagscope.state import Rows, ViewerState
from napari_tagscope.tasks import Failure, Runner, Task
from tagscope.core.area import rows_inside

if TYPE_CHECKING:
    from tagscope.api import OpenedSection
    from tagscope.jobs import JobContext

TOPIC = "select an area"
Tool = Literal["click", "lasso", "polygon"]
How = Literal["replace", "add", "remove"]
Ring = npt.NDArray[np.float64]


class AreaTools(Protocol):
    """What draws areas on the canvas."""

    def listen(self, drawn: Callable[[Ring, How], None], wanted: Callable[[Tool], None]) -> None:
        """Tell of the corners (V, 2), x and y, of an area, and of a tool asked for by a key."""
        ...

    def use(self, tool: Tool) -> None:
        """Take up a tool; ``"click"`` leaves the mouse to napari."""
        ...


@dataclass(frozen=True)
class SelectionState:
    """The tool in use, and how many ``cells`` are selected; ``usable`` once a section is open."""

    usable: bool = False
    tool: Tool = "click"
    cells: int = 0
    failure: Failure | None = None


class SelectionController(Observed[SelectionState]):
    """Selects the cells within an area drawn on the canvas."""

    def __init__(self, viewer_state: ViewerState, runner: Runner, tools: AreaTools) -> None:
        super().__init__(SelectionState())
        self._viewer_state = viewer_state
        self._runner = runner
        self._tools = tools
        tools.listen(self.select_area, self.choose)
        viewer_state.section_changed.connect(self._on_section)
        viewer_state.rows_selected.connect(lambda rows: self._update(cells=len(rows)))

    def choose(self, tool: Tool) -> None:
        """Take up a tool, where there is a section to use it on."""
        if self.state.usable:
            self._tools.use(tool)
            self._update(tool=tool)

    def clear(self) -> None:
        """Select no cells."""
        self._runner.cancel(TOPIC)
        self._viewer_state.select_rows(())

    def select_area(self, ring: Ring, how: How) -> None:
        """Select the cells whose centroids lie within ``ring`` (V, 2), x and y.

        In place of those selected, beside them, or by taking them away.
        """
        opened, before = self._viewer_state.opened, self._viewer_state.rows
        if opened is None:
            return
        xy = opened.section.xy

        def work(context: JobContext) -> Rows:
            chosen = np.zeros(len(xy), np.bool_)
            chosen[before] = how != "replace"
            chosen[rows_inside(xy, ring, context)] = how != "remove"
            return np.flatnonzero(chosen)

        self._runner.start(
            Task(
                topic=TOPIC,
                title="Selecting cells",
                work=work,
                done=self._on_rows,
                failed=lambda failure: self._update(failure=failure),
                unit="cells",
            )
        )

    def _on_rows(self, rows: Rows) -> None:
        self._update(failure=None)
        self._viewer_state.select_cell(None)
        self._viewer_state.select_rows(rows)

    def _on_section(self, opened: OpenedSection | None) -> None:
        self._runner.cancel(TOPIC)
        self._tools.use("click")
        self._update(usable=opened is not None, tool="click", failure=None)
