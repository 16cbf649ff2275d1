"""Cells in a model's space, read from annotated tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from tagscope.core.keys import Slots
from tagscope.core.labels import NO_LABEL
from tagscope.core.normalise import log_cp10k
from tagscope.core.results import read_provenance
from tagscope.core.section import Cells, Reference
from tagscope.errors import ArgumentError, InputError
from tagscope.io.counts import as_csr, judge
from tagscope.io.genes import read_genes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anndata import AnnData

Floats = npt.NDArray[np.float32]
Names = npt.NDArray[np.str_]


@dataclass(frozen=True)
class EmbeddedCells:
    """N cells with a label each.

    ``embedding`` (N, D) float32; ``labels`` (N,), ``""`` where unknown or Unassigned; ``batch``
    (N,); ``expression`` the cells' ln(1 + counts per 10,000), or their values where these are no
    counts; ``model`` the digest of the bundle that embedded them, ``""`` where not recorded.
    """

    embedding: Floats
    labels: Names
    batch: Names
    expression: Cells
    model: str = ""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: npt.NDArray[np.int64]) -> EmbeddedCells:
        """The cells of the given rows."""
        parts = (self.embedding[rows], self.labels[rows], self.batch[rows])
        return EmbeddedCells(*parts, self.expression.take(rows), self.model)


def embedded_cells(
    table: AnnData,
    labels: Iterable[Any],
    *,
    key: str = "cellmemory",
    embedding: str | None = None,
    batch: Names | str = "",
) -> EmbeddedCells:
    """The cells of an annotated table with ``labels`` (N,).

    ``embedding`` names a slot of ``obsm``, that of the result ``key`` if None. ``batch`` are names
    (N,), or one for all.

    Raises
    ------
    ArgumentError
        If the table has no such embedding.
    InputError
        If it holds values that are not finite.
    """
    slot = embedding or Slots(key).embedding
    if slot not in table.obsm:
        raise ArgumentError(
            f"The table has no embedding {slot!r}; it has {', '.join(table.obsm) or 'none'}.",
            "An embedding of its cells is needed.",
            "Annotate first, give the bundle that embeds a reference, or choose another result.",
            {"bundle": None, "key": None, "embedding": None},
        )
    values = np.asarray(table.obsm[slot], dtype=np.float32)
    if not np.isfinite(values).all():
        raise InputError(
            f"The embedding {slot!r} holds values that are not finite numbers.",
            "Finite values are needed.",
            "Annotate again, in full precision.",
            {"precision": "fp32"},
        )
    provenance = read_provenance(table, key)
    inputs = provenance.inputs if provenance and slot == Slots(key).embedding else {}
    model = inputs.get("bundle_digest", "")
    names = np.broadcast_to(np.asarray(batch, dtype=np.str_), len(values))
    return EmbeddedCells(values, known_names(labels), names, _expression(table, key), model)


def embedded_reference(
    reference: Reference, embedding: Floats, *, batch: Names | str = "", model: str = ""
) -> EmbeddedCells:
    """Labelled cells with the embedding (N, D) that the bundle of digest ``model`` gave them."""
    return EmbeddedCells(
        embedding,
        np.array(reference.labels.names)[reference.codes],
        np.broadcast_to(np.asarray(batch, dtype=np.str_), len(reference)),
        _logged(reference.cells),
        model,
    )


def joined(query: EmbeddedCells, reference: EmbeddedCells) -> EmbeddedCells:
    """Query and reference as one, over the genes that both measured.

    Raises
    ------
    ArgumentError
        As :func:`require_one_space`.
    """
    require_one_space(query, reference)
    first, second = query.expression, reference.expression
    shared = first.panel.take(np.flatnonzero(first.panel.columns_in(second.panel) >= 0))
    values = sp.vstack([c.restrict(shared).values for c in (first, second)], format="csr")
    cells = Cells(values, shared, np.concatenate([first.ids, second.ids]), normalised=True)
    return EmbeddedCells(
        np.concatenate([query.embedding, reference.embedding]),
        np.concatenate([query.labels, reference.labels]),
        np.concatenate([query.batch, reference.batch]),
        cells,
        query.model,
    )


def require_one_space(query: EmbeddedCells, reference: EmbeddedCells) -> None:
    """Make sure that distances between the two mean something.

    Raises
    ------
    ArgumentError
        If they were embedded by different models.
    """
    sizes = query.embedding.shape[1], reference.embedding.shape[1]
    models = {query.model, reference.model} - {""}
    if sizes[0] == sizes[1] and len(models) < 2:
        return
    raise ArgumentError(
        f"Query and reference were embedded by different models (widths {sizes[0]} and "
        f"{sizes[1]}, digests {query.model[:8] or 'unknown'} and "
        f"{reference.model[:8] or 'unknown'}).",
        "Distances exist within the space of one model alone.",
        "Annotate both with the same bundle.",
        {"bundle": None},
    )


def known_names(values: Iterable[Any]) -> Names:
    """Labels as text, ``""`` for every way to say that there is none."""
    series = pd.Series(list(values), dtype=object)
    text = series.where(series.notna(), "").astype(str)
    return np.asarray(text.where(~text.isin(NO_LABEL), ""), dtype=np.str_)


def _expression(table: AnnData, key: str) -> Cells:
    """Log expression of the layer that was annotated, else of ``X``."""
    provenance = read_provenance(table, key)
    layer = provenance.inputs.get("layer", "X") if provenance else "X"
    values = table.layers.get(layer, table.X)
    ids = table.obs_names.to_numpy(dtype=np.str_)
    panel = read_genes(table.var).panel
    return _logged(Cells(as_csr(values), panel, ids, normalised=not judge(values).are_counts))


def _logged(cells: Cells) -> Cells:
    return replace(cells, values=log_cp10k(cells), normalised=True)
