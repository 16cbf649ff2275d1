"""Cells of a section put together into spots whose composition is known, to test with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tagscope.core.section import Cells, Section
from tagscope.errors import InputError


@dataclass(frozen=True)
class Spots:
    """``section`` of S spots, the proportions (S, C) of types in each, by number of cells, and that
    number, ``sizes`` (S,)."""

    section: Section
    proportions: npt.NDArray[np.float32]
    sizes: npt.NDArray[np.int64]


def spots_of(
    section: Section, codes: npt.NDArray[np.int64], types: int, width: float, *, least: int = 2
) -> Spots:
    """Squares of ``width`` (in the section's unit) with at least ``least`` cells of a known type.

    Counts are added up; ``codes`` (N,) are the cells' types, −1 for cells that are left out.

    Raises
    ------
    InputError
        If there is no such square.
    """
    known = np.flatnonzero((codes >= 0) & np.isfinite(section.xy).all(axis=1))
    pieces = np.zeros(len(section), np.int64) if section.pieces is None else section.pieces.codes
    squares = np.floor(section.xy[known] / width).astype(np.int64)
    key = np.column_stack((pieces[known], squares))
    kept, spot, sizes = np.unique(key, axis=0, return_inverse=True, return_counts=True)
    large = np.flatnonzero(sizes >= least)
    if not len(large):
        raise InputError(
            f"No square of {width:g} {section.unit} holds {least} cells.",
            "Spots of several cells are needed.",
            "Take wider squares.",
        )
    shape = (len(kept), len(known))
    gather = sp.csr_matrix((np.ones(len(known)), (spot.ravel(), np.arange(len(known)))), shape)
    gather = gather[large]
    ids = np.array(["spot_" + "_".join(map(str, row)) for row in kept[large].tolist()])
    values = sp.csr_matrix(gather @ section.cells.values[known], dtype=np.float32)
    member = np.eye(types)[codes[known]]
    counts = gather @ member
    xy = (gather @ section.xy[known]) / sizes[large][:, None]
    cells = Cells(values, section.panel, ids, section.cells.normalised)
    return Spots(
        Section(cells, xy, f"{section.name}, spots", section.unit),
        (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32),
        sizes[large],
    )
