"""What the verbs return. Every result knows how to write itself into a table of the same cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from tagscope.core.hierarchy import LabelTree, LevelLabels
from tagscope.core.keys import PROVENANCE, Slots
from tagscope.core.labels import UNASSIGNED, UNASSIGNED_COLOR, LabelSet, default_colors
from tagscope.core.panel import GenePanel
from tagscope.core.provenance import Provenance
from tagscope.errors import ArgumentError, InputError

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class Annotation:
    """A label for every cell.

    ``ids`` (N,); ``probabilities`` (N, C) float32, rows sum to 1; ``embedding`` (N, D) float32.
    ``novelty`` (N,) float32, 0 to 1, how unlike the reference a cell is, None where not known. A
    cell whose largest probability is below ``min_confidence``, or its novelty above
    ``max_novelty``, is ``Unassigned`` (code −1). With a ``tree`` the label is decided from coarse
    to fine, so that the levels never contradict each other.
    """

    ids: npt.NDArray[np.str_]
    labels: LabelSet
    probabilities: npt.NDArray[np.float32]
    embedding: npt.NDArray[np.float32]
    min_confidence: float = 0.0
    novelty: npt.NDArray[np.float32] | None = None
    max_novelty: float = 1.0
    tree: LabelTree | None = None

    @cached_property
    def confidence(self) -> npt.NDArray[np.float32]:
        """Probability of the chosen label, (N,)."""
        if self.tree is not None:
            return self._finest.confidence
        return np.asarray(self.probabilities.max(axis=1), dtype=np.float32)

    @cached_property
    def likeliest(self) -> npt.NDArray[np.int64]:
        """Codes of the labels however unsure they are, (N,); −1 where too unlike the reference."""
        found = self.probabilities.argmax(axis=1) if self.tree is None else self._finest.codes
        if self.novelty is not None:
            found = np.where(self.novelty <= self.max_novelty, found, -1)
        return found.astype(np.int64)

    @cached_property
    def codes(self) -> npt.NDArray[np.int64]:
        """Label codes, (N,), −1 where unassigned."""
        return np.where(self.confidence >= self.min_confidence, self.likeliest, -1)

    @cached_property
    def _finest(self) -> LevelLabels:
        assert self.tree is not None
        return self.tree.decode(self.probabilities)[-1]

    @cached_property
    def levels(self) -> tuple[LevelLabels, ...]:
        """Labels on every level, coarse to fine; none without a tree."""
        if self.tree is None:
            return ()
        found = self.tree.decode(self.probabilities, self.min_confidence)
        if self.novelty is None:
            return found
        trusted = self.novelty <= self.max_novelty
        return tuple(replace(one, codes=np.where(trusted, one.codes, -1)) for one in found)

    def shown(
        self, *, labels: LabelSet | None = None, min_confidence: float | None = None
    ) -> Annotation:
        """The same cells with labels of other names and colours, or with another bound.

        What has been read from the probabilities is kept: it costs per cell, not per label.
        """
        bound = self.min_confidence if min_confidence is None else min_confidence
        other = replace(self, labels=labels or self.labels, min_confidence=bound)
        kept = ("confidence", "likeliest", "_finest")
        vars(other).update({name: vars(self)[name] for name in kept if name in vars(self)})
        return other

    def names(self) -> npt.NDArray[np.str_]:
        """Label names, (N,)."""
        return np.array([*self.labels.names, UNASSIGNED])[self.codes]

    def counts(self) -> list[tuple[str, int]]:
        """Cells per label that occurs, most first."""
        names, counts = np.unique(self.names(), return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return [(str(names[i]), int(counts[i])) for i in order]

    def alternatives(self, cell: int, top: int = 3) -> list[tuple[str, float]]:
        """The likeliest labels of one cell with their probabilities, best first."""
        order = np.argsort(-self.probabilities[cell], kind="stable")[:top]
        return [(self.labels.names[i], float(self.probabilities[cell, i])) for i in order]

    def write_to(self, table: AnnData, key: str, *, overwrite: bool = False) -> None:
        """Write label, colours, confidence, probabilities and embedding into ``table``.

        Raises
        ------
        InputError
            If the table holds other cells.
        ArgumentError
            If the slots exist and ``overwrite`` is not set.
        """
        slots = Slots(key)
        rows = rows_of(self.ids, table)
        refuse_existing(slots.label in table.obs, "obs", slots.label, overwrite)
        for level in self.levels[:-1]:
            refuse_existing(
                slots.level(level.column) in table.obs, "obs", slots.level(level.column), overwrite
            )
        _write_labels(table, slots, self.labels, self.codes[rows], self.confidence[rows])
        for level in self.levels[:-1]:
            of_level = Slots(slots.level(level.column))
            _write_labels(table, of_level, level.labels, level.codes[rows], level.confidence[rows])
        if self.novelty is not None:
            table.obs[slots.novelty] = self.novelty[rows]
        table.obsm[slots.probabilities] = self.probabilities[rows]
        table.obsm[slots.embedding] = self.embedding[rows]


def _write_labels(
    table: AnnData,
    slots: Slots,
    labels: LabelSet,
    codes: npt.NDArray[np.int64],
    confidence: npt.NDArray[np.float32],
) -> None:
    categories, colors = list(labels.names), list(labels.colors)
    if (codes < 0).any():
        categories.append(UNASSIGNED)
        colors.append(UNASSIGNED_COLOR)
    codes = np.where(codes < 0, len(categories) - 1, codes)
    table.obs[slots.label] = pd.Categorical.from_codes(codes, categories=categories)
    table.uns[slots.colors] = np.array(colors)
    table.obs[slots.confidence] = confidence


@dataclass(frozen=True)
class GeneScores:
    """Attention score of every gene in every cell (level 1): ``scores`` (N, G) CSC float32."""

    ids: npt.NDArray[np.str_]
    panel: GenePanel
    scores: sp.csc_matrix

    def column(self, gene: str) -> npt.NDArray[np.float32]:
        """Attention scores of one gene, (N,).

        Raises
        ------
        ArgumentError
            If the panel has no such gene.
        """
        position = self.panel.position(gene)
        if position < 0:
            raise ArgumentError(
                f"The gene {gene!r} is not among the {len(self.panel)} genes with attention.",
                "A gene of the model's panel is needed.",
                "Check the spelling, or annotate with a model that knows it.",
            )
        return np.asarray(self.scores[:, [position]].todense(), dtype=np.float32).ravel()

    def write_to(self, table: AnnData, key: str, *, overwrite: bool = False) -> None:
        """Write the scores as a sparse layer over the table's genes."""
        layer = Slots(key).attention
        refuse_existing(layer in table.layers, "layers", layer, overwrite)
        layout = _Layout.of(self.ids, self.panel, table)
        table.layers[layer] = layout.on_table(self.scores)


@dataclass(frozen=True)
class SlotScores:
    """Memory score of every gene in every slot of every cell (level 2).

    ``scores``: S matrices (N, G) CSC float32; over the slots they sum to 1 for each gene that the
    cell was read with.
    """

    ids: npt.NDArray[np.str_]
    panel: GenePanel
    scores: Sequence[sp.csc_matrix]

    def write_to(self, table: AnnData, key: str, *, overwrite: bool = False) -> None:
        """Write one sparse layer per slot."""
        layout = _Layout.of(self.ids, self.panel, table)
        for index, scores in enumerate(self.scores):
            layer = Slots(key).slot(index)
            refuse_existing(layer in table.layers, "layers", layer, overwrite)
            table.layers[layer] = layout.on_table(scores)


class Result(Protocol):
    """What a verb found, which knows how to write itself."""

    @property
    def key(self) -> str:
        """Name of the result in a table."""
        ...

    def write_to(self, table: AnnData, *, overwrite: bool = False) -> None:
        """Write all parts into a table of the same cells; other slots stay as they are."""
        ...


@dataclass(frozen=True)
class AnnotationResult:
    """Everything one run of ``annotate`` found."""

    key: str
    annotation: Annotation
    gene_scores: GeneScores | None
    slot_scores: SlotScores | None
    provenance: Provenance

    def write_to(self, table: AnnData, *, overwrite: bool = False) -> None:
        """Write all parts and their provenance; ``X`` and other people's slots stay as they are.

        With ``overwrite``, what an earlier run left under the same key is removed.
        """
        if overwrite:
            rows_of(
                self.annotation.ids, table
            )  # nothing is removed for a result that cannot follow
            _remove_earlier(table, self.key)
        self.annotation.write_to(table, self.key, overwrite=overwrite)
        for scores in (self.gene_scores, self.slot_scores):
            if scores is not None:
                scores.write_to(table, self.key, overwrite=overwrite)
        write_provenance(table, self.key, self.provenance)


@dataclass(frozen=True)
class Embedding:
    """Embedded cells: ``values`` (N, D) float32, or (N, C, D) of every cell and its neighbours."""

    key: str
    ids: npt.NDArray[np.str_]
    values: npt.NDArray[np.float32]
    provenance: Provenance

    def write_to(self, table: AnnData, *, overwrite: bool = False) -> None:
        """Write ``obsm["X_<key>"]`` and the provenance; all else stays as it is."""
        rows, slot = rows_of(self.ids, table), Slots(self.key).embedding
        refuse_existing(slot in table.obsm, "obsm", slot, overwrite)
        table.obsm[slot] = self.values[rows]
        write_provenance(table, self.key, self.provenance)


@dataclass(frozen=True)
class DomainMap:
    """A domain for every cell: ``codes`` (N,) int64 into ``domains``, the largest domain first;
    with a ``map`` what it was found by is written as well."""

    key: str
    ids: npt.NDArray[np.str_]
    domains: LabelSet
    codes: npt.NDArray[np.int64]
    provenance: Provenance
    map: Result | None = None

    @classmethod
    def of_table(cls, table: AnnData, key: str) -> DomainMap:
        """What an earlier run wrote into a table; domains without a cell left are dropped.

        Raises
        ------
        ArgumentError
            If there is no such result.
        """
        slot = Slots(key).domain
        record = read_provenance(table, slot)
        if record is None or slot not in table.obs:
            raise ArgumentError(
                f"The table has no domains of the key {key!r}.",
                "Domains that TAGscope has delineated are needed.",
                "Delineate them, or choose another key.",
                {"key": None},
            )
        column = table.obs[slot].astype("category")
        stored = tuple(map(str, table.uns.get(Slots(slot).colors, ())))
        every = column.cat.categories
        if len(stored) != len(every):
            stored = default_colors(len(every))
        colors = dict(zip(every, stored, strict=True))
        column = column.cat.remove_unused_categories()
        names = tuple(map(str, column.cat.categories))
        domains = LabelSet(names, tuple(colors[name] for name in names))
        ids = np.asarray(table.obs_names.astype(str), dtype=np.str_)
        return cls(key, ids, domains, column.cat.codes.to_numpy().astype(np.int64), record)

    def names(self) -> npt.NDArray[np.str_]:
        """Names of the domains, (N,)."""
        return np.array(self.domains.names)[self.codes]

    def counts(self) -> list[tuple[str, int]]:
        """Cells per domain."""
        counts = np.bincount(self.codes, minlength=len(self.domains))
        return list(zip(self.domains.names, map(int, counts), strict=True))

    def write_to(self, table: AnnData, *, overwrite: bool = False) -> None:
        """Write ``obs["<key>_domain"]``, its colours and provenance; all else stays as it is.

        The provenance is kept under the column's name: labels or embeddings of the same key have
        their own.
        """
        rows, slot = rows_of(self.ids, table), Slots(self.key).domain
        refuse_existing(slot in table.obs, "obs", slot, overwrite)
        names = list(self.domains.names)
        table.obs[slot] = pd.Categorical.from_codes(self.codes[rows], categories=names)
        table.uns[Slots(slot).colors] = np.array(self.domains.colors)
        write_provenance(table, slot, self.provenance)
        if self.map is not None:
            self.map.write_to(table, overwrite=overwrite)


def rows_of(ids: npt.NDArray[np.str_], table: AnnData) -> npt.NDArray[np.int64]:
    """Row of every cell of ``table`` among ``ids``.

    Raises
    ------
    InputError
        If the table and the result hold different cells.
    """
    rows = pd.Index(ids).get_indexer(pd.Index(table.obs_names.astype(str)))
    missing = int((rows < 0).sum())
    if missing or len(ids) != table.n_obs:
        raise InputError(
            f"The result holds {len(ids)} cells and the table {table.n_obs}, "
            f"{missing} of them not in the result.",
            "A result can only be written into a table of the same cells.",
            "Run the command again on this table.",
        )
    return np.asarray(rows, dtype=np.int64)


def read_provenance(table: AnnData, key: str) -> Provenance | None:
    """The record kept under ``key``, or None."""
    records: Any = table.uns.get(PROVENANCE, {})
    return Provenance.from_json(str(records[key])) if key in records else None


def write_provenance(table: AnnData, key: str, provenance: Provenance) -> None:
    """Keep a record under ``uns["tagscope"][key]``."""
    records = dict(table.uns.get(PROVENANCE, {}))
    records[key] = provenance.to_json()
    table.uns[PROVENANCE] = records


def _remove_earlier(table: AnnData, key: str) -> None:
    """Remove scores, novelty and coarser labels of a run, which the next one may not write."""
    slots = Slots(key)
    layers = [slots.attention, *(slots.slot(index) for index in range(len(table.layers)))]
    for layer in layers:
        table.layers.pop(layer, None)
    earlier = read_provenance(table, key)
    tree = (earlier.extra.get("tree") if earlier else None) or {"columns": []}
    coarser = [Slots(slots.level(column)) for column in tree["columns"][:-1]]
    columns = [slots.novelty, *(name for s in coarser for name in (s.label, s.confidence))]
    for column in columns:
        if column in table.obs:
            del table.obs[column]
    for level in coarser:
        table.uns.pop(level.colors, None)


def refuse_existing(exists: bool, where: str, name: str, overwrite: bool) -> None:
    """Refuse to replace a slot of a table unasked.

    Raises
    ------
    ArgumentError
        If it exists and ``overwrite`` is not set.
    """
    if exists and not overwrite:
        raise ArgumentError(
            f"The table already has {where}[{name!r}].",
            "A result is not replaced unasked.",
            "Choose another key, or ask for it to be replaced.",
            {"key": None, "overwrite": True},
        )


@dataclass(frozen=True)
class _Layout:
    """How scores over a model's panel and cells lie over a table's: ``rows`` (N,) of the scores,
    or None where they are the table's own; ``sources`` (G,) of every gene of the table, or −1."""

    rows: npt.NDArray[np.int64] | None
    sources: npt.NDArray[np.int64]

    @classmethod
    def of(cls, ids: npt.NDArray[np.str_], panel: GenePanel, table: AnnData) -> _Layout:
        rows = rows_of(ids, table)
        columns = _columns_of(table, panel)
        sources = np.full(table.n_vars, -1, dtype=np.int64)
        present = np.flatnonzero(columns >= 0)
        sources[columns[present]] = present
        return cls(None if np.array_equal(rows, np.arange(len(rows))) else rows, sources)

    def on_table(self, scores: sp.csc_matrix) -> sp.csr_matrix:
        """Scores (N, panel) over the table's cells and genes."""
        placed = np.flatnonzero(self.sources >= 0)
        taken = sp.csc_matrix(scores)[:, self.sources[placed]]
        ends = np.zeros(len(self.sources) + 1, dtype=taken.indptr.dtype)
        ends[placed + 1] = np.diff(taken.indptr)
        shape = (taken.shape[0], len(self.sources))
        spread = sp.csc_matrix((taken.data, taken.indices, np.cumsum(ends)), shape)
        by_row = sp.csr_matrix(spread, dtype=np.float32)
        return by_row if self.rows is None else by_row[self.rows]


def _columns_of(table: AnnData, panel: GenePanel) -> npt.NDArray[np.int64]:
    """Column of the table that every gene of ``panel`` is read from, −1 where absent.

    Of columns with one name that is the first, as for the values. Genes go by ``var_names``, or by
    the column of ``var`` that shares more names with the panel: every producer calls its column of
    symbols or Ensembl ids otherwise.
    """
    columns = [table.var[name] for name in table.var if table.var[name].dtype.kind not in "biufc"]
    names = [tuple(map(str, column)) for column in (table.var_names, *columns)]
    found = [panel.columns_in(GenePanel(n, n)) for n in names]
    return max(found, key=lambda positions: int((positions >= 0).sum()))
