"""What is known of single cells and of selections: types, genes, slots, and cells like them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tagscope.core.labels import UNASSIGNED, UNASSIGNED_COLOR, LabelSet
from tagscope.core.neighbours import TissueNeighbours
from tagscope.core.results import Annotation, AnnotationResult
from tagscope.core.section import Section
from tagscope.errors import ArgumentError
from tagscope.interpret.stored import SELECTED, selection_groups
from tagscope.interpret.tags import tag_table
from tagscope.jobs import JobContext

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NEAR = 10  # cells that are a cell's neighbours
CHUNK = 200_000  # cells between two reports


@dataclass(frozen=True)
class CellGene:
    """A gene in a cell: its ``attention``, missing (NaN) where there are no scores, and its counts
    ``here``, as a mean over the cell's type (``of_type``), and over its neighbours (``near``)."""

    gene: str
    attention: float
    here: float
    of_type: float
    near: float


@dataclass(frozen=True)
class CellSlot:
    """A memory slot in a cell: the ``share`` of the cell's genes that goes into it, and the genes
    that go into it most."""

    slot: int
    share: float
    genes: tuple[str, ...]


@dataclass(frozen=True)
class TypeCount:
    """How many of some cells are of a type."""

    name: str
    color: str
    cells: int


@dataclass(frozen=True)
class LikelyType:
    """A label and its ``probability`` in a cell."""

    name: str
    color: str
    probability: float


@dataclass(frozen=True)
class CellProfile:
    """All that is known of one cell.

    Without an annotation ``label`` is empty and the genes are those with the highest counts; their
    ``of_type`` is then the mean over all cells. ``runner_up`` is the likeliest other label, None
    where there is none. ``novelty``: 0 to 1, None where not known. ``total`` of all values, which
    are no counts where ``normalised``.
    """

    row: int
    id: str
    label: str
    color: str
    confidence: float
    runner_up: LikelyType | None
    novelty: float | None
    total: float
    normalised: bool
    genes: tuple[CellGene, ...]
    slots: tuple[CellSlot, ...]
    neighbours: tuple[TypeCount, ...]


@dataclass(frozen=True)
class SelectionGene:
    """A TAG of a selection: mean ``attention`` in it and ``auc`` against all other cells, both
    missing (NaN) where there are no scores; mean counts ``here`` and ``elsewhere``."""

    gene: str
    attention: float
    auc: float
    here: float
    elsewhere: float


@dataclass(frozen=True)
class SelectionProfile:
    """What some cells have in common: their types, most first, and their TAGs.

    Without attention scores the genes are those with the highest mean counts. ``confidence`` is the
    mean, missing (NaN) without an annotation.
    """

    cells: int
    types: tuple[TypeCount, ...]
    confidence: float
    normalised: bool
    genes: tuple[SelectionGene, ...]


class CellProfiles:
    """Reads single cells of a section, at once, and of what ``annotate`` found in it.

    ``neighbours`` may be given where they were made before.

    Raises
    ------
    ArgumentError
        If section and result are of different cells.
    """

    def __init__(
        self,
        section: Section,
        result: AnnotationResult | None = None,
        neighbours: TissueNeighbours | None = None,
    ) -> None:
        if result is not None and not np.array_equal(result.annotation.ids, section.ids):
            raise ArgumentError(
                f"The result holds {len(result.annotation.ids)} cells, the section {len(section)}, "
                "or they are in another order.",
                "A result of the section's own cells is needed.",
                "Annotate this section.",
            )
        self.section = section
        self.result = result
        self.neighbours = neighbours or TissueNeighbours(section)
        self._values, self._totals = section.cells.values, section.cells.totals
        self._annotation = None if result is None else result.annotation
        self._labels, self._codes = LabelSet(()), np.full(len(section), -1, np.int64)
        self._confidence = np.full(len(section), np.nan, np.float32)
        if self._annotation is not None:
            self._labels, self._codes = self._annotation.labels, self._annotation.codes
            self._confidence = self._annotation.confidence
        self._names = np.array(section.panel.symbols, dtype=object)
        scored = None if result is None else result.gene_scores
        self._scores = None if scored is None else _sorted(scored.scores)
        self._columns = None if scored is None else scored.panel.columns_in(section.panel)
        memory = None if result is None else result.slot_scores
        self._slots = () if memory is None else tuple(_sorted(one) for one in memory.scores)
        self._slot_names = () if memory is None else memory.panel.symbols
        self._type_means = _means(self._values, self._codes, self._labels)

    def of_cell(self, row: int, top: int = 8) -> CellProfile:
        """All that is known of the cell in ``row``, with its ``top`` genes."""
        near = self.neighbours.nearest(row, NEAR)
        annotation, code = self._annotation, int(self._codes[row])
        name, color = ("", "") if annotation is None else _named(self._labels, code)
        novelty = None if annotation is None else annotation.novelty
        return CellProfile(
            row,
            str(self.section.ids[row]),
            name,
            color,
            float(self._confidence[row]),
            None if annotation is None else _runner_up(annotation, row, code),
            None if novelty is None else float(novelty[row]),
            float(self._totals[row]),
            self.section.cells.normalised,
            self._genes(row, code, near, top),
            self._slots_of(row),
            self._types(near),
        )

    def of_cells(
        self, rows: Ints, top: int = 10, context: JobContext | None = None
    ) -> SelectionProfile:
        """What the cells in ``rows`` have in common, with their ``top`` TAGs.

        Raises
        ------
        ArgumentError
            If there are none.
        """
        context = context or JobContext()
        context.step("comparing cells", 0, 2)
        groups, codes = selection_groups(self.section.ids, rows)
        means = _means(self._values, codes, groups)
        context.step("comparing cells", 1, 2)
        elsewhere = means[1] if len(rows) < len(self.section) else np.full(means.shape[1], np.nan)
        genes = self._tags(groups, codes, top)
        if not genes:
            order = np.argsort(-means[0], kind="stable")[:top]
            genes = [(int(column), np.nan, np.nan) for column in order if means[0, column] > 0]
        return SelectionProfile(
            len(rows),
            self._types(rows),
            float(self._confidence[rows].mean()),
            self.section.cells.normalised,
            tuple(
                SelectionGene(
                    str(self._names[column]),
                    attention,
                    auc,
                    float(means[0, column]),
                    float(elsewhere[column]),
                )
                for column, attention, auc in genes
            ),
        )

    def like(self, row: int, count: int = 100, context: JobContext | None = None) -> Ints:
        """Rows of the ``count`` other cells nearest in the embedding, the nearest first.

        Distances are Euclidean.

        Raises
        ------
        ArgumentError
            If the result has no embedding.
        """
        context = context or JobContext()
        if not self.has_embedding:
            raise ArgumentError(
                "There is no embedding of these cells.",
                "Cells are compared by what a model makes of them.",
                "Annotate the section first.",
            )
        assert self._annotation is not None
        space = self._annotation.embedding
        distances = np.empty(len(space), dtype=np.float32)
        for start in range(0, len(space), CHUNK):
            context.step("comparing cells", start, len(space))
            away = space[start : start + CHUNK] - space[row]
            distances[start : start + CHUNK] = np.einsum("nd,nd->n", away, away)
        distances[row] = np.inf
        count = min(count, len(space) - 1)
        if count < 1:
            return np.zeros(0, np.int64)
        nearest = np.argpartition(distances, count - 1)[:count]
        return nearest[np.argsort(distances[nearest], kind="stable")].astype(np.int64)

    @property
    def has_embedding(self) -> bool:
        """Whether cells can be compared by :meth:`like`."""
        return self._annotation is not None and self._annotation.embedding.shape[1] > 0

    def _genes(self, row: int, code: int, near: Ints, top: int) -> tuple[CellGene, ...]:
        here = self._values[[row]].toarray().ravel()
        around = np.full(len(here), np.nan)
        if len(near):
            around = np.asarray(self._values[near].mean(axis=0)).ravel()
        attention = self._attention(row)
        ranked = here if attention is None else attention
        order = np.argsort(-ranked, kind="stable")[:top]
        return tuple(
            CellGene(
                str(self._names[column]),
                np.nan if attention is None else float(attention[column]),
                float(here[column]),
                float(self._type_means[code, column]),
                float(around[column]),
            )
            for column in order
            if ranked[column] > 0
        )

    def _attention(self, row: int) -> Floats | None:
        """Attention of a cell over the section's genes, (G,)."""
        if self._scores is None or self._columns is None:
            return None
        found = np.zeros(len(self._names))
        measured = self._columns >= 0
        found[self._columns[measured]] = _row_of(self._scores, row)[measured]
        return found

    def _slots_of(self, row: int) -> tuple[CellSlot, ...]:
        if not self._slots:
            return ()
        scores = np.stack([_row_of(one, row) for one in self._slots])
        total = scores.sum()
        if not total:
            return ()
        return tuple(
            CellSlot(
                slot,
                float(own.sum() / total),
                tuple(
                    self._slot_names[column]
                    for column in np.argsort(-own, kind="stable")[:3]
                    if own[column] > 0
                ),
            )
            for slot, own in enumerate(scores)
        )

    def _types(self, rows: Ints) -> tuple[TypeCount, ...]:
        if self._annotation is None:
            return ()
        codes, counts = np.unique(self._codes[rows], return_counts=True)
        order = np.lexsort((codes, -counts))
        return tuple(TypeCount(*_named(self._labels, int(codes[i])), int(counts[i])) for i in order)

    def _tags(self, groups: LabelSet, codes: Ints, top: int) -> list[tuple[int, float, float]]:
        """Column, mean attention and AUC of the selection's TAGs."""
        if self.result is None or self.result.gene_scores is None:
            return []
        scores, cells = self.result.gene_scores, self.section.cells
        frame = tag_table(scores, cells, groups, codes, by=SELECTED, top=top, following=False).frame
        rows = frame.loc[frame["group"] == SELECTED, ["gene", "attention", "auc"]]
        return [
            (self.section.panel.position(str(gene)), float(attention), float(auc))
            for gene, attention, auc in rows.itertuples(index=False)
        ]


def _named(labels: LabelSet, code: int) -> tuple[str, str]:
    """Name and colour of a code."""
    if code < 0:
        return UNASSIGNED, UNASSIGNED_COLOR
    return labels.names[code], labels.colors[code]


def _runner_up(annotation: Annotation, row: int, code: int) -> LikelyType | None:
    """The likeliest label but the cell's own; of an unassigned cell the likeliest of all."""
    labels, own = annotation.labels, _named(annotation.labels, code)[0]
    for name, probability in annotation.alternatives(row, 2):
        if name != own:
            return LikelyType(*_named(labels, labels.code(name)), probability)
    return None


def _sorted(matrix: sp.csc_matrix) -> sp.csc_matrix:
    """The matrix with the rows of every column ascending, as :func:`_row_of` needs them."""
    return matrix if matrix.has_sorted_indices else matrix.sorted_indices()


def _row_of(matrix: sp.csc_matrix, row: int) -> Floats:
    """One row of a sorted CSC matrix, (G,), by a binary search in all columns at once."""
    low, ends = matrix.indptr[:-1].astype(np.int64), matrix.indptr[1:].astype(np.int64)
    found = np.zeros(matrix.shape[1])
    if not matrix.nnz:
        return found
    high, last = ends.copy(), matrix.nnz - 1
    while (open_ := low < high).any():
        middle = (low + high) // 2
        below = open_ & (matrix.indices[np.minimum(middle, last)] < row)
        low = np.where(below, middle + 1, low)
        high = np.where(open_ & ~below, middle, high)
    places = np.minimum(low, last)
    there = (low < ends) & (matrix.indices[places] == row)
    found[there] = matrix.data[places[there]]
    return found


def _means(values: sp.csr_matrix, codes: Ints, groups: LabelSet) -> Floats:
    """Mean values of every group, and last of the cells in none, (groups + 1, G)."""
    count = len(groups) + 1
    places = np.where(codes < 0, count - 1, codes)
    sizes = np.bincount(places, minlength=count)
    member = sp.csr_matrix(
        (np.ones(len(codes), np.float32), (places, np.arange(len(codes)))), (count, len(codes))
    )
    sums = np.asarray((member @ values).toarray(), dtype=np.float64)
    return np.asarray(sums / np.maximum(sizes, 1)[:, None])
