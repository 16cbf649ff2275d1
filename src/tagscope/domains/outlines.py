"""Outlines of domains: all that is nearest to their cells, up to a radius."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import shapely

from tagscope.core.neighbours import nearest_others
from tagscope.core.results import DomainMap
from tagscope.core.section import Section
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

Shapes = npt.NDArray[np.object_]
Points = npt.NDArray[np.float64]

_RING = 6  # neighbours that surround a cell
_REACH = 0.75  # of the distance to the last of them: a lattice has no gaps
_SPARSE = 2.0  # times the radius: what reaches no farther lies among other cells


def domain_outlines(
    section: Section, found: DomainMap, *, context: JobContext | None = None
) -> GeoDataFrame:
    """One polygon or multipolygon for every domain, of several sections for each of them.

    Columns ``domain``, ``cells`` and, of sections side by side, ``section``; coordinates are those
    of ``section.own_xy``, in its unit. The areas of cells adjoin, so that domains do: the cells'
    own polygons have gaps between them, and would leave as many islands as there are cells. Cells
    without a finite position have no area.
    """
    import geopandas
    import pandas as pd

    context = context or JobContext()
    pieces = section.pieces
    of_piece = np.zeros(len(section), np.int64) if pieces is None else pieces.codes
    finite = np.isfinite(section.own_xy).all(axis=1)
    rows, shapes = [], []
    for piece in np.unique(of_piece[finite]):
        own = np.flatnonzero(finite & (of_piece == piece))
        areas, whole = cell_areas(section.own_xy[own])
        for domain in np.unique(found.codes[own]):
            context.step("outlining", int(domain), len(found.domains))
            inside = found.codes[own] == domain
            area = _united(areas[inside & whole], areas[inside & ~whole])
            if area.is_empty:  # all its cells lie where others do
                continue
            name = found.domains.names[domain]
            row = {"domain": name, "cells": int(inside.sum())}
            rows.append(row if pieces is None else {**row, "section": pieces.names[piece]})
            shapes.append(area)
    frame = pd.DataFrame(rows, index=[", ".join(map(str, _named(row))) for row in rows])
    return geopandas.GeoDataFrame(frame, geometry=shapes)


def cell_areas(points: Points) -> tuple[Shapes, npt.NDArray[np.bool_]]:
    """All that is nearest to each of the points (n, 2), and which of these areas are whole.

    Those that reach far, at the rim of the tissue and around holes, are cut to a disc. Of cells at
    the very same place the first has the area, and the others an empty one.
    """
    _, first = np.unique(points, axis=0, return_index=True)
    areas: Shapes = np.full(len(points), shapely.Polygon(), dtype=object)
    radius = _radius(points[first])
    discs = shapely.buffer(shapely.points(points[first]), radius, quad_segs=8)
    if len(first) < 2:
        areas[first] = discs
        return areas, np.zeros(len(points), bool)
    cloud = shapely.MultiPoint(points[first])
    around = shapely.buffer(shapely.envelope(cloud), 2 * radius)
    nearest = shapely.get_parts(shapely.voronoi_polygons(cloud, extend_to=around, ordered=True))
    within = _farthest(nearest, points[first]) <= _SPARSE * radius
    areas[first] = np.where(within, nearest, None)
    areas[first[~within]] = shapely.intersection(nearest[~within], discs[~within])
    whole = np.zeros(len(points), bool)
    whole[first[within]] = True
    return areas, whole


def _radius(points: Points) -> float:
    """How far an area reaches where no cell is in the way."""
    count = min(_RING, len(points) - 1)
    if count < 1:
        return 1.0
    last = points[nearest_others(points, count)[:, -1]]
    return _REACH * float(np.median(np.hypot(*(points - last).T)))


def _farthest(areas: Shapes, points: Points) -> npt.NDArray[np.float64]:
    """Distance of every point to the farthest vertex of its area, (n,)."""
    vertices, owner = shapely.get_coordinates(areas, return_index=True)
    away = np.hypot(*(vertices - points[owner]).T)
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    return np.asarray(np.maximum.reduceat(away, starts), dtype=np.float64)


def _united(whole: Shapes, clipped: Shapes) -> shapely.Geometry:
    """The union of areas; those that are whole share their edges exactly, which is quick."""
    return shapely.union_all([shapely.coverage_union_all(whole), *clipped])


def _named(row: dict[str, object]) -> tuple[object, ...]:
    return (row["domain"], row["section"]) if "section" in row else (row["domain"],)
