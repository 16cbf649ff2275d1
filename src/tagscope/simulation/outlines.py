"""Cell outlines as star polygons that cannot overlap.

Every vertex of a cell lies nearer to its own seed than to any other cell's, so each polygon stays
in its seed's Voronoi region, which is convex. Everything is computed for all cells at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from tagscope.simulation.anatomy import Anatomy
from tagscope.simulation.celltypes import TYPES
from tagscope.simulation.placement import Placement
from tagscope.simulation.streams import stream

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

VERTICES = 16
_NEIGHBOURS = 16
_SPREAD = 1.25  # segmentation grows cells beyond their true size where there is room
_GAP = 0.3  # µm that two touching cells keep between them, each side
_ROUNDNESS = 9.0  # exponent of the soft minimum; larger gives sharper corners
_PART = 20_000


@dataclass(frozen=True)
class Outlines:
    """``seeds`` (N, 2) µm; ``radii`` (N, K) µm from the seed to vertex k, which lies in direction
    ``start`` (N,) + 2πk/K; ``vertices`` (N, K, 2) µm."""

    seeds: Floats
    radii: Floats
    start: Floats
    vertices: Floats

    @property
    def areas(self) -> Floats:
        """Area of every polygon, µm², (N,)."""
        return np.asarray(self._crosses().sum(axis=1) / 2)

    @property
    def centroids(self) -> Floats:
        """Centroid of every polygon, µm, (N, 2)."""
        crosses = self._crosses()
        local = self.vertices - self.seeds[:, None]
        sums = ((local + np.roll(local, -1, axis=1)) * crosses[:, :, None]).sum(axis=1)
        return np.asarray(self.seeds + sums / (3 * crosses.sum(axis=1))[:, None])

    def _crosses(self) -> Floats:
        local = self.vertices - self.seeds[:, None]
        following = np.roll(local, -1, axis=1)
        return np.asarray(local[..., 0] * following[..., 1] - local[..., 1] * following[..., 0])

    def reach(self, cells: Ints, xy: Floats) -> Floats:
        """Distance of points from a cell's seed over the outline's distance in that direction:
        below 1 inside the cell. ``cells`` (M,), ``xy`` (M, 2); (M,)."""
        return np.asarray(np.hypot(*(xy - self.seeds[cells]).T) / self.edge(cells, xy))

    def edge(self, cells: Ints, xy: Floats) -> Floats:
        """Distance (M,) in µm from a cell's seed to its outline in the direction of ``xy``."""
        away = xy - self.seeds[cells]
        turn = np.mod(np.arctan2(away[:, 1], away[:, 0]) - self.start[cells], 2 * np.pi)
        place = turn * VERTICES / (2 * np.pi)
        before = np.minimum(place.astype(np.int64), VERTICES - 1)
        share = (place - before) * (2 * np.pi / VERTICES)
        first = self.radii[cells, before]
        second = self.radii[cells, (before + 1) % VERTICES]
        wedge = 2 * np.pi / VERTICES
        # the chord between two vertices, in polar form
        chord = first * second * np.sin(wedge)
        chord /= first * np.sin(share) + second * np.sin(wedge - share)
        return np.asarray(chord)


def outline_cells(placement: Placement, anatomy: Anatomy, seed: int) -> Outlines:
    """Draw the outline of every cell: its type's own shape, cut by its neighbours."""
    rng = stream(seed, "outlines")
    seeds = placement.seeds
    start = rng.uniform(0, 2 * np.pi, len(seeds))
    wanted = _own_shape(placement, anatomy, start, rng)
    distance, nearest = KDTree(seeds).query(seeds, k=_NEIGHBOURS + 1)
    radii = np.empty((len(seeds), VERTICES))
    for begin in range(0, len(seeds), _PART):
        part = slice(begin, begin + _PART)
        room = _room(seeds, start[part], part, distance[part], nearest[part])
        radii[part] = _soft_minimum(wanted[part], room)
    turn = _directions(start)
    vertices = seeds[:, None] + radii[:, :, None] * np.stack([np.cos(turn), np.sin(turn)], axis=2)
    return Outlines(seeds, radii, start, vertices)


def _directions(start: Floats) -> Floats:
    return np.asarray(start[:, None] + np.arange(VERTICES) * (2 * np.pi / VERTICES))


def _own_shape(
    placement: Placement, anatomy: Anatomy, start: Floats, rng: np.random.Generator
) -> Floats:
    """Radii (N, K) that a cell would have alone: a wavy ellipse along its own axis."""
    size = np.array([t.radius for t in TYPES])[placement.types]
    size = size * _SPREAD * rng.lognormal(0, 0.12, len(size))
    stretch = np.sqrt(np.array([t.elongation for t in TYPES])[placement.types])
    turn = _directions(start)
    along = turn - _axis(placement, anatomy, rng)[:, None]
    ellipse = 1 / np.hypot(np.cos(along) / stretch[:, None], np.sin(along) * stretch[:, None])
    phases = rng.uniform(0, 2 * np.pi, (2, len(size), 1))
    waves = 0.07 * np.cos(2 * turn + phases[0]) + 0.05 * np.cos(3 * turn + phases[1])
    return np.asarray(size[:, None] * ellipse * (1 + waves))


def _axis(placement: Placement, anatomy: Anatomy, rng: np.random.Generator) -> Floats:
    """Direction of every cell's long axis: along the vessel in its wall, towards the pia for
    excitatory neurons, any elsewhere."""
    seeds = placement.seeds
    axis = rng.uniform(0, np.pi, len(seeds))
    pyramidal = np.array(["excitatory" in t.programs for t in TYPES])[placement.types]
    away = seeds - anatomy.centre
    radial = np.arctan2(away[:, 1], away[:, 0]) + rng.normal(0, 0.2, len(seeds))
    _, nearest = anatomy.near_vessel(seeds)
    axis = np.where(pyramidal, radial, axis)
    return np.where(anatomy.at_vessel(seeds), anatomy.vessels.angles[nearest], axis)


def _room(seeds: Floats, start: Floats, part: slice, distance: Floats, nearest: Ints) -> Floats:
    """Distance (n, K) from the seed to the edge of its Voronoi region, less the gap.

    Cells beyond the nearest ones count as standing at the farthest of these, in all directions.
    """
    offset = seeds[nearest[:, 1:]] - seeds[part, None]
    turn = _directions(start)
    room = np.repeat(distance[:, -1:] / 2, VERTICES, axis=1)
    for column in range(_NEIGHBOURS):
        towards = offset[:, column, :1] * np.cos(turn) + offset[:, column, 1:] * np.sin(turn)
        limit = distance[:, column + 1, None] ** 2 / 2
        np.minimum(room, limit / np.maximum(towards, 1e-9), out=room)
    return np.maximum(room - _GAP, 0.8 * room)


def _soft_minimum(first: Floats, second: Floats) -> Floats:
    """A smooth value below both."""
    mean = (first**-_ROUNDNESS + second**-_ROUNDNESS) ** (-1 / _ROUNDNESS)
    return np.asarray(mean)
