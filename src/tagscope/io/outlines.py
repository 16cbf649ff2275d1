"""Cell polygons and circles: flat outlines and centroids."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from tagscope.core.section import CellOutlines

_POINT = 0
_POLYGON = 3
_MULTIPOLYGON = 6
_AT_ONCE = 50_000  # shapes in one call: shapely lets no other thread run meanwhile


def rows_in(index: pd.Index, instances: pd.Series) -> npt.NDArray[np.int64]:
    """Row of every instance id in an element's index, (N,) int64, −1 where absent.

    Ids are compared as they are, then as text: one writer's 7 is another's "7".
    """
    if len(index) == len(instances) and index.equals(pd.Index(instances)):
        return np.arange(len(index), dtype=np.int64)
    first = ~index.duplicated()
    positions = np.flatnonzero(first)
    found = index[first].get_indexer(pd.Index(instances))
    if (found < 0).all():
        found = index[first].astype(str).get_indexer(pd.Index(instances.astype(str)))
    return np.where(found < 0, -1, positions[found]).astype(np.int64)


def geometries(frame: Any, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
    """The geometry of every row, (N,), None where the row is −1.

    Of a multipolygon the largest part is kept: a cell has one outline.
    """
    found = np.array(frame.geometry.array, dtype=object)[rows]
    found[rows < 0] = None
    several = np.flatnonzero(shapely.get_type_id(found) == _MULTIPOLYGON)
    parts, owner = shapely.get_parts(found[several], return_index=True)
    by_size = np.argsort(shapely.area(parts), kind="stable")
    found[several[owner[by_size]]] = parts[by_size]
    return found


def are_polygons(shapes: npt.NDArray[np.object_]) -> bool:
    """Whether any shape has an outline of its own; circles are stored as points."""
    return bool((shapely.get_type_id(shapes) == _POLYGON).any())


def _has_points(shapes: npt.NDArray[np.object_]) -> bool:
    return bool((shapely.get_type_id(shapes) == _POINT).any())


def centroids(shapes: npt.NDArray[np.object_]) -> npt.NDArray[np.float64]:
    """Centroids, (N, 2), NaN where there is no shape or an empty one."""
    points = shapely.centroid(shapes)
    points[shapely.is_empty(points)] = None
    return np.column_stack([shapely.get_x(points), shapely.get_y(points)]).astype(np.float64)


def outlines_of(
    shapes: npt.NDArray[np.object_], affine: npt.NDArray[np.float64]
) -> CellOutlines | None:
    """Exterior rings, closed (the last vertex is the first), or None without any polygon.

    Parameters
    ----------
    affine
        (3, 3) matrix from the shapes' coordinates to µm.
    """
    if not are_polygons(shapes):
        return None
    parts = [_rings(shapes[i : i + _AT_ONCE]) for i in range(0, len(shapes), _AT_ONCE)]
    vertices = np.concatenate([moved(xy, affine).astype(np.float32) for xy, _ in parts])
    offsets = np.zeros(len(shapes) + 1, np.int64)
    np.cumsum(np.concatenate([sizes for _, sizes in parts]), out=offsets[1:])
    return CellOutlines(vertices, offsets)


def _rings(
    shapes: npt.NDArray[np.object_],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Vertices of the exterior rings, one after the other, and how many each has."""
    # of shapes without holes the exterior ring need not be made first
    whole = not shapely.get_num_interior_rings(shapes).any() and not _has_points(shapes)
    rings = shapes if whole else shapely.get_exterior_ring(shapes)
    vertices, owner = shapely.get_coordinates(rings, return_index=True)
    return vertices, np.bincount(owner, minlength=len(shapes))


def free_radius(points: npt.NDArray[np.float64]) -> float:
    """Half the median distance to the nearest cell, for cells without an outline; (N, 2)."""
    from scipy.spatial import cKDTree

    apart = cKDTree(points).query(points, k=min(2, len(points)))[0].reshape(len(points), -1)
    return max(float(np.median(apart[:, -1])) / 2, 1e-6)


def moved(xy: npt.NDArray[np.float64], affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Points (V, 2) under a (3, 3) affine matrix; those that stay where they are are not copied."""
    if np.array_equal(affine, np.eye(3)):
        return xy
    return np.asarray(xy @ affine[:2, :2].T + affine[:2, 2], dtype=np.float64)
