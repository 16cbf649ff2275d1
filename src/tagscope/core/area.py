"""Which cells lie within an outline drawn by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from tagscope.jobs import JobContext

CHUNK = 200_000  # cells between two reports


def rows_inside(
    xy: npt.NDArray[np.float64],
    ring: npt.NDArray[np.float64],
    context: JobContext | None = None,
) -> npt.NDArray[np.int64]:
    """Rows of the cells whose centroids ``xy`` (N, 2) lie within ``ring``, ascending.

    ``ring`` (V, 2), in the unit of ``xy``, is closed by itself; one that crosses itself encloses
    what a line to the outside crosses an odd number of times. Fewer than three corners enclose
    nothing, and cells without a finite position lie nowhere.
    """
    context = context or JobContext()
    if len(ring) < 3:
        return np.zeros(0, np.int64)
    area = shapely.polygons(ring)
    shapely.prepare(area)
    low, high = ring.min(axis=0), ring.max(axis=0)
    found = []
    for start in range(0, len(xy), CHUNK):
        context.step("selecting cells", start, len(xy))
        part = xy[start : start + CHUNK]
        near = np.flatnonzero(((part >= low) & (part <= high)).all(axis=1))
        found.append(near[shapely.contains_xy(area, part[near])] + start)
    return np.concatenate(found) if found else np.zeros(0, np.int64)
