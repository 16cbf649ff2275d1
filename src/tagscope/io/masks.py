"""Cells that a label image outlines: their centroids, and whether coordinates fit them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tagscope.core.section import LabelImage
from tagscope.io.outlines import moved

# A level this large is read at once (64 MB of uint32).
_WHOLE = 1 << 24
_ROWS = 2048
_PLACES = 3
_WINDOW = 512


def levels_of(element: Any) -> list[Any]:
    """The (y, x) arrays of a label element, largest first; coordinates are of the largest."""
    if hasattr(element, "dims") and hasattr(element, "data"):
        return [element]
    return [element[name]["image"] for name in element.children]


def overview(element: Any) -> Any:
    """The largest level that can be read at once, else the smallest."""
    levels = levels_of(element)
    return next((level for level in levels if level.size <= _WHOLE), levels[-1])


def label_image(
    element: Any,
    to_um: npt.NDArray[np.float64],
    ids: npt.NDArray[np.int64],
    identity: str = "",
) -> LabelImage:
    """A label element as what is drawn; ``to_um``: (3, 3) from its full image's pixels to µm."""
    levels = levels_of(element)
    affines = tuple(to_um @ _to_full(level) for level in levels)
    return LabelImage(tuple(level.data for level in levels), affines, ids, identity)


def share_inside(image: LabelImage, xy: npt.NDArray[np.float64]) -> float:
    """Share of cells whose point, in µm, lies on their own label, looked up at a few places."""
    level = image.levels[0]
    known = np.flatnonzero((image.ids > 0) & np.isfinite(xy).all(axis=1))
    to_pixels = np.asarray(np.linalg.inv(image.affines[0]), dtype=np.float64)
    place = np.floor(moved(xy[known], to_pixels))[:, ::-1].astype(np.int64)
    hits = asked = 0
    for number in np.unique(np.linspace(0, len(known) - 1, _PLACES).astype(np.int64)[: len(known)]):
        low = np.clip(place[number] - _WINDOW // 2, 0, np.maximum(level.shape, 1) - 1)
        block = np.asarray(level[low[0] : low[0] + _WINDOW, low[1] : low[1] + _WINDOW])
        within = ((place >= low) & (place < low + block.shape)).all(axis=1)
        rows, columns = (place[within] - low).T
        hits += int((block[rows, columns] == image.ids[known[within]]).sum())
        asked += max(int(within.sum()), 1)
    return hits / max(asked, 1)


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


def _to_full(level: Any) -> npt.NDArray[np.float64]:
    """(3, 3) matrix from a level's pixels to those of the full image."""
    affine = np.eye(3)
    for axis, name in enumerate(("x", "y")):
        centres = np.asarray(level.coords[name], dtype=np.float64)
        step = (centres[-1] - centres[0]) / (len(centres) - 1) if len(centres) > 1 else 1.0
        affine[axis, axis], affine[axis, 2] = step, centres[0] - step / 2
    return affine
