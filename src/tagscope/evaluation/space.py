"""Query and reference in the space of one model, from what users have on disk."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tagscope.core.keys import Slots
from tagscope.errors import ArgumentError
from tagscope.evaluation.embedded import (
    EmbeddedCells,
    embedded_cells,
    embedded_reference,
    joined,
)
from tagscope.inference.annotate import annotate
from tagscope.io.columns import column_of
from tagscope.io.readers import read_reference
from tagscope.io.store import read_table
from tagscope.models.bundle import Bundle
from tagscope.models.device import choose_device
from tagscope.models.registry import load_model

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class Space:
    """The embedding that is meant, and the model that makes it where a reference lacks it.

    ``embedding`` is a slot of ``obsm``, that of the result ``key`` if None.
    """

    key: str
    embedding: str | None = None
    bundle: Bundle | None = None

    def __post_init__(self) -> None:
        if self.bundle is not None and self.embedding not in (None, Slots(self.key).embedding):
            raise ArgumentError(
                f"The embedding {self.embedding!r} was not made by the bundle.",
                "Query and reference must be embedded by one model.",
                "Give the bundle or the embedding, not both.",
                {"bundle": None, "embedding": None},
            )

    def query(
        self, table: AnnData, labels: npt.NDArray[np.object_], batch: str | None = None
    ) -> EmbeddedCells:
        """The cells of an annotated table with ``labels`` (N,); ``batch`` names a column."""
        return embedded_cells(
            table,
            labels,
            key=self.key,
            embedding=self.embedding,
            batch="query" if batch is None else _names(table.obs, batch),
        )

    def reference(self, path: Path, label: str, batch: str | None = None) -> EmbeddedCells:
        """The labelled cells of a reference: annotated, or to be embedded with the bundle.

        Raises
        ------
        ArgumentError
            If a column is missing, or there is neither an embedding nor a bundle.
        """
        table = read_table(path)
        labels = _names(table.obs, label)
        batches = "reference" if batch is None else _names(table.obs, batch)
        if self.bundle is None:
            return embedded_cells(
                table, labels, key=self.key, embedding=self.embedding, batch=batches
            )
        labelled = read_reference(path, label)
        model = load_model(self.bundle, choose_device("auto"))
        embedding = annotate(labelled.cells, model).annotation.embedding
        if not isinstance(batches, str):
            rows = pd.Index(table.obs_names.astype(str)).get_indexer(pd.Index(labelled.cells.ids))
            batches = batches[rows]
        return embedded_reference(labelled, embedding, batch=batches, model=self.bundle.digest)

    def integrated(
        self,
        table: AnnData,
        labels: npt.NDArray[np.object_],
        batch: str | None,
        reference: str | PathLike[str] | None,
        reference_label: str,
    ) -> EmbeddedCells:
        """The cells to score: those of the table, and of a reference where there is one."""
        query = self.query(table, labels, batch)
        if reference is None:
            return query
        return joined(query, self.reference(Path(reference), reference_label, batch))


def _names(obs: pd.DataFrame, column: str) -> npt.NDArray[Any]:
    """A column of ``obs`` as text, missing values as ``nan``."""
    named = column_of(obs, column, "batch")
    return np.asarray(named.astype(str), dtype=np.str_)
