"""Memory slots: what each holds, the gene sets in it, and where on the tissue it is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_tagscope.controllers.contrast import paint_spread
from napari_tagscope.controllers.gene_sets import (
    GENE_SETS,
    ORTHOLOGUES,
    GeneSets,
    RememberedFiles,
    SetRow,
)
from napari_tagscope.controllers.observed import Observed
from napari_tagscope.controllers.painter import Painter
from napari_tagscope.controllers.result_bundle import Question, model_of
from napari_tagscope.controllers.slot_rows import ProgramRow, SlotRow, program_rows, slot_rows
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure, Runner, Task
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from tagscope.api import (
        AnnotationResult,
        Bundle,
        OpenedSection,
        SlotScores,
        SlotSummary,
    )

TOPIC = "memory slots"
SCORE_TOPIC = "score memory slots"
PAINTING = "memory slot"
COLORMAP = "magma"
NO_RESULT = "Annotate the section to see what the model's memory slots hold."
NO_SLOTS = "This annotation has no memory scores. “Read slots” asks the model for them."
COMPUTING = "Reading the memory slots…"


@dataclass(frozen=True)
class SlotsState:
    """What the panel shows; ``program`` and ``sets`` are those of the ``chosen`` slot.

    ``applies`` is False where the model that annotated has no slots, but patches.
    ``note`` says how many sets were tested and how genes were matched.
    """

    slots: tuple[SlotRow, ...] = ()
    chosen: int | None = None
    program: tuple[ProgramRow, ...] = ()
    gene_sets: Path | None = None
    orthologues: Path | None = None
    sets: tuple[SetRow, ...] = ()
    note: str = ""
    hint: str = NO_RESULT
    applies: bool = True
    can_score: bool = False
    running: bool = False
    failure: Failure | None = None


@dataclass(frozen=True, eq=False)
class Memory:
    """What is read from memory scores. ``shares`` (N, S) of a cell's genes in every slot."""

    summary: SlotSummary
    shares: npt.NDArray[np.float32]


class SlotsController(Observed[SlotsState]):
    """Summarises the memory scores of a result once they are looked at, and paints a slot."""

    def __init__(
        self,
        viewer_state: ViewerState,
        runner: Runner,
        painter: Painter,
        remembered: RememberedFiles,
    ) -> None:
        super().__init__(
            SlotsState(
                gene_sets=remembered.path(GENE_SETS), orthologues=remembered.path(ORTHOLOGUES)
            )
        )
        self._viewer_state = viewer_state
        self._runner = runner
        self._painter = painter
        self._looked_at = False
        self._memory: Memory | None = None
        self._sets = GeneSets(runner, remembered, "slot", self._show, self._update)
        self._question = Question(
            viewer_state, runner, SCORE_TOPIC, "Reading memory slots", _score, self._on_scores,
            self._update,
        )  # fmt: skip
        viewer_state.result_changed.connect(self._on_result)
        viewer_state.label_selected.connect(lambda _: self._show())

    def look(self, wanted: bool) -> None:
        """Summarise now and for every result to come, or no longer."""
        self._looked_at = wanted
        if wanted and self._memory is None:
            self._summarise()

    def choose(self, number: int) -> None:
        """Paint a slot, and show its program and gene sets."""
        self._update(chosen=number)
        self._show()
        if self._memory is not None:
            title = f"slot {number} · share of a cell's genes"
            values = np.ascontiguousarray(self._memory.shares[:, number])
            paint_spread(self._painter, PAINTING, title, values, colormap=COLORMAP)

    def choose_gene(self, gene: str) -> None:
        """Select a gene of a program, here and everywhere."""
        self._viewer_state.select_gene(gene)

    def choose_sets(self, purpose: str, path: Path) -> None:
        """Test the sets of a GMT file in every slot (``GENE_SETS``), or match genes with those of
        the other species (``ORTHOLOGUES``), now and in what is opened later."""
        self._sets.choose(purpose, path)
        if self._memory is not None:
            self._sets.test(self._memory.summary)

    def score(self, bundle: Path | None = None) -> None:
        """Ask the model that annotated for its memory scores; labels stay as they are."""
        self._question.ask(bundle)

    def _on_scores(self, scores: SlotScores) -> None:
        result = self._viewer_state.result
        if result is not None:
            parameters = {**result.provenance.parameters, "slots": True}
            provenance = replace(result.provenance, parameters=parameters)
            self._viewer_state.set_result(
                replace(result, slot_scores=scores, provenance=provenance)
            )

    def _on_result(self, result: AnnotationResult | None) -> None:
        scores = None if result is None else result.slot_scores
        self._memory = None
        self._runner.cancel(TOPIC)
        self._sets.forget()
        if self._question.follow(result):
            self._update(chosen=None)
        hint = NO_RESULT if result is None else NO_SLOTS if scores is None else COMPUTING
        can_score = result is not None and scores is None
        applies = model_of(result) != "cellpatch"
        self._update(hint=hint, applies=applies, can_score=can_score, failure=None)
        self._show()
        if self._looked_at:
            self._summarise()

    def _summarise(self) -> None:
        result = self._viewer_state.result
        if result is None or result.slot_scores is None:
            return
        self._runner.start(
            Task(
                topic=TOPIC,
                title="Summarising memory slots",
                work=lambda _: _summarise(result),
                done=self._on_memory,
                failed=lambda failure: self._update(hint="", failure=failure),
            )
        )

    def _on_memory(self, memory: Memory) -> None:
        self._memory = memory
        self._update(hint="")
        self._show()
        self._sets.test(memory.summary)

    def _show(self) -> None:
        """Show the slots as the chosen type has them, and what the chosen slot holds."""
        memory, chosen = self._memory, self.state.chosen
        if memory is None:
            self._update(slots=(), program=(), sets=(), note="")
            return
        slots = slot_rows(memory.summary, self._viewer_state.label)
        program = () if chosen is None else program_rows(memory.summary, chosen)
        sets = self._sets.rows(chosen)
        self._update(slots=slots, program=program, sets=sets, note=self._sets.note)


def _summarise(result: AnnotationResult) -> Memory:
    from tagscope import api

    assert result.slot_scores is not None
    annotation = result.annotation
    summary = api.slot_summary(
        result.slot_scores, annotation.labels, annotation.codes, by=result.key
    )
    return Memory(summary, api.slot_shares(result.slot_scores).astype(np.float32))


def _score(
    opened: OpenedSection, result: AnnotationResult, bundle: Bundle, context: JobContext
) -> SlotScores:
    from tagscope import api

    config = api.AnnotateConfig(key=result.key, slots=True)
    found = api.annotate(opened, bundle, config, context=context)
    assert found.slot_scores is not None
    return found.slot_scores
