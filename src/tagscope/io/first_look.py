"""Where the cells of a file are, before anything else of it is read.

A section of a million cells takes seconds to open; its coordinates alone a fraction of one. They
are a promise of what is to come: the file's own numbers, neither checked nor converted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagscope.io.h5ad import READ_ERRORS, quietly

_PLACE = "obsm/spatial"


@dataclass(frozen=True)
class FirstLook:
    """``xy`` (N, 2) float64, columns x and y, in the file's unit."""

    name: str
    xy: npt.NDArray[np.float64]


def first_look(path: Path, table: str | None = None) -> FirstLook | None:
    """Coordinates of a file with one table and no choice to make; None where there are none.

    What is wrong with the file is for those to say who read it as a whole.
    """
    try:
        with quietly():
            xy = _of_store(path, table) if path.is_dir() else _of_h5ad(path)
    except READ_ERRORS:
        return None
    if xy is None or xy.ndim != 2 or xy.shape[1] < 2 or not len(xy):
        return None
    return FirstLook(path.stem, np.asarray(xy[:, :2], dtype=np.float64))


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
