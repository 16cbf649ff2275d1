"""What ``annotate`` left in a table: values, scores, and groups of its cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from tagscope.core.keys import Slots
from tagscope.core.labels import UNASSIGNED, LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.provenance import Provenance
from tagscope.core.results import GeneScores, SlotScores, read_provenance
from tagscope.core.section import Cells
from tagscope.errors import ArgumentError
from tagscope.io.columns import column_of
from tagscope.io.counts import as_csr, judge
from tagscope.io.findings import listed
from tagscope.io.genes import INDEX, read_genes

if TYPE_CHECKING:
    from anndata import AnnData

SELECTED, REST = "selected", "rest"
Selection = Sequence[str] | npt.NDArray[Any]


def cells_of(table: AnnData, key: str) -> Cells:
    """Values of the table: of what was annotated under ``key``, else of ``X``.

    Values with fractions or below zero are no counts, and are taken as they are.
    """
    provenance = read_provenance(table, key)
    layer = provenance.inputs.get("layer", "X") if provenance else "X"
    values, var = table.layers.get(layer, table.X), table.var
    if layer in ("raw", "raw.X") and layer not in table.layers and table.raw is not None:
        values, var = table.raw.X, table.raw.var
    counts = judge(values).are_counts
    return Cells(as_csr(values), _panel(var, provenance), _ids(table), normalised=not counts)


def attention_of(table: AnnData, key: str) -> GeneScores:
    """Level-1 scores of the table.

    Raises
    ------
    ArgumentError
        If there are none under ``key``.
    """
    layer = Slots(key).attention
    if layer not in table.layers:
        raise ArgumentError(
            f"The table has no attention scores of {key!r}.",
            f"layers[{layer!r}] is needed; the layers are: {', '.join(table.layers) or 'none'}.",
            "Annotate with attention, or choose another key.",
            {"attention": True, "key": None},
        )
    return GeneScores(
        _ids(table),
        _panel(table.var, read_provenance(table, key)),
        sp.csc_matrix(table.layers[layer]),
    )


def slots_of(table: AnnData, key: str) -> SlotScores:
    """Level-2 scores of the table.

    Raises
    ------
    ArgumentError
        If there are none under ``key``.
    """
    layers: list[sp.csc_matrix] = []
    while Slots(key).slot(len(layers)) in table.layers:
        layers.append(sp.csc_matrix(table.layers[Slots(key).slot(len(layers))]))
    if not layers:
        raise ArgumentError(
            f"The table has no memory scores of {key!r}.",
            f"layers[{Slots(key).slot(0)!r}] and so on are needed.",
            "Annotate with attention, or choose another key.",
            {"attention": True, "key": None},
        )
    panel = _panel(table.var, read_provenance(table, key))
    return SlotScores(_ids(table), panel, tuple(layers))


def genes_read(table: AnnData, key: str) -> tuple[str, ...]:
    """Genes that any cell was read with: those that could have become TAGs."""
    scores = attention_of(table, key)
    sums = np.asarray(scores.scores.sum(axis=0)).ravel()
    return tuple(np.array(scores.panel.symbols)[sums > 0])


def groups_of(table: AnnData, by: str) -> tuple[LabelSet, npt.NDArray[np.int64]]:
    """Groups and codes of a column of ``obs``; Unassigned and missing values are in no group.

    Raises
    ------
    ArgumentError
        If there is no such column, or it holds measurements.
    """
    column = column_of(table.obs, by, "by")
    if pd.api.types.is_float_dtype(column.dtype):
        raise ArgumentError(
            f"The column {by!r} holds measurements, not groups.",
            "A column of labels is needed.",
            "Choose another.",
            {"by": None},
        )
    values = column.astype(object).where(column.notna(), UNASSIGNED).astype(str)
    groups = LabelSet.from_values(v for v in values.unique() if v != UNASSIGNED)
    codes = pd.Index(groups.names).get_indexer(pd.Index(values))
    return groups, codes.astype(np.int64)


def selection_groups(
    ids: npt.NDArray[np.str_], selection: Selection
) -> tuple[LabelSet, npt.NDArray[np.int64]]:
    """Two groups, ``selected`` and ``rest``, and the code of each of the cells ``ids`` (N,).

    ``selection`` holds cell ids, or row numbers, or is a boolean mask (N,).

    Raises
    ------
    ArgumentError
        If it names cells that are not there, or none at all.
    """
    chosen = _chosen(ids, np.atleast_1d(np.asarray(selection)))
    if not chosen.any():
        raise ArgumentError(
            f"None of the {len(ids)} cells is selected.",
            "At least one cell is needed.",
            "Select cells, or group them by a column.",
        )
    return LabelSet((SELECTED, REST)), np.where(chosen, 0, 1).astype(np.int64)


def _chosen(ids: npt.NDArray[np.str_], selection: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    if selection.dtype == bool and selection.shape == ids.shape:
        return selection
    chosen = np.zeros(len(ids), dtype=bool)
    if not selection.size:
        return chosen
    if selection.dtype.kind in "iu":
        rows = selection.astype(np.int64)
        absent = (rows < 0) | (rows >= len(ids))
    else:
        rows = pd.Index(ids).get_indexer(pd.Index(selection.astype(str)))
        absent = rows < 0
    if absent.any() or selection.ndim != 1 or selection.dtype == bool:
        raise ArgumentError(
            f"{int(absent.sum())} of the {selection.size} cells selected are not in the table "
            f"({listed(selection[absent][:3]) if selection.ndim == 1 else selection.shape}).",
            f"Ids of its {len(ids)} cells are needed, like {str(ids[0])!r}, or a mask of them.",
            "Select cells of this table.",
        )
    chosen[rows] = True
    return chosen


def _ids(table: AnnData) -> npt.NDArray[np.str_]:
    return np.asarray(table.obs_names, dtype=np.str_)


def _panel(var: pd.DataFrame, provenance: Provenance | None) -> GenePanel:
    """Genes as they were named when the table was annotated."""
    column = provenance.inputs.get("genes") if provenance else None
    there = column == INDEX or column in var
    return read_genes(var, column=column if there else None).panel
