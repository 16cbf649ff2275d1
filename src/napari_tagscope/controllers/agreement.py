"""Several models beside each other: where they agree, and the cells to look at first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_tagscope.controllers.observed import Observed
from napari_tagscope.controllers.painter import Painter
from napari_tagscope.controllers.stored import stored_keys
from napari_tagscope.state import Rows, ViewerState
from napari_tagscope.tasks import Failure, Runner, Task
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from pandas import DataFrame

    from tagscope.api import AnnotationResult, LabelAgreement, OpenedSection

TOPIC = "compare models"
SAVE_TOPIC = "save agreement"
LISTED = 200  # doubtful cells at most
COMPARE = "Tick two models or more, and compare them: cells are painted by who agrees."
AGAIN = "Other models are ticked than those on view: compare again."
TOO_FEW = "Tick at least two models."


@dataclass(frozen=True)
class Pair:
    """Two models over the ``cells`` that both gave a label: share of the same one, and Cohen's
    kappa, which takes off what chance would give; NaN of no cells."""

    first: str
    second: str
    cells: int
    agreement: float
    kappa: float


@dataclass(frozen=True)
class Doubtful:
    """A cell of the list: what the models say of it, the commonest label first, and its doubt."""

    row: int
    id: str
    said: str
    doubt: float


@dataclass(frozen=True)
class AgreementState:
    """What the card shows. ``keys`` are the annotations of the section, ``chosen`` those ticked,
    ``compared`` those on view, none before a comparison. ``doubtful`` are of the selected cells
    where there are some, ``place`` says which of how many the cell on view is."""

    keys: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    compared: tuple[str, ...] = ()
    running: bool = False
    told: str = ""
    pairs: tuple[Pair, ...] = ()
    doubtful: tuple[Doubtful, ...] = ()
    cell: int | None = None
    place: str = ""
    saving: bool = False
    saved: str = ""
    failure: Failure | None = None

    @property
    def offered(self) -> bool:
        """Whether there is something to compare."""
        return len(self.keys) > 1

    @property
    def ready(self) -> bool:
        """Whether a comparison can start."""
        return len(self.chosen) > 1 and not self.running

    @property
    def hint(self) -> str:
        """What to do next."""
        if self.running or self.saving:
            return "Comparing…" if self.running else "Saving…"
        if len(self.chosen) < 2:
            return TOO_FEW
        if not self.compared:
            return COMPARE
        return self.saved if self.chosen == self.compared else AGAIN


class AgreementController(Observed[AgreementState]):
    """Compares the annotations of a section, those in its table and those made here.

    What is on view follows when one of them changes, as by the bound on confidence.
    """

    def __init__(self, viewer_state: ViewerState, runner: Runner, painter: Painter) -> None:
        super().__init__(AgreementState())
        self._viewer_state = viewer_state
        self._runner = runner
        self._painter = painter
        self._stored: tuple[str, ...] = ()
        self._seen: dict[str, AnnotationResult] = {}
        self._ranked: Rows = np.zeros(0, np.int64)  # doubtful first
        viewer_state.section_changed.connect(self._on_section)
        viewer_state.result_changed.connect(self._on_result)
        viewer_state.agreement_changed.connect(self._on_agreement)
        viewer_state.rows_selected.connect(lambda _: self._rank())
        viewer_state.cell_selected.connect(lambda _: self._place())

    def choose(self, key: str, wanted: bool) -> None:
        """Take a model in, or leave it out; the next comparison follows."""
        chosen = {*self.state.chosen, key} if wanted else {*self.state.chosen} - {key}
        self._update(chosen=tuple(one for one in self.state.keys if one in chosen), failure=None)

    def compare(self) -> None:
        """Compare the models that are ticked, and paint who agrees."""
        if self.state.ready:
            self._compare(self.state.chosen)

    def cancel(self) -> None:
        """Stop; the comparison on view stays."""
        self._runner.cancel(TOPIC)

    def go_to(self, row: int) -> None:
        """Show a cell, in the middle of the view and in the Inspector."""
        self._viewer_state.select_cell(row)
        self._painter.bring_into_view(row, centred=True)

    def step(self, by: int) -> None:
        """Go to the next doubtful cell (1), or to the one before (−1); after the last comes the
        first. From a cell that is not listed, to the first."""
        count = len(self._ranked)
        if count:
            place = self._place_of(self._viewer_state.cell)
            self.go_to(int(self._ranked[0 if place is None else (place + by) % count]))

    def save(self) -> None:
        """Write the map, the doubt and the consensus into the section's own store."""
        opened, found = self._viewer_state.opened, self._viewer_state.agreement
        if opened is None or found is None:
            return
        path = opened.source.path
        self._update(saving=True, saved="", failure=None)
        self._runner.start(
            Task(
                topic=SAVE_TOPIC,
                title=f"Saving {path.name}",
                work=lambda context: _save(opened, found, path, context),
                done=lambda _: self._update(saving=False, saved=f"Saved to {path}"),
                failed=lambda failure: self._update(saving=False, failure=failure),
                cancelled=lambda: self._update(saving=False),
                unit="MB",
            )
        )

    def as_text(self) -> str:
        """The listed cells as tab-separated text, for a spreadsheet."""
        lines = ["cell\tlabels\tdoubt"]
        lines += [f"{one.id}\t{one.said}\t{one.doubt:.6g}" for one in self.state.doubtful]
        return "\n".join(lines)

    def _on_section(self, opened: OpenedSection | None) -> None:
        self._runner.cancel(TOPIC)
        self._stored = () if opened is None else tuple(stored_keys(opened.table))
        self._update(**vars(AgreementState()))
        self._know()

    def _on_result(self, result: AnnotationResult | None) -> None:
        other = result is not None and self._seen.get(result.key) is not result
        self._know()
        if other and result is not None and result.key in self.state.compared:
            self._compare(self.state.compared)

    def _know(self) -> None:
        """List the annotations there are; new ones are ticked."""
        self._seen = self._viewer_state.results
        before, keys = self.state, tuple(sorted({*self._stored, *self._seen}))
        chosen = tuple(k for k in keys if k in before.chosen or k not in before.keys)
        self._update(keys=keys, chosen=chosen)

    def _compare(self, keys: tuple[str, ...]) -> None:
        opened, before = self._viewer_state.opened, self._viewer_state.agreement
        if opened is None:
            return
        given = self._viewer_state.results
        results = {key: given[key] for key in keys if key in given}
        obs, ids = opened.table.obs, opened.section.ids
        self._update(running=True, failure=None)
        self._runner.start(
            Task(
                topic=TOPIC,
                title="Comparing models",
                work=lambda context: _compared(keys, results, obs, ids, before, context),
                done=self._on_compared,
                failed=lambda failure: self._update(running=False, failure=failure),
                cancelled=lambda: self._update(running=False),
            )
        )

    def _on_compared(self, found: LabelAgreement) -> None:
        self._update(running=False)
        self._viewer_state.set_agreement(found)

    def _on_agreement(self, found: LabelAgreement | None) -> None:
        if found is None:
            self._update(compared=(), told="", pairs=(), saved="")
        else:
            self._update(compared=found.models, told=_told(found), pairs=_pairs(found), saved="")
        self._rank()

    def _rank(self) -> None:
        """List the doubtful cells: of the selection where there is one."""
        found, rows = self._viewer_state.agreement, self._viewer_state.rows
        if found is None:
            self._ranked = np.zeros(0, np.int64)
            self._update(doubtful=())
        else:
            wanted = np.full(len(found), len(rows) == 0)
            wanted[rows] = True
            self._ranked = found.order[wanted[found.order]]
            listed = tuple(_doubtful(found, int(row)) for row in self._ranked[:LISTED])
            self._update(doubtful=listed)
        self._place()

    def _place_of(self, row: int | None) -> int | None:
        if row is None:
            return None
        at = np.flatnonzero(self._ranked == row)
        return int(at[0]) if len(at) else None

    def _place(self) -> None:
        cell = self._viewer_state.cell
        place, count = self._place_of(cell), len(self._ranked)
        what = " selected" if len(self._viewer_state.rows) else ""
        text = f"{count:,}{what} cells" if count else ""
        if place is not None:
            text = f"{place + 1:,} of {text}"
        self._update(cell=cell if place is not None else None, place=text)


def _compared(
    keys: tuple[str, ...],
    results: dict[str, AnnotationResult],
    obs: DataFrame,
    ids: Any,
    before: LabelAgreement | None,
    context: JobContext,
) -> LabelAgreement:
    """Runs in a job's thread; all that is shown of it is known afterwards."""
    from tagscope import api

    context.step("reading labels", 0, 2)
    models = [
        api.ModelLabels.of_result(results[key])
        if key in results
        else api.ModelLabels.of_column(obs, key)
        for key in keys
    ]
    context.step("comparing", 1, 2)
    found = api.label_agreement(models, ids)
    if before is not None and before.models == found.models:
        found = replace(found, kinds=before.kinds)
    assert len(found.order) == len(ids)
    assert len(found.pairs) > 0
    context.step("comparing", 2, 2)
    return found


def _save(opened: OpenedSection, found: LabelAgreement, out: Path, context: JobContext) -> Path:
    from tagscope import api

    return api.write_result(opened, found, out, overwrite=True, context=context)


def _told(found: LabelAgreement) -> str:
    """Shares of the kinds that matter most."""
    count, cells = len(found.models), max(1, len(found))
    alike = int((found.agreeing == count).sum())
    lines = [f"All {count} models agree on {alike:,} of {len(found):,} cells ({alike / cells:.1%})"]
    if count > 2:
        most = int((found.consensus >= 0).sum())
        lines.append(f"More than half of them on {most:,} ({most / cells:.1%})")
    none = int((found.codes < 0).any(axis=0).sum())
    lines += [f"{none:,} Unassigned by at least one"] if none else []
    return "\n".join(lines)


def _pairs(found: LabelAgreement) -> tuple[Pair, ...]:
    columns = ["first", "second", "cells", "agreement", "kappa"]
    return tuple(
        Pair(str(first), str(second), int(cells), float(agreement), float(kappa))
        for first, second, cells, agreement, kappa in found.pairs[columns].itertuples(index=False)
    )


def _doubtful(found: LabelAgreement, row: int) -> Doubtful:
    said = [label for _, label, _ in found.said(row)]
    names = sorted(dict.fromkeys(said), key=lambda name: -said.count(name))
    return Doubtful(row, str(found.ids[row]), " / ".join(names), float(found.doubt[row]))
