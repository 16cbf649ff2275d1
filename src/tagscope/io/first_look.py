"""Where the cells of a file are, before anything else of it is read.

A section of a million cells takes seconds to open; its coordinates alone a fraction of one. They
are a promise of what is to come: the file's own numbers, neither checked nor converted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Section
from tagscope.io.h5ad import READ_ERRORS, quietly

_PLACE = "obsm/spatial"


def first_look(path: Path, table: str | None = None) -> Section | None:
    """The cells of a file with one table, numbered and without genes, in the file's unit.

    None where they have no coordinates of their own, or there is a choice to make. What is wrong
    with the file is for those to say who read it as a whole.
    """
    try:
        with quietly():
            xy = _of_store(path, table) if path.is_dir() else _of_h5ad(path)
    except READ_ERRORS:
        return None
    if xy is None or xy.ndim != 2 or xy.shape[1] < 2 or not len(xy):
        return None
    ids = np.arange(len(xy)).astype(np.str_)
    cells = Cells(sp.csr_matrix((len(xy), 0), dtype=np.float32), GenePanel(()), ids)
    return Section(cells, np.asarray(xy[:, :2], dtype=np.float64), path.stem, "unknown")


def _of_h5ad(path: Path) -> npt.NDArray[Any] | None:
    import h5py  # type: ignore[import-untyped]

    with h5py.File(path, "r") as file:
        found = file.get(_PLACE)
        return np.asarray(found) if isinstance(found, h5py.Dataset) else None


def _of_store(path: Path, table: str | None) -> npt.NDArray[Any] | None:
    import zarr

    tables = zarr.open_group(path / "tables", mode="r")
    names = list(tables.group_keys()) if table is None else [table]
    if len(names) != 1 and "table" not in names:
        return None
    group: Any = tables[names[0] if len(names) == 1 else "table"]
    if _PLACE not in group or len(_regions(group)) > 1:
        return None
    found = group[_PLACE]
    return np.asarray(found[:]) if isinstance(found, zarr.Array) else None


def _regions(group: Any) -> list[str]:
    """Elements that a table annotates; several may lie upon each other."""
    region = dict(group.attrs).get("region") or []
    return [region] if isinstance(region, str) else list(region)
