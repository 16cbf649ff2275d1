"""Patches of a CellPatch: the program of each, the gene sets in it, and where it is active."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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
from napari_tagscope.controllers.patch_rows import PatchGene, PatchRow, patch_genes, patch_rows
from napari_tagscope.controllers.result_bundle import Question, model_of
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure, Runner
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from tagscope.api import AnnotationResult, Bundle, OpenedSection, PatchPrograms

TOPIC = "read patches"
PAINTING = "patch"
COLORMAP = "plasma"
UNIT = "× mean of patches"
UNREAD = "“Read patches” asks the model which genes each of its patches attends to."
CHOOSE = "Choose a patch to paint it."


@dataclass(frozen=True)
class PatchesState:
    """What the panel shows; ``program`` and ``sets`` are those of the ``chosen`` patch.

    ``applies`` where a CellPatch annotated. ``label`` is the type whose programs are shown, "" for
    those of all cells; ``read`` says over how many genes and of which network they are.
    """

    applies: bool = False
    patches: tuple[PatchRow, ...] = ()
    chosen: int | None = None
    label: str = ""
    program: tuple[PatchGene, ...] = ()
    gene_sets: Path | None = None
    orthologues: Path | None = None
    sets: tuple[SetRow, ...] = ()
    note: str = ""
    read: str = ""
    hint: str = ""
    running: bool = False
    failure: Failure | None = None


class PatchesController(Observed[PatchesState]):
    """Asks the CellPatch that annotated for its patches, and paints one."""

    def __init__(
        self,
        viewer_state: ViewerState,
        runner: Runner,
        painter: Painter,
        remembered: RememberedFiles,
    ) -> None:
        super().__init__(
            PatchesState(
                gene_sets=remembered.path(GENE_SETS), orthologues=remembered.path(ORTHOLOGUES)
            )
        )
        self._viewer_state = viewer_state
        self._painter = painter
        self._found: PatchPrograms | None = None
        self._shown: PatchPrograms | None = None
        self._sets = GeneSets(runner, remembered, "patch", self._show, self._update)
        self._question = Question(
            viewer_state, runner, TOPIC, "Reading patches", _read, self._on_found, self._update
        )
        viewer_state.result_changed.connect(self._on_result)
        viewer_state.label_selected.connect(lambda _: self._restrict())

    def read(self, bundle: Path | None = None) -> None:
        """Ask the model that annotated, or the same from the folder ``bundle``."""
        self._question.ask(bundle)

    def cancel(self) -> None:
        """Stop asking the model."""
        self._question.cancel()

    def choose(self, number: int) -> None:
        """Paint a patch, and show its program and gene sets."""
        self._update(chosen=number)
        self._show()
        if self._found is not None:
            values = np.ascontiguousarray(self._found.activity[:, number])
            title, genes = f"patch {number} · activity", self._found.programs
            leading = ", ".join(genes.loc[genes["patch"] == number, "gene"].head(3))
            look = {"colormap": COLORMAP, "facts": leading, "unit": UNIT}
            paint_spread(self._painter, PAINTING, title, values, **look)

    def choose_gene(self, gene: str) -> None:
        """Select a gene of a program, here and everywhere."""
        self._viewer_state.select_gene(gene)

    def choose_sets(self, purpose: str, path: Path) -> None:
        """Test the sets of a GMT file in every patch (``GENE_SETS``), or match genes with those of
        the other species (``ORTHOLOGUES``), now and in what is opened later."""
        self._sets.choose(purpose, path)
        if self._shown is not None:
            self._sets.test(self._shown)

    def _on_result(self, result: AnnotationResult | None) -> None:
        if not self._question.follow(result):
            return
        self._found = self._shown = None
        self._sets.forget()
        self._update(applies=model_of(result) == "cellpatch", chosen=None, failure=None)
        self._restrict()

    def _on_found(self, found: PatchPrograms) -> None:
        self._found = found
        self._restrict()

    def _restrict(self) -> None:
        """Show programs as the selected type has them, or all cells."""
        found, label = self._found, self._viewer_state.label
        if found is None or label not in found.groups:
            label = None
        shown = found if found is None or label is None else found.of(label)
        changed, self._shown = shown is not self._shown, shown
        self._update(label=label or "")
        self._show()
        if shown is not None and changed:
            self._sets.test(shown)

    def _show(self) -> None:
        shown, chosen = self._shown, self.state.chosen
        if shown is None:
            self._update(patches=(), program=(), sets=(), note="", read="", hint=UNREAD)
            return
        record = shown.provenance
        self._update(
            patches=patch_rows(shown, self.state.label or None),
            program=() if chosen is None else patch_genes(shown, chosen),
            sets=self._sets.rows(chosen),
            note=self._sets.note,
            read=f"Network {record.parameters['network'] + 1} of {record.extra['networks']}, "
            f"over {len(shown.panel):,} genes",
            hint=CHOOSE if chosen is None else "",
        )


def _read(
    opened: OpenedSection, result: AnnotationResult, bundle: Bundle, context: JobContext
) -> PatchPrograms:
    from tagscope import api

    return api.patches(opened, bundle, by=result.annotation, context=context)
