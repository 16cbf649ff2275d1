"""Several sections in one picture: each moved as a whole to a place of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from tagscope.core.section import CellOutlines, SideBySide
from tagscope.errors import ArgumentError
from tagscope.io.columns import column_of
from tagscope.io.findings import Finding, listed
from tagscope.io.placement import Placement
from tagscope.io.spatialdata_store import ALL_REGIONS

_GAP = 0.1  # between sections, of the longest side of any
_MOST = 200
_COLUMNS = ("section", "sample", "slice", "slide", "library_id")
_OVERLAP = 0.25  # of the smaller of two sections, above which they lie upon each other


def place_each(
    names: Sequence[str],
    codes: npt.NDArray[np.int64],
    place: Callable[[npt.NDArray[np.int64], str], Placement],
) -> Placement:
    """Place every section by itself, then all of them side by side.

    ``codes`` (N,) into ``names``; ``place`` takes the rows of a section and its name.
    """
    rows = [np.flatnonzero(codes == code) for code in range(len(names))]
    parts = [place(own, name) for own, name in zip(rows, names, strict=True)]
    findings = tuple({str(found): found for part in parts for found in part.findings}.values())
    lost = next((part for part in parts if part.xy is None), None)
    if lost is not None:
        return replace(lost, findings=findings)
    units = {part.unit for part in parts}
    systems = {part.coordinate_system for part in parts}
    factors = {part.um_per_unit for part in parts}
    xy = np.empty((len(codes), 2))
    for own, part in zip(rows, parts, strict=True):
        xy[own] = part.xy
    whole = Placement(
        xy,
        units.pop() if len(units) == 1 else "unknown",
        factors.pop() if len(factors) == 1 else None,
        _gathered([part.outlines for part in parts], rows, len(codes)),
        systems.pop() if len(systems) == 1 else None,
        findings,
    )
    return lay_out(whole, names, codes)


def by_column(placement: Placement, obs: pd.DataFrame, column: str) -> Placement:
    """Lay sections side by side that share coordinates, told apart by a column of ``obs``.

    Raises
    ------
    ArgumentError
        If there is no such column, or it does not tell sections.
    """
    values = column_of(obs, column, "sections").astype(str)
    codes, names = pd.factorize(values, sort=True)
    if len(names) > _MOST:
        raise ArgumentError(
            f"The column {column!r} has {len(names)} different values.",
            f"A column that tells up to {_MOST} sections apart is needed.",
            "Choose another.",
            {"sections": None},
        )
    if placement.xy is None:
        return placement
    return lay_out(placement, [str(name) for name in names], codes.astype(np.int64))


def lay_out(placement: Placement, names: Sequence[str], codes: npt.NDArray[np.int64]) -> Placement:
    """Move sections into a near-square grid, row by row, so that none overlap."""
    assert placement.xy is not None
    boxes = np.array([_box(placement, codes == code) for code in range(len(names))])
    offsets = _grid(boxes[:, 1] - boxes[:, 0]) - boxes[:, 0]
    rings = placement.outlines
    if rings is not None:
        owner = np.repeat(codes, np.diff(rings.offsets))
        moved = (rings.vertices + offsets[owner]).astype(np.float32)
        rings = CellOutlines(moved, rings.offsets)
    finding = Finding(
        "info",
        "side-by-side",
        f"{len(names)} sections lie side by side: {listed(names, 6)}.",
        "Distances hold within a section, not between them.",
    )
    return replace(
        placement,
        xy=placement.xy + offsets[codes],
        outlines=rings,
        pieces=SideBySide(tuple(names), codes, offsets),
        findings=(*placement.findings, finding),
    )


def overlapping(obs: pd.DataFrame, xy: npt.NDArray[np.float64] | None) -> tuple[Finding, ...]:
    """Whether a column tells of sections that lie upon each other, with the fix."""
    if xy is None:
        return ()
    for column in section_columns(obs):
        codes, names = pd.factorize(obs[column].astype(str), sort=True)
        if _any_overlap(np.array([_extent(xy[codes == code]) for code in range(len(names))])):
            return (_upon_each_other(column, names),)
    return ()


def section_columns(obs: pd.DataFrame) -> tuple[str, ...]:
    """Columns of ``obs`` that may tell sections apart."""
    there = (column for column in _COLUMNS if column in obs)
    return tuple(column for column in there if 1 < obs[column].nunique() <= _MOST)


def _upon_each_other(column: str, names: pd.Index) -> Finding:
    return Finding(
        "warning",
        "sections-overlap",
        f"The sections that {column!r} tells apart ({listed(names, 4)}) lie upon each other.",
        "Cells of different sections are no neighbours.",
        "Lay them side by side, or keep the cells of one.",
        {"sections": column},
    )


def choose_region(regions: Sequence[str]) -> tuple[Finding, ...]:
    """A table of several regions: all side by side, or one of them."""
    several = Finding(
        "error",
        "choose-region",
        f"The table annotates {len(regions)} regions: {listed(regions)}.",
        "Their coordinates may overlap.",
        "Choose one, or lay all side by side.",
        {"region": ALL_REGIONS},
        among=(ALL_REGIONS, *regions),
    )
    return (several,)


def _gathered(
    outlines: Sequence[CellOutlines | None], rows: Sequence[npt.NDArray[np.int64]], cells: int
) -> CellOutlines | None:
    """The outlines of all sections' cells in the order of the table."""
    if all(rings is None for rings in outlines):
        return None
    sizes = np.zeros(cells, np.int64)
    for rings, own in zip(outlines, rows, strict=True):
        sizes[own] = 0 if rings is None else np.diff(rings.offsets)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    vertices = np.empty((offsets[-1], 2), np.float32)
    for rings, own in zip(outlines, rows, strict=True):
        if rings is not None:
            within = np.arange(len(rings.vertices)) - np.repeat(rings.offsets[:-1], sizes[own])
            vertices[np.repeat(offsets[own], sizes[own]) + within] = rings.vertices
    return CellOutlines(vertices, offsets)


def _box(placement: Placement, own: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Lower and upper corner (2, 2) of a section, outlines included."""
    assert placement.xy is not None
    points = placement.xy[own]
    rings = placement.outlines
    if rings is not None:
        vertices = rings.vertices[np.repeat(own, np.diff(rings.offsets))]
        points = np.concatenate([points, vertices])
    return _extent(points)


def _extent(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    known = points[np.isfinite(points).all(axis=1)]
    if not len(known):
        return np.zeros((2, 2))
    return np.array([known.min(axis=0), known.max(axis=0)])


def _grid(sizes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Lower corners (S, 2) of boxes of ``sizes`` (S, 2) in rows of about √S."""
    gap = _GAP * float(sizes.max())
    columns = int(np.ceil(np.sqrt(len(sizes))))
    corners = np.zeros_like(sizes)
    top = 0.0
    for first in range(0, len(sizes), columns):
        row = sizes[first : first + columns]
        corners[first : first + columns, 0] = np.cumsum(row[:, 0] + gap) - row[:, 0] - gap
        corners[first : first + columns, 1] = top
        top += float(row[:, 1].max()) + gap
    return corners


def _any_overlap(boxes: npt.NDArray[np.float64]) -> bool:
    """Whether two boxes (S, 2, 2) share a part that matters of the smaller one."""
    low, high = boxes[:, 0], boxes[:, 1]
    shared = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    common = np.prod(np.maximum(shared, 0), axis=2)
    areas = np.prod(high - low, axis=1)
    smaller = np.minimum(areas[:, None], areas)
    upper = np.triu_indices(len(boxes), 1)
    return bool((common[upper] > _OVERLAP * smaller[upper]).any())
