"""The TAG table: genes of a type, each quantity as a number beside a small bar."""

from __future__ import annotations

import math

from qtpy.QtCore import Signal

from napari_tagscope.controllers.tag_rows import FOLLOWS, TagRow
from napari_tagscope.views.table import ROW_HEIGHT, Column, Row, Table

GENE, ATTENTION, EXPRESSION, SPECIFICITY, AUC = range(5)
MARK = "≈"
MARK_TIP = f"{MARK} merely follows expression (rho ≥ {FOLLOWS:g})"


def _attention_text(value: float) -> str:
    return f"{value:.4f}" if value < 0.01 else f"{value:.3f}"


def _specificity_text(value: float) -> str:
    return "only here" if math.isinf(value) else f"{value:.1f}×"


def attention_column(tip: str) -> Column:
    """A column of attention scores with their bars."""
    return Column("attention", tip, 10, _attention_text, "attention", "attention")


COLUMNS = (
    Column("gene", "Gene, in the order of mean attention", ranked=True),
    attention_column("Mean attention score over all cells of the type"),
    Column(
        "expression",
        "Mean expression over the type, ln(1 + counts per 10,000)",
        10,
        "{:.2f}".format,
        "expression",
    ),
    Column(
        "spec.",
        "Specificity: mean attention here, divided by the highest in any other type",
        6,
        _specificity_text,
    ),
    Column(
        "AUC",
        "Probability that a cell of the type has a higher attention score than one outside",
        5,
        "{:.2f}".format,
    ),
)


class TagTableView(Table):
    """Sortable; choosing a row by mouse or keys chooses its gene."""

    gene_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__("Top attention genes", COLUMNS, most_rows=None, sortable=True)
        self.setMinimumHeight(ROW_HEIGHT * 7)
        self._tags: tuple[TagRow, ...] = ()
        self.row_chosen.connect(lambda row: self.gene_chosen.emit(self._tags[row].gene))

    def show_tags(self, tags: tuple[TagRow, ...], gene: str) -> None:
        """Show a type's genes and mark the chosen one, if it is among them."""
        if tags != self._tags:
            self._tags = tags
            self.show_rows([_row(tag) for tag in tags])
        self.mark(next((place for place, tag in enumerate(tags) if tag.gene == gene), -1))


def _row(tag: TagRow) -> Row:
    return Row(
        (tag.gene, tag.attention, tag.expression, tag.specificity, tag.auc),
        f"{tag.gene}: click to paint it{_following(tag)}",
        mark=MARK if tag.merely_expression else "",
    )


def _following(tag: TagRow) -> str:
    """How far attention follows expression, on a line of its own; nothing while not known."""
    if tag.follows_level is None:
        return ""
    rho = f"\nSpearman's rho with expression, where expressed: {tag.follows_level:.2f}"
    return f"{rho}\n{MARK_TIP}" if tag.merely_expression else rho
