"""Which genes the model attends to in a type, and where on the tissue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from napari_tagscope.controllers.contrast import USUAL_PERCENTILE
from napari_tagscope.controllers.expression import Expression
from napari_tagscope.controllers.gene_painting import GenePainting, Quantity, Tops
from napari_tagscope.controllers.gene_search import near_matches
from napari_tagscope.controllers.observed import Observed
from napari_tagscope.controllers.painter import Painter
from napari_tagscope.controllers.tag_rows import (
    Ranked,
    Ranking,
    TagMap,
    TagRow,
    as_text,
    most_attentive,
    rows_of,
)
from napari_tagscope.state import Rows, ViewerState
from napari_tagscope.tasks import Failure, Runner, Task
from tagscope.jobs import Progress

if TYPE_CHECKING:
    from tagscope.api import AnnotationResult, OpenedSection, TagTable
    from tagscope.core.labels import LabelSet
    from tagscope.core.results import GeneScores

TOPIC = "rank genes"
CELLS_TOPIC = "rank genes of the selected cells"
EXPRESSION_TOPIC = "read expression"
SEARCH_TOPIC = "search genes"
Source = Literal["type", "cells"]
SELECTED = "selected"
NO_SECTION = "Open a section to begin."
NO_RESULT = "Annotate the section to see which genes its cells get attention for."
NO_SCORES = (
    "This annotation has no attention scores. Annotate with a CellMemory or a CellPatch and "
    "“Attention scores” on."
)
COMPUTING = "Ranking genes…"
STOPPED = "Ranking was cancelled. Choose a type to rank its genes."
UNTRAINED = "The model was not trained with {}: it has no attention."


@dataclass(frozen=True)
class AttentionState:
    """What the Attention panel shows.

    ``types`` are names with their number of cells. ``source``: whose genes the ``rows`` are, those
    of the type ``label`` or of the ``selected`` cells. ``sought`` is a gene that the section does
    not have, ``near`` those that may be meant. ``tops`` are the values at which the colours of
    what is painted end, the ``percentile`` of their values above 0, with their unit.
    """

    types: tuple[tuple[str, int], ...] = ()
    label: str = ""
    source: Source = "type"
    selected: int = 0
    rows: tuple[TagRow, ...] = ()
    heatmap: TagMap | None = None
    genes: tuple[str, ...] = ()
    gene: str = ""
    sought: str = ""
    near: tuple[str, ...] = ()
    quantity: Quantity = "attention"
    percentile: float = USUAL_PERCENTILE
    tops: Tops = ()
    hint: str = NO_SECTION
    failure: Failure | None = None


class AttentionController(Observed[AttentionState]):
    """Ranks genes by type and paints the chosen one: its attention, or its expression."""

    def __init__(self, viewer_state: ViewerState, runner: Runner, painter: Painter) -> None:
        super().__init__(AttentionState())
        self._viewer_state = viewer_state
        self._runner = runner
        self._painting = GenePainting(viewer_state, painter)
        self._tags: TagTable | None = None
        self._tags_of_cells: TagTable | None = None
        viewer_state.section_changed.connect(self._on_section)
        viewer_state.result_changed.connect(self._on_result)
        viewer_state.label_selected.connect(self._on_label)
        viewer_state.gene_selected.connect(self._on_gene)
        viewer_state.rows_selected.connect(self._on_rows)

    def choose_type(self, label: str) -> None:
        """Show the genes of this type, here and everywhere."""
        if label == self._viewer_state.label:
            self._on_label(label)
        self._viewer_state.select_label(label)

    def choose_cells(self) -> None:
        """Show the genes of the selected cells, set against all others."""
        if self.state.selected:
            self._update(source="cells")
            self._show_rows()

    def choose_gene(self, gene: str) -> None:
        """Paint this gene, by symbol in any letter case or Ensembl id.

        Of one that the section does not have, those that may be meant are looked for.
        """
        position = self._position(gene)
        if position < 0:
            self._look_for(gene.strip())
            return
        self._runner.cancel(SEARCH_TOPIC)
        self._update(sought="", near=())
        name = self.state.genes[position]
        if name == self._viewer_state.gene:
            self._paint()
        self._viewer_state.select_gene(name)

    def choose_gene_with_its_type(self, gene: str) -> None:
        """Paint this gene, and list the genes of the type whose cells attend to it most."""
        result = self._viewer_state.result
        label = "" if result is None else most_attentive(result, gene)
        if label:
            self.choose_type(label)
        self.choose_gene(gene)

    def paint_expression(self, gene: str) -> None:
        """Paint this gene's expression, with its attention beside it where both are painted."""
        if self.state.quantity == "attention":
            self._update(quantity="expression")
        self.choose_gene(gene)

    def show_quantity(self, quantity: Quantity) -> None:
        """Paint the chosen gene's attention, its expression, or both beside each other."""
        self._update(quantity=quantity)
        self._paint()

    def set_percentile(self, percentile: float) -> None:
        """End the colours of attention and expression at this percentile of values above 0."""
        self._update(percentile=percentile, tops=self._painting.end_colors(percentile))

    def as_text(self) -> str:
        """The table as tab-separated text with a header, for a spreadsheet."""
        return as_text(self.state.rows)

    def _look_for(self, gene: str) -> None:
        genes = self.state.genes
        self._update(sought=gene, near=())
        if not gene or not genes:
            return
        self._runner.start(
            Task(
                topic=SEARCH_TOPIC,
                title=f"Looking for genes like {gene}",
                work=lambda _: near_matches(gene, genes),
                done=lambda near: self._update(near=near),
                failed=lambda failure: self._update(failure=failure),
            )
        )

    def _on_section(self, opened: OpenedSection | None) -> None:
        self._painting.forget()
        self._tags = self._tags_of_cells = None
        for topic in (EXPRESSION_TOPIC, SEARCH_TOPIC):
            self._runner.cancel(topic)
        self._state = AttentionState(quantity=self.state.quantity, percentile=self.state.percentile)
        genes = () if opened is None else opened.section.panel.symbols
        self._update(genes=genes, hint=NO_SECTION if opened is None else NO_RESULT)
        if opened is not None:
            self._read_expression(opened)

    def _read_expression(self, opened: OpenedSection) -> None:
        cells = opened.section.cells
        self._runner.start(
            Task(
                topic=EXPRESSION_TOPIC,
                title="Reading expression",
                work=lambda _: Expression(cells),
                done=self._on_expression,
                failed=lambda failure: self._update(failure=failure),
            )
        )

    def _on_expression(self, expression: Expression) -> None:
        self._painting.expression = expression
        if self.state.quantity != "attention":
            self._paint()

    def _on_result(self, result: AnnotationResult | None) -> None:
        opened = self._viewer_state.opened
        self._tags = self._tags_of_cells = None
        if result is None or opened is None:
            self._stop_ranking()
            hint = NO_RESULT if opened else NO_SECTION
            self._update(types=(), label="", rows=(), heatmap=None, hint=hint)
            return
        annotation = result.annotation
        counts = np.bincount(annotation.codes + 1, minlength=len(annotation.labels) + 1)[1:]
        order = np.argsort(-counts, kind="stable")
        types = tuple((annotation.labels.names[i], int(counts[i])) for i in order if counts[i])
        names = [name for name, _ in types]
        kept = self._viewer_state.label or self.state.label
        label = kept if kept in names else next(iter(names), "")
        self._update(types=types, label=label, failure=None)
        self._rank(opened, result)

    def _rank(self, opened: OpenedSection, result: AnnotationResult) -> None:
        if result.gene_scores is None:
            self._stop_ranking()
            self._update(rows=(), heatmap=None, hint=NO_SCORES)
            return
        self._update(hint="" if self.state.rows else COMPUTING)
        annotation = result.annotation
        ranking = Ranking(
            result, opened.section.cells, annotation.labels, annotation.codes, result.key
        )
        self._start(TOPIC, "Ranking genes by attention", ranking, self._on_tags)
        self._rank_cells()

    def _rank_cells(self) -> None:
        """Rank the genes of the selected cells, if there are any."""
        opened, result = self._viewer_state.opened, self._viewer_state.result
        rows = self._viewer_state.rows
        if opened is None or result is None or result.gene_scores is None or not len(rows):
            return
        groups, codes = _selection(opened, rows)
        ranking = Ranking(result, opened.section.cells, groups, codes, SELECTED)
        self._start(
            CELLS_TOPIC, "Ranking genes of the selected cells", ranking, self._on_tags_of_cells
        )

    def _start(
        self, topic: str, title: str, ranking: Ranking, show: Callable[[Ranked], None]
    ) -> None:
        def report(reports: Sequence[Progress]) -> None:
            for partial in [r.partial for r in reports if r.partial is not None][-1:]:
                show(partial)

        self._runner.start(
            Task(
                topic=topic,
                title=title,
                work=ranking.make,
                done=show,
                failed=lambda failure: self._update(rows=(), hint="", failure=failure),
                reported=report,
                cancelled=self._on_stopped,
            )
        )

    def _on_stopped(self) -> None:
        """Somebody cancelled a ranking that was waited for."""
        if self.state.hint == COMPUTING:
            self._update(hint=STOPPED)

    def _stop_ranking(self) -> None:
        self._tags = self._tags_of_cells = None
        for topic in (TOPIC, CELLS_TOPIC):
            self._runner.cancel(topic)

    def _on_tags(self, ranked: Ranked) -> None:
        self._tags = ranked.tags
        self._update(heatmap=ranked.heatmap)
        self._show_rows()

    def _on_tags_of_cells(self, ranked: Ranked) -> None:
        self._tags_of_cells = ranked.tags
        self._show_rows()

    def _show_rows(self) -> None:
        of_cells = self.state.source == "cells"
        tags = self._tags_of_cells if of_cells else self._tags
        if tags is not None:
            group = SELECTED if of_cells else self.state.label
            self._update(hint="", rows=rows_of(tags, group))
        elif self.state.hint == STOPPED:
            self._on_result(self._viewer_state.result)
        elif self._scores is not None and self.state.failure is None:
            self._update(rows=(), hint=COMPUTING)

    @property
    def _scores(self) -> GeneScores | None:
        result = self._viewer_state.result
        return None if result is None else result.gene_scores

    def _on_label(self, label: str | None) -> None:
        if label is not None and label in [name for name, _ in self.state.types]:
            self._update(label=label, source="type")
            self._show_rows()

    def _on_rows(self, rows: Rows) -> None:
        self._tags_of_cells = None
        self._runner.cancel(CELLS_TOPIC)
        self._update(selected=len(rows), source="cells" if len(rows) else "type")
        self._rank_cells()
        self._show_rows()

    def _on_gene(self, gene: str | None) -> None:
        self._update(gene=gene or "", sought="", near=())
        if gene is not None:
            self._paint()

    def _position(self, gene: str) -> int:
        opened = self._viewer_state.opened
        name = gene.strip()
        return -1 if opened is None else opened.section.panel.position(name, ensembl=name)

    def _paint(self) -> None:
        gene, quantity = self.state.gene, self.state.quantity
        scores = self._scores
        if gene and scores is not None and quantity != "expression":
            self._update(hint="" if scores.panel.position(gene) >= 0 else UNTRAINED.format(gene))
        self._update(tops=self._painting.paint(gene, quantity, self.state.percentile))


def _selection(opened: OpenedSection, rows: Rows) -> tuple[LabelSet, npt.NDArray[np.int64]]:
    from tagscope import api

    return api.selection_groups(opened.section.ids, rows)
