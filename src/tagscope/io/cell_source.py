"""Cells to train on, a block at a time, from memory or from an ``.h5ad`` that stays on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Section
from tagscope.errors import ArgumentError, InputError
from tagscope.io.counts import as_csr, judge
from tagscope.io.findings import listed, raise_first
from tagscope.io.genes import read_genes
from tagscope.io.h5ad import READ_ERRORS, damaged, keep_where, place_h5ad, quietly
from tagscope.io.placement import Placement, in_micrometres
from tagscope.io.side_by_side import by_column, overlapping

if TYPE_CHECKING:
    from anndata import AnnData

Ints = npt.NDArray[np.int64]

_BLOCK = 1 << 22  # values of a block, zeros included: some tenths of a second


@dataclass(frozen=True)
class CellSource:
    """N cells over ``panel``.

    ``blocks()`` gives their values (n, G) CSR float32, a block of rows after the other. ``xy``
    (N, 2) are their places in ``unit``, None for dissociated cells; ``pieces`` (N,) the sections
    they are of, where there are several. ``on_disk``: values are read again for every pass.
    """

    name: str
    panel: GenePanel
    cells: int
    blocks: Callable[[], Iterator[sp.csr_matrix]]
    xy: npt.NDArray[np.float64] | None = None
    unit: str = "unknown"
    pieces: Ints | None = None
    on_disk: bool = False

    def __len__(self) -> int:
        return self.cells


def source_of(given: Section | Cells, name: str = "") -> CellSource:
    """Cells that are in memory."""
    cells = given.cells if isinstance(given, Section) else given

    def blocks() -> Iterator[sp.csr_matrix]:
        for start in range(0, len(cells), size):
            yield _usable(cells.values[start : start + size], name)

    size = _rows(len(cells.panel))
    if not isinstance(given, Section):
        return CellSource(name or "cells", cells.panel, len(cells), blocks)
    name = name or given.name
    pieces = None if given.pieces is None else given.pieces.codes
    return CellSource(name, cells.panel, len(cells), blocks, given.own_xy, given.unit, pieces)


def h5ad_source(
    path: Path,
    *,
    layer: str | None = None,
    where: str | None = None,
    sections: str | None = None,
    um_per_unit: float | None = None,
) -> CellSource:
    """The cells of an ``.h5ad``, whose values are left on disk.

    Parameters
    ----------
    layer, where, sections, um_per_unit
        As in :func:`tagscope.io.readers.open_section`.

    Raises
    ------
    InputError
        If the file is damaged, names no genes, or holds sections that lie upon each other and
        ``sections`` does not tell them apart.
    ArgumentError
        If a choice names something that is not there.
    """
    table = _table_without_values(path)
    place = "X" if layer in (None, "X") else f"layers/{layer}"
    genes = read_genes(table.var)
    raise_first(genes.findings)
    rows = np.flatnonzero(keep_where(table.obs, where))
    _matrix_shape(path, place)
    placement = _placed(table, sections, um_per_unit)
    xy = None if placement.xy is None else placement.xy[rows]
    pieces = placement.pieces
    if pieces is not None and xy is not None:
        xy = xy - pieces.moves[rows]

    def blocks() -> Iterator[sp.csr_matrix]:
        for block in _blocks_on_disk(path, place, rows, len(genes.panel)):
            yield _usable(block, path.name)

    return CellSource(
        path.name, genes.panel, len(rows), blocks, xy, placement.unit,
        None if pieces is None else pieces.codes[rows], on_disk=True,
    )  # fmt: skip


def _table_without_values(path: Path) -> AnnData:
    """Everything that is small: obs, var, uns and the coordinates."""
    import anndata
    import h5py  # type: ignore[import-untyped]

    try:
        with quietly(), h5py.File(path, "r") as file:
            parts = {name: anndata.io.read_elem(file[name]) for name in ("obs", "var")}
            uns = anndata.io.read_elem(file["uns"]) if "uns" in file else {}
            obsm = {}
            if "obsm/spatial" in file:
                obsm["spatial"] = anndata.io.read_elem(file["obsm/spatial"])
            return anndata.AnnData(**parts, uns=uns, obsm=obsm)
    except READ_ERRORS as error:
        raise damaged(path, error) from error


def _placed(table: AnnData, sections: str | None, um_per_unit: float | None) -> Placement:
    xy, unit, um, findings = place_h5ad(table)
    if sections is None:
        for overlap in overlapping(table.obs, xy):
            raise overlap.to_error()
    placement = Placement(xy, unit, um, findings=tuple(findings))
    if um_per_unit is not None and xy is not None:
        placement = in_micrometres(placement, um_per_unit)
    return placement if sections is None else by_column(placement, table.obs, sections)


def _matrix_shape(path: Path, place: str) -> None:
    """Refuse a layer that is not there before anything is read."""
    import h5py

    with h5py.File(path, "r") as file:
        if place not in file:
            layers = [f"layer {name}" for name in file.get("layers", ())]
            raise ArgumentError(
                f"{path} has no {place}; it has {listed(['X'] * ('X' in file) + layers)}.",
                "The values of its cells are needed.",
                "Choose one of these.",
                {"layer": None},
            )


def _blocks_on_disk(path: Path, place: str, rows: Ints, genes: int) -> Iterator[sp.csr_matrix]:
    """The asked ``rows`` (ascending) of a matrix, read in runs of whole rows."""
    import anndata
    import h5py

    size = _rows(genes)
    try:
        with h5py.File(path, "r") as file:
            stored = file[place]
            matrix: Any = stored
            if not isinstance(stored, h5py.Dataset):
                matrix = anndata.io.sparse_dataset(stored)
                if matrix.format != "csr":
                    raise InputError(
                        f"{path} keeps its values by gene ({matrix.format}).",
                        "Blocks of cells can be read where they are kept by cell (csr).",
                        "Write it again with X = X.tocsr().",
                    )
            for start in range(0, int(rows[-1]) + 1 if len(rows) else 0, size):
                asked = rows[(rows >= start) & (rows < start + size)]
                if len(asked):
                    yield sp.csr_matrix(matrix[start : start + size])[asked - start]
    except READ_ERRORS as error:
        raise damaged(path, error) from error


def _usable(block: sp.csr_matrix, name: str) -> sp.csr_matrix:
    judgement = judge(block)
    if not judgement.finite or judgement.smallest < 0:
        raise InputError(
            f"{name} holds {judgement}.",
            "Counts are needed, or log-normalised values, which are never negative.",
            "Give the values before scaling, and remove cells or genes with missing ones.",
            {"layer": None},
        )
    return as_csr(block)


def _rows(genes: int) -> int:
    return max(1, _BLOCK // max(1, genes))
