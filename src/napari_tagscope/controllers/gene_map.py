"""Which genes a CellPatch holds alike: those nearest to the selected one, and a map of all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_tagscope.controllers.observed import Observed
from napari_tagscope.controllers.result_bundle import Question, model_of
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure, Runner
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from tagscope.api import AnnotationResult, Bundle, GeneEmbeddings, OpenedSection

TOPIC = "map genes"
NEAREST = 10
UNREAD = "“Map genes” asks the model which genes it holds alike."
CHOOSE = "Choose a gene on the map, or anywhere, to see those most like it."
UNKNOWN = "The model does not know {}."


@dataclass(frozen=True, eq=False)
class GeneMap:
    """``places`` (n, 2) float32 of ``genes``, x and y; ``modules`` (n,) int64, the largest 0.

    ``leading`` has the genes that stand for each module.
    """

    genes: tuple[str, ...]
    places: npt.NDArray[np.float32]
    modules: npt.NDArray[np.int64]
    leading: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class NearGene:
    """A gene and the cosine of its embedding with that of the selected one."""

    gene: str
    cosine: float


@dataclass(frozen=True)
class GeneMapState:
    """What the panel shows; ``near`` are the genes most like ``gene``.

    ``applies`` where a CellPatch annotated.
    """

    applies: bool = False
    map: GeneMap | None = None
    gene: str = ""
    near: tuple[NearGene, ...] = ()
    hint: str = ""
    running: bool = False
    failure: Failure | None = None


class GeneMapController(Observed[GeneMapState]):
    """Asks the CellPatch that annotated for the embeddings of its genes."""

    def __init__(self, viewer_state: ViewerState, runner: Runner) -> None:
        super().__init__(GeneMapState())
        self._viewer_state = viewer_state
        self._found: GeneEmbeddings | None = None
        self._question = Question(
            viewer_state, runner, TOPIC, "Mapping genes", _ask, self._on_found, self._update
        )
        viewer_state.result_changed.connect(self._on_result)
        viewer_state.gene_selected.connect(lambda _: self._show())

    def ask(self, bundle: Path | None = None) -> None:
        """Ask the model that annotated, or the same from the folder ``bundle``."""
        self._question.ask(bundle)

    def choose_gene(self, gene: str) -> None:
        """Select a gene, here and everywhere."""
        self._viewer_state.select_gene(gene)

    def _on_result(self, result: AnnotationResult | None) -> None:
        if self._question.follow(result):
            self._found = None
            self._update(applies=model_of(result) == "cellpatch", map=None, failure=None)
            self._show()

    def _on_found(self, found: GeneEmbeddings) -> None:
        self._found = found
        leading = tuple(found.leading(module) for module in range(found.modules.max() + 1))
        self._update(map=GeneMap(found.panel.symbols, found.umap, found.modules, leading))
        self._show()

    def _show(self) -> None:
        found, gene = self._found, self._viewer_state.gene or ""
        if found is None:
            self._update(gene=gene, near=(), hint=UNREAD)
        elif found.panel.position(gene) < 0:
            self._update(gene=gene, near=(), hint=UNKNOWN.format(gene) if gene else CHOOSE)
        else:
            near = found.nearest(gene, NEAREST).itertuples(index=False)
            rows = tuple(NearGene(str(name), float(cosine)) for name, cosine in near)
            self._update(gene=gene, near=rows, hint="")


def _ask(
    opened: OpenedSection,
    result: AnnotationResult,  # noqa: ARG001 - a question's
    bundle: Bundle,
    context: JobContext,
) -> GeneEmbeddings:
    from tagscope import api

    return api.gene_embeddings(opened, bundle, context=context)
