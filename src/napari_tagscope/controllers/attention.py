"""Which genes the model attends to in a type, and where on the tissue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from napari_tagscope.controllers.observed import Observed
from napari_tagscope.controllers.painter import Painter
from napari_tagscope.state import ViewerState
from napari_tagscope.tasks import Failure, Runner, Task

if TYPE_CHECKING:
    from tagscope.api import AnnotationResult, OpenedSection, TagTable
    from tagscope.core.section import Cells

TOPIC = "rank genes"
EXPRESSION_TOPIC = "read expression"
Quantity = Literal["attention", "expression", "both"]
COLORMAPS = {"attention": "magma", "expression": "viridis"}
NO_SECTION = "Open a section to begin."
NO_RESULT = "Annotate the section to see which genes its cells get attention for."
NO_SCORES = "This annotation has no attention scores. Annotate again with “Attention scores” on."
COMPUTING = "Ranking genes…"


@dataclass(frozen=True)
class TagRow:
    """One gene of a type; the quantities are those of :class:`tagscope.api.TagTable`."""

    rank: int
    gene: str
    attention: float
    expression: float
    specificity: float
    auc: float


@dataclass(frozen=True)
class AttentionState:
    """What the Attention panel shows. ``types`` are names with their number of cells."""

    types: tuple[tuple[str, int], ...] = ()
    label: str = ""
    rows: tuple[TagRow, ...] = ()
    genes: tuple[str, ...] = ()
    gene: str = ""
    quantity: Quantity = "attention"
    hint: str = NO_SECTION
    cell: str = ""
    failure: Failure | None = None


class AttentionController(Observed[AttentionState]):
    """Ranks genes by type and paints the chosen one: its attention, or its expression."""

    def __init__(self, viewer_state: ViewerState, runner: Runner, painter: Painter) -> None:
        super().__init__(AttentionState())
        self._viewer_state = viewer_state
        self._runner = runner
        self._painter = painter
        self._tags: TagTable | None = None
        self._expression: Expression | None = None
        viewer_state.section_changed.connect(self._on_section)
        viewer_state.result_changed.connect(self._on_result)
        viewer_state.label_selected.connect(self._on_label)
        viewer_state.gene_selected.connect(self._on_gene)
        viewer_state.cell_selected.connect(self._on_cell)

    def choose_type(self, label: str) -> None:
        """Show the genes of this type, here and everywhere."""
        self._viewer_state.select_label(label)

    def choose_gene(self, gene: str) -> None:
        """Paint this gene; letter case does not matter."""
        position = self._position(gene)
        if position < 0:
            return
        name = self.state.genes[position]
        if name == self._viewer_state.gene:
            self._paint()
        self._viewer_state.select_gene(name)

    def choose_gene_with_its_type(self, gene: str) -> None:
        """Paint this gene, and list the genes of the type whose cells attend to it most."""
        result = self._viewer_state.result
        if result is not None and result.gene_scores is not None:
            scores, annotation = result.gene_scores, result.annotation
            codes = annotation.codes
            if scores.panel.position(gene) >= 0 and (codes >= 0).any():
                assigned = codes >= 0
                sums = np.bincount(codes[assigned], scores.column(gene)[assigned])
                means = sums / np.maximum(np.bincount(codes[assigned]), 1)
                self.choose_type(annotation.labels.names[int(means.argmax())])
        self.choose_gene(gene)

    def show_quantity(self, quantity: Quantity) -> None:
        """Paint the chosen gene's attention, its expression, or both beside each other."""
        self._update(quantity=quantity)
        self._paint()

    def as_text(self) -> str:
        """The table as tab-separated text with a header, for a spreadsheet."""
        lines = ["rank\tgene\tattention\texpression\tspecificity\tauc"]
        lines += [
            f"{r.rank}\t{r.gene}\t{r.attention:.6g}\t{r.expression:.6g}"
            f"\t{r.specificity:.6g}\t{r.auc:.6g}"
            for r in self.state.rows
        ]
        return "\n".join(lines)

    def _on_section(self, opened: OpenedSection | None) -> None:
        self._expression = None
        self._tags = None
        self._runner.cancel(EXPRESSION_TOPIC)
        self._state = AttentionState(quantity=self.state.quantity)
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
        self._expression = expression
        if self.state.quantity != "attention":
            self._paint()

    def _on_result(self, result: AnnotationResult | None) -> None:
        opened = self._viewer_state.opened
        if result is None or opened is None:
            self._tags = None
            self._runner.cancel(TOPIC)
            self._update(types=(), label="", rows=(), hint=NO_RESULT if opened else NO_SECTION)
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
            self._tags = None
            self._runner.cancel(TOPIC)
            self._update(rows=(), hint=NO_SCORES)
            return
        self._update(hint="" if self.state.rows else COMPUTING)
        cells = opened.section.cells
        self._runner.start(
            Task(
                topic=TOPIC,
                title="Ranking genes by attention",
                work=lambda _: _rank(result, cells),
                done=self._on_tags,
                failed=lambda failure: self._update(rows=(), hint="", failure=failure),
            )
        )

    def _on_tags(self, tags: TagTable) -> None:
        self._tags = tags
        self._update(hint="", rows=_rows(tags, self.state.label))

    def _on_label(self, label: str | None) -> None:
        if label is not None and label in [name for name, _ in self.state.types]:
            self._update(label=label)
            if self._tags is not None:
                self._update(rows=_rows(self._tags, label))

    def _on_gene(self, gene: str | None) -> None:
        self._update(gene=gene or "")
        if gene is not None:
            self._paint()

    def _on_cell(self, cell: int | None) -> None:
        opened, result = self._viewer_state.opened, self._viewer_state.result
        if cell is None or opened is None:
            self._update(cell="")
            return
        text = f"Cell {opened.section.ids[cell]}"
        if result is not None:
            likely = result.annotation.alternatives(cell, 3)
            text += ": " + ", ".join(f"{name} {share:.0%}" for name, share in likely)
        self._update(cell=text)

    def _position(self, gene: str) -> int:
        opened = self._viewer_state.opened
        return -1 if opened is None else opened.section.panel.position(gene.strip())

    def _paint(self) -> None:
        gene, chosen = self.state.gene, self.state.quantity
        painted = []
        for quantity in COLORMAPS if chosen == "both" else (chosen,):
            values = self._values(gene, quantity) if gene else None
            if values is not None:
                title = f"{quantity} · {gene}"
                self._painter.paint_values(quantity, title, values, colormap=COLORMAPS[quantity])
                painted.append(quantity)
        if len(painted) > 1:
            self._painter.show_beside(*painted)

    def _values(self, gene: str, quantity: str) -> npt.NDArray[np.float32] | None:
        if quantity == "expression":
            expression = self._expression
            return None if expression is None else expression.of(self._position(gene))
        result = self._viewer_state.result
        if result is None or result.gene_scores is None:
            return None
        if result.gene_scores.panel.position(gene) < 0:
            self._update(hint=f"The model was not trained with {gene}: it has no attention.")
            return np.full(len(result.annotation.ids), np.nan, dtype=np.float32)
        self._update(hint="")
        return result.gene_scores.column(gene)


class Expression:
    """One gene's expression at a time: ln(1 + counts per 10,000), or values as they are."""

    def __init__(self, cells: Cells) -> None:
        self._columns = sp.csc_matrix(cells.values)
        self._totals = None if cells.normalised else np.maximum(cells.totals, 1.0)

    def of(self, column: int) -> npt.NDArray[np.float32]:
        """Values of one gene, (N,)."""
        values = self._columns[:, [column]].toarray().ravel()
        if self._totals is None:
            return np.asarray(values, dtype=np.float32)
        return np.asarray(np.log1p(values / self._totals * 1e4), dtype=np.float32)


def _rank(result: AnnotationResult, cells: Cells) -> TagTable:
    from tagscope import api

    assert result.gene_scores is not None
    annotation = result.annotation
    return api.tag_table(
        result.gene_scores,
        cells,
        annotation.labels,
        annotation.codes,
        by=result.key,
        following=False,
    )


def _rows(tags: TagTable, label: str) -> tuple[TagRow, ...]:
    frame = tags.frame[tags.frame["group"] == label]
    columns = ["rank", "gene", "attention", "expression", "specificity", "auc"]
    return tuple(
        TagRow(int(rank), str(gene), float(att), float(expr), float(spec), float(auc))
        for rank, gene, att, expr, spec, auc in frame[columns].itertuples(index=False)
    )
