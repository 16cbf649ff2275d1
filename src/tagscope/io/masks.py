"""Cells that a label image outlines: their centroids, and whether coordinates fit them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# A level this large is read at once (64 MB of uint32).
_WHOLE = 1 << 24
_ROWS = 2048


def levels_of(element: Any) -> list[Any]:
    """The (y, x) arrays of a label element, largest first; coordinates are of the largest."""
    if hasattr(element, "dims") and hasattr(element, "data"):
        return [element]
    return [element[name]["image"] for name in element.children]


def overview(element: Any) -> Any:
    """The largest level that can be read at once, else the smallest."""
    levels = levels_of(element)
    return next((level for level in levels if level.size <= _WHOLE), levels[-1])


def share_inside(
    element: Any, xy: npt.NDArray[np.float64], instances: npt.NDArray[np.int64]
) -> float:
    """Share of cells whose point (pixels of the full image) lies on their own label."""
    level = overview(element)
    columns = _nearest(np.asarray(level.coords["x"]), xy[:, 0])
    rows = _nearest(np.asarray(level.coords["y"]), xy[:, 1])
    found = np.asarray(level.data)[rows, columns]
    return float((found == instances).mean()) if len(xy) else 0.0


def label_centroids(element: Any, instances: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Centroid of every instance in pixels of the full image, (N, 2), NaN where it has none."""
    level = levels_of(element)[0]
    x, y = np.asarray(level.coords["x"]), np.asarray(level.coords["y"])
    order = np.argsort(instances, kind="stable")
    wanted = instances[order]
    sums = np.zeros((3, len(wanted)))
    for start in range(0, level.shape[0], _ROWS):
        block = np.asarray(level.data[start : start + _ROWS])
        rows, columns = np.nonzero(block)
        labels = block[rows, columns]
        place = np.minimum(np.searchsorted(wanted, labels), len(wanted) - 1)
        known = wanted[place] == labels
        place, rows, columns = place[known], rows[known] + start, columns[known]
        for total, weights in zip(sums, (None, x[columns], y[rows]), strict=True):
            total += np.bincount(place, weights, minlength=len(wanted))
    with np.errstate(invalid="ignore"):
        found = (sums[1:] / sums[0]).T
    centroids = np.empty_like(found)
    centroids[order] = found
    return np.asarray(centroids, dtype=np.float64)


def labels_without_rows(element: Any, instances: npt.NDArray[np.int64]) -> int:
    """How many labels of the overview have no row in the table."""
    present = np.unique(np.asarray(overview(element).data))
    return int((~np.isin(present[present != 0], instances)).sum())


def _nearest(centres: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> Any:
    step = centres[1] - centres[0] if len(centres) > 1 else 1.0
    return np.clip(np.rint((values - centres[0]) / step), 0, len(centres) - 1).astype(np.int64)
