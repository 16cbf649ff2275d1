"""What a reference can teach: its columns of labels, and how many cells and genes it has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_tagscope.controllers.columns import MOST_TYPES, holds_labels
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from tagscope.core.panel import GenePanel
    from tagscope.core.section import Reference


@dataclass(frozen=True)
class LabelColumn:
    """A column that could hold labels, and how many different ones it has."""

    name: str
    types: int


@dataclass(frozen=True)
class ReferenceSummary:
    """What a training would learn from: labelled cells, ``types`` with their cells, genes, and how
    many of these the open section has too, None without one."""

    cells: int
    types: tuple[tuple[str, int], ...]
    genes: int
    shared: int | None


def label_columns(path: Path) -> tuple[LabelColumn, ...]:
    """Columns of a reference that hold labels: text or categories, from 2 to 1,000 of them.

    Of an ``.h5ad`` only ``obs`` is read.
    """
    import h5py  # type: ignore[import-untyped]

    if path.suffix == ".h5ad" and h5py.is_hdf5(path):
        from anndata.io import read_elem

        with h5py.File(path) as file:
            obs = read_elem(file["obs"])
    else:
        from tagscope import api

        obs = api.read_table(path).obs
    counts = {
        str(name): int(column.nunique()) for name, column in obs.items() if holds_labels(column)
    }
    return tuple(LabelColumn(n, count) for n, count in counts.items() if 2 <= count <= MOST_TYPES)


def count_reference(
    source: Path | Reference, column: str, panel: GenePanel | None, context: JobContext
) -> tuple[Reference, ReferenceSummary]:
    """Read a reference, if it has not been, and what a training on it would learn from."""
    from tagscope import api

    reference = source
    if isinstance(reference, Path):
        reference = api.read_reference(reference, column, context=context)
    measured, names = reference.cells.panel, reference.labels.names
    cells = np.bincount(reference.codes, minlength=len(names)).tolist()
    shared = None if panel is None else len(measured.shared_with(panel))
    types = tuple(zip(names, cells, strict=True))
    genes = len(measured.shared_with(measured))
    return reference, ReferenceSummary(len(reference), types, genes, shared)
