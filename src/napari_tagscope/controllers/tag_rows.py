"""Ranking the genes of groups of cells, and what the panel shows of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from tagscope.api import AnnotationResult, TagTable
    from tagscope.core.labels import LabelSet
    from tagscope.core.section import Cells

FOLLOWS = 0.9  # four fifths of the variance of the ranks is shared
HEATMAP_GENES = 60


@dataclass(frozen=True)
class TagRow:
    """One gene of a group; the quantities are those of :class:`tagscope.api.TagTable`.

    ``follows_level`` is None until it is known, and where it is not defined.
    """

    rank: int
    gene: str
    attention: float
    expression: float
    specificity: float
    auc: float
    follows_level: float | None = None

    @property
    def merely_expression(self) -> bool:
        """Whether attention goes up and down with the gene's level where it is expressed."""
        return self.follows_level is not None and self.follows_level >= FOLLOWS


@dataclass(frozen=True, eq=False)
class TagMap:
    """The leading genes of every type. ``means`` (types, genes): mean attention over all cells."""

    types: tuple[str, ...]
    genes: tuple[str, ...]
    means: npt.NDArray[np.float64]

    @property
    def scaled(self) -> npt.NDArray[np.float64]:
        """``means`` divided by each gene's highest, 0 to 1."""
        return np.asarray(self.means / np.maximum(self.means.max(axis=0), np.finfo(float).tiny))


@dataclass(frozen=True)
class Ranked:
    """A ranking that was made, and the heatmap of its groups."""

    tags: TagTable
    heatmap: TagMap


@dataclass(frozen=True)
class Ranking:
    """A ranking to make: ``codes`` (N,) into ``groups``, −1 for none."""

    result: AnnotationResult
    cells: Cells
    groups: LabelSet
    codes: npt.NDArray[np.int64]
    by: str

    def make(self, context: JobContext) -> Ranked:
        """Rank; the partial result lacks how attention follows expression, which takes longer."""
        first = self._table(following=False)
        heatmap = map_of(first)
        context.step("ranking genes", 1, 2, partial=Ranked(first, heatmap))
        return Ranked(self._table(following=True), heatmap)

    def _table(self, *, following: bool) -> TagTable:
        from tagscope import api

        scores = self.result.gene_scores
        assert scores is not None
        return api.tag_table(
            scores, self.cells, self.groups, self.codes, by=self.by, following=following
        )


def rows_of(tags: TagTable, group: str) -> tuple[TagRow, ...]:
    """The genes of one group, best first; none where it has none."""
    frame = tags.frame[tags.frame["group"] == group]
    columns = ["rank", "gene", "attention", "expression", "specificity", "auc", "follows_level"]
    return tuple(
        TagRow(
            int(rank), str(gene), float(att), float(expr), float(spec), float(auc), _known(level)
        )
        for rank, gene, att, expr, spec, auc, level in frame.reindex(columns=columns).itertuples(
            index=False
        )
    )


def _known(level: float) -> float | None:
    return None if math.isnan(level) else float(level)


def map_of(tags: TagTable) -> TagMap:
    """The heatmap of a table of types: three genes of each, or fewer where they are many."""
    leading = tags.leading(min(3, max(1, HEATMAP_GENES // max(1, tags.means.shape[1]))))
    means = np.ascontiguousarray(leading.to_numpy(dtype=np.float64).T)
    return TagMap(tuple(map(str, leading.columns)), tuple(map(str, leading.index)), means)


def most_attentive(result: AnnotationResult, gene: str) -> str:
    """The type whose cells attend to a gene most on average; "" where that is not known."""
    scores, codes = result.gene_scores, result.annotation.codes
    assigned = codes >= 0
    if scores is None or scores.panel.position(gene) < 0 or not assigned.any():
        return ""
    sums = np.bincount(codes[assigned], scores.column(gene)[assigned])
    means = sums / np.maximum(np.bincount(codes[assigned]), 1)
    return result.annotation.labels.names[int(means.argmax())]


def as_text(rows: tuple[TagRow, ...]) -> str:
    """Rows as tab-separated text with a header, for a spreadsheet."""
    lines = ["rank\tgene\tattention\texpression\tspecificity\tauc\tfollows_level"]
    lines += [
        f"{r.rank}\t{r.gene}\t{r.attention:.6g}\t{r.expression:.6g}"
        f"\t{r.specificity:.6g}\t{r.auc:.6g}"
        f"\t{'' if r.follows_level is None else f'{r.follows_level:.6g}'}"
        for r in rows
    ]
    return "\n".join(lines)
