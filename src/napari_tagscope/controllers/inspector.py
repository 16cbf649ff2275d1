"""What a cell is and why, and what the selected cells have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_tagscope.controllers.numbers import number
from napari_tagscope.controllers.observed import Observed
from napari_tagscope.controllers.painter import Painter
from napari_tagscope.state import Rows, ViewerState
from napari_tagscope.tasks import Failure, Runner, Task
from tagscope.core.neighbours import TissueNeighbours

if TYPE_CHECKING:
    from tagscope.api import (
        AnnotationResult,
        CellProfile,
        CellProfiles,
        OpenedSection,
        SelectionProfile,
    )
    from tagscope.core.section import Section

TOPIC = "read cells"
SELECTION_TOPIC = "compare selected cells"
LIKE_TOPIC = "find cells like this"
LIKE = 100  # cells that are found to be like one
NO_SECTION = "Open a section to begin."
READING = "Reading cells…"
NO_CELL = "Click a cell on the tissue, or select several with Lasso or Polygon."
COMPARING = "Comparing the selected cells…"
NO_RESULT = "Annotate the section to see what the cell is and which genes get attention."
NO_SCORES = "This annotation has no attention scores: genes are listed by their counts."


@dataclass(frozen=True)
class InspectorState:
    """What the Inspector shows: a cell, the selected cells, or both.

    ``domain`` is the cell's: of the domains on view, else of a column of the table. ``place`` says
    which of how many cells it is, ``said`` what each model says of it and how sure it is, where
    models were compared; ``steps`` whether there are others to step to; ``comparable`` whether
    cells like it can be found. ``gene`` is the one painted.
    """

    cell: CellProfile | None = None
    domain: str = ""
    said: tuple[tuple[str, str, float], ...] = ()
    place: str = ""
    steps: bool = False
    comparable: bool = False
    selected: int = 0
    selection: SelectionProfile | None = None
    gene: str = ""
    hint: str = NO_SECTION
    failure: Failure | None = None


class InspectorController(Observed[InspectorState]):
    """Tells of the selected cell at once, and of the selected cells when they are compared."""

    def __init__(self, viewer_state: ViewerState, runner: Runner, painter: Painter) -> None:
        super().__init__(InspectorState())
        self._viewer_state = viewer_state
        self._runner = runner
        self._painter = painter
        self._profiles: CellProfiles | None = None
        viewer_state.section_changed.connect(self._on_section)
        viewer_state.result_changed.connect(self._on_result)
        viewer_state.cell_selected.connect(lambda _: self._show_cell())
        viewer_state.domains_changed.connect(lambda _: self._show_cell())
        viewer_state.agreement_changed.connect(lambda _: self._show_cell())
        viewer_state.rows_selected.connect(self._on_rows)
        viewer_state.gene_selected.connect(lambda gene: self._update(gene=gene or ""))

    def choose_gene(self, gene: str) -> None:
        """Paint a gene, here and everywhere."""
        self._viewer_state.select_gene(gene)

    def step(self, by: int) -> None:
        """Go to the next cell (1) or the one before (−1): of the selection, else of the type.

        After the last comes the first; the cell is brought into view.
        """
        among = self._among()
        if len(among) == 0:
            return
        cell = self._viewer_state.cell
        if cell is None:
            place = 0 if by > 0 else len(among) - 1
        else:
            place = int(np.searchsorted(among, cell, side="right" if by > 0 else "left"))
            place += 0 if by > 0 else -1
        row = int(among[place % len(among)])
        self._viewer_state.select_cell(row)
        self._painter.bring_into_view(row)

    def find_like(self) -> None:
        """Select the cells nearest to this one in the embedding."""
        profiles, cell = self._profiles, self._viewer_state.cell
        if profiles is None or cell is None or not profiles.has_embedding:
            return
        self._runner.start(
            Task(
                topic=LIKE_TOPIC,
                title="Finding cells like this one",
                work=lambda context: profiles.like(cell, LIKE, context),
                done=self._viewer_state.select_rows,
                failed=lambda failure: self._update(failure=failure),
                unit="cells",
            )
        )

    def as_text(self) -> str:
        """All that is shown as tab-separated text, for a note or a spreadsheet."""
        state = self.state
        parts = []
        if state.cell is not None:
            parts.append(_cell_text(state.cell, state.domain, state.said))
        if state.selection is not None:
            parts.append(_selection_text(state.selection))
        return "\n\n".join(parts)

    def _on_section(self, opened: OpenedSection | None) -> None:
        self._profiles = None
        for topic in (TOPIC, SELECTION_TOPIC, LIKE_TOPIC):
            self._runner.cancel(topic)
        self._update(**vars(InspectorState(hint=NO_SECTION if opened is None else READING)))
        if opened is not None:
            self._read(opened.section, self._viewer_state.result)

    def _on_result(self, result: AnnotationResult | None) -> None:
        opened = self._viewer_state.opened
        if opened is not None:
            self._read(opened.section, result)

    def _read(self, section: Section, result: AnnotationResult | None) -> None:
        """Prepare for single cells to be told of at once."""
        before = self._profiles
        same = before is not None and before.section is section
        neighbours = before.neighbours if before is not None and same else None
        self._runner.start(
            Task(
                topic=TOPIC,
                title="Reading cells",
                work=lambda _: _profiles(section, result, neighbours),
                done=self._on_profiles,
                failed=lambda failure: self._update(hint="", failure=failure),
            )
        )

    def _on_profiles(self, profiles: CellProfiles) -> None:
        self._profiles = profiles
        self._update(failure=None)
        self._show_cell()
        self._on_rows(self._viewer_state.rows)

    def _show_cell(self) -> None:
        profiles, row = self._profiles, self._viewer_state.cell
        among = self._among()
        shown = {"place": self._place(among), "steps": len(among) > 0}
        if profiles is None or row is None:
            self._update(cell=None, domain="", said=(), comparable=False, **shown)
        else:
            self._update(
                cell=profiles.of_cell(row),
                domain=self._domain(row),
                said=self._said(row),
                comparable=profiles.has_embedding,
                **shown,
            )
        self._say()

    def _on_rows(self, rows: Rows) -> None:
        self._runner.cancel(SELECTION_TOPIC)
        among = self._among()
        self._update(
            selected=len(rows), selection=None, place=self._place(among), steps=len(among) > 0
        )
        self._say()
        profiles = self._profiles
        if profiles is None or not len(rows):
            return
        self._runner.start(
            Task(
                topic=SELECTION_TOPIC,
                title="Comparing selected cells",
                work=lambda context: profiles.of_cells(rows, context=context),
                done=self._on_selection,
                failed=lambda failure: self._update(failure=failure),
            )
        )

    def _on_selection(self, selection: SelectionProfile) -> None:
        self._update(selection=selection)
        self._say()

    def _say(self) -> None:
        """What to do next."""
        state, result = self.state, self._viewer_state.result
        if self._viewer_state.opened is None:
            hint = NO_SECTION
        elif self._profiles is None:
            hint = READING
        elif state.selected and state.selection is None:
            hint = COMPARING
        elif state.cell is None and not state.selected:
            hint = NO_CELL
        elif result is None:
            hint = NO_RESULT
        else:
            hint = NO_SCORES if result.gene_scores is None else ""
        self._update(hint=hint)

    def _among(self) -> Rows:
        """The cells to step through: the selection, else the type of the cell, else none."""
        rows, cell = self._viewer_state.rows, self._viewer_state.cell
        if len(rows) or cell is None:
            return rows
        result, opened = self._viewer_state.result, self._viewer_state.opened
        if result is not None:
            codes = result.annotation.codes
            return np.flatnonzero(codes == codes[cell])
        return np.arange(0 if opened is None else len(opened.section))

    def _place(self, among: Rows) -> str:
        """Which of the cells to step through the cell is."""
        cell, rows = self._viewer_state.cell, self._viewer_state.rows
        what = "selected" if len(rows) else "of its type" if self._viewer_state.result else "cells"
        if cell is None:
            return ""
        place = int(np.searchsorted(among, cell))
        if place < len(among) and among[place] == cell:
            return f"{place + 1:,} of {len(among):,} {what}"
        return f"not among the {len(among):,} {what}"

    def _said(self, row: int) -> tuple[tuple[str, str, float], ...]:
        found = self._viewer_state.agreement
        return () if found is None else tuple(found.said(row))

    def _domain(self, row: int) -> str:
        opened, found = self._viewer_state.opened, self._viewer_state.domains
        if found is not None:
            return found.domains.names[found.codes[row]] if found.codes[row] >= 0 else ""
        column = None if opened is None else _domain_column(opened.table.obs)
        if opened is None or column is None:
            return ""
        value = opened.table.obs[column].iloc[row]
        return "" if pd.isna(value) else str(value)


def _profiles(
    section: Section, result: AnnotationResult | None, neighbours: TissueNeighbours | None
) -> CellProfiles:
    from tagscope import api

    return api.CellProfiles(section, result, neighbours)


def _domain_column(obs: Any) -> str | None:
    """The column that tells a cell's domain, by its name."""
    for name in obs:
        if "domain" in str(name).casefold() and not pd.api.types.is_float_dtype(obs[name].dtype):
            return str(name)
    return None


def _cell_text(cell: CellProfile, domain: str, said: tuple[tuple[str, str, float], ...]) -> str:
    unit = "value" if cell.normalised else "counts"
    lines = [f"cell\t{cell.id}", f"{unit} in all\t{number(cell.total)}"]
    if cell.label:
        lines += [f"label\t{cell.label}", f"confidence\t{cell.confidence:.3f}"]
    if cell.runner_up is not None:
        lines.append(f"runner-up\t{cell.runner_up.name}\t{cell.runner_up.probability:.3f}")
    if cell.novelty is not None:
        lines.append(f"novelty\t{cell.novelty:.3f}")
    if domain:
        lines.append(f"domain\t{domain}")
    lines += [f"{model} says\t{label}\t{sure:.3f}" for model, label, sure in said]
    lines += [f"neighbours\t{one.name}\t{one.cells}" for one in cell.neighbours]
    lines.append(f"gene\tattention\t{unit}\tmean of its type\tmean of its neighbours")
    lines += [
        f"{one.gene}\t{one.attention:.6g}\t{one.here:.6g}\t{one.of_type:.6g}\t{one.near:.6g}"
        for one in cell.genes
    ]
    lines += [f"slot {one.slot}\t{one.share:.3f}\t{', '.join(one.genes)}" for one in cell.slots]
    return "\n".join(lines)


def _selection_text(selection: SelectionProfile) -> str:
    unit = "value" if selection.normalised else "counts"
    lines = [f"cells selected\t{selection.cells}"]
    lines += [f"type\t{one.name}\t{one.cells}" for one in selection.types]
    lines.append(f"gene\tattention\tauc\tmean {unit} here\tmean {unit} elsewhere")
    lines += [
        f"{one.gene}\t{one.attention:.6g}\t{one.auc:.6g}\t{one.here:.6g}\t{one.elsewhere:.6g}"
        for one in selection.genes
    ]
    return "\n".join(lines)
