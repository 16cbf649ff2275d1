"""Where things lie: a curved sector of cortex with layers, vessels and a lesion.

The cortex is a sector of a ring. ``t`` is the depth below the pia, 0 at the surface and 1 at the
lower edge of the white matter; ``angle`` runs along the surface. All lengths are in µm.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from tagscope.simulation.celltypes import DOMAINS, LAYERS
from tagscope.simulation.streams import stream
from tagscope.simulation.vessels import Vessels, grow_vessels

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

AREA_PER_CELL = 185.0
MARGIN = 20.0
_CURVATURE = 1.9  # radius of the pia over cortical thickness
_HALF_ANGLE = 0.536  # makes the middle of the ring 1.5 times as long as it is thick
_LAYER_ENDS = (0.11, 0.34, 0.48, 0.66, 0.84)
_LAYER_DENSITY = (0.60, 1.15, 1.35, 0.85, 1.10, 0.95)
_VESSEL_DENSITY = 1.5
_LESION_DENSITY = 1.3
_WALL = 6.0

VESSEL = DOMAINS.index("Vessel")
CORE = DOMAINS.index("Lesion core")
BORDER = DOMAINS.index("Lesion border")


@dataclass(frozen=True)
class Lesion:
    """An irregular disc. ``waves`` (K, 2) amplitude and phase of the K lowest harmonics."""

    centre: Floats
    radius: float
    waves: Floats

    def reach(self, xy: Floats) -> Floats:
        """Distance from the centre over the lesion's own radius in that direction, (N,)."""
        away = xy - self.centre
        angle = np.arctan2(away[:, 1], away[:, 0])
        order = np.arange(2, 2 + len(self.waves))
        bumps = self.waves[:, 0] * np.cos(np.outer(angle, order) + self.waves[:, 1])
        return np.asarray(np.hypot(*away.T) / (self.radius * (1.0 + bumps.sum(axis=1))))

    def weights(self, xy: Floats) -> tuple[Floats, Floats]:
        """How far a place belongs to the core and to the lesion as a whole, both 0 to 1, (N,)."""
        reach = self.reach(xy)
        return _fall(reach, 1.0, 0.08), _fall(reach, 1.4, 0.11)


@dataclass(frozen=True)
class Anatomy:
    """The plan of one section: ``thickness`` of the cortex and everything placed in it."""

    thickness: float
    ripples: Floats
    lesion: Lesion
    vessels: Vessels

    @property
    def centre(self) -> Floats:
        """Centre of the ring."""
        return _ring_centre(self.thickness)

    @property
    def extent(self) -> tuple[float, float]:
        """Width and height of the section's frame, margin included."""
        radius = _CURVATURE * self.thickness
        width = 2 * radius * np.sin(_HALF_ANGLE) * 1.03 + 2 * MARGIN
        height = radius * 1.02 - (radius - self.thickness) * np.cos(_HALF_ANGLE) + 2 * MARGIN
        return float(width), float(height)

    @cached_property
    def _vessel_tree(self) -> KDTree:
        return KDTree(self.vessels.points)

    def coordinates(self, xy: Floats) -> tuple[Floats, Floats]:
        """Angle (radians from the middle) and depth ``t`` of every place, (N,) each."""
        away = xy - self.centre
        angle = np.arctan2(away[:, 0], -away[:, 1])
        surface = 1.0 + 0.012 * _ripple(angle, self.ripples[0])
        thickness = 1.0 + 0.03 * _ripple(angle, self.ripples[1])
        depth = (_CURVATURE * surface - np.hypot(*away.T) / self.thickness) / thickness
        return angle, depth

    def inside(self, xy: Floats) -> npt.NDArray[np.bool_]:
        """Whether a place is tissue: within the section and not in the bore of a vessel, (N,)."""
        angle, depth = self.coordinates(xy)
        edge = _HALF_ANGLE * (1.0 + 0.02 * _ripple(4 * depth, self.ripples[2]))
        near, nearest = self.near_vessel(xy)
        bore = self.vessels.radii[nearest] - 1.5
        return (depth > 0) & (depth < 1) & (np.abs(angle) < edge) & ((near > bore) | (bore < 2))

    def layer(self, xy: Floats) -> Ints:
        """Position in ``LAYERS``, (N,)."""
        angle, depth = self.coordinates(xy)
        layer = np.zeros(len(xy), np.int64)
        for index, end in enumerate(_LAYER_ENDS):
            layer += depth > end + 0.014 * _ripple(1.5 * angle, self.ripples[3 + index])
        return layer

    def near_vessel(self, xy: Floats) -> tuple[Floats, Ints]:
        """Distance to the nearest vessel's middle line and which of its points that is, (N,)."""
        distance, nearest = self._vessel_tree.query(xy)
        return np.asarray(distance), np.asarray(nearest, dtype=np.int64)

    def at_vessel(self, xy: Floats) -> npt.NDArray[np.bool_]:
        """Whether a cell there would be part of a vessel's wall, (N,)."""
        distance, nearest = self.near_vessel(xy)
        return np.asarray(distance < self.vessels.radii[nearest] + _WALL)

    def domain(self, xy: Floats) -> Ints:
        """Position in ``DOMAINS``, (N,): vessel before lesion before layer."""
        reach = self.lesion.reach(xy)
        domain = np.where(reach < 1.4, BORDER, self.layer(xy))
        domain = np.where(reach < 1.0, CORE, domain)
        return np.where(self.at_vessel(xy), VESSEL, domain)

    def density(self, xy: Floats) -> Floats:
        """Cells per area relative to the section's mean, 0 outside, (N,)."""
        density = np.array(_LAYER_DENSITY)[self.layer(xy)]
        density *= 1.0 + (_LESION_DENSITY - 1.0) * self.lesion.weights(xy)[1]
        density = np.where(self.at_vessel(xy), _VESSEL_DENSITY, density)
        return density * self.inside(xy)


def plan_anatomy(cells: int, seed: int) -> Anatomy:
    """An anatomy with room for ``cells`` cells."""
    rng = stream(seed, "anatomy")
    thickness = float(np.sqrt(cells * AREA_PER_CELL / 1.5))
    ripples = rng.uniform(0, 2 * np.pi, (3 + len(LAYERS), 3))
    centre = _ring_centre(thickness)
    radius = _CURVATURE * thickness
    vessels = grow_vessels(centre, radius, thickness, _HALF_ANGLE, stream(seed, "vessels"))
    return Anatomy(thickness, ripples, _place_lesion(centre, thickness, rng), vessels)


def _place_lesion(centre: Floats, thickness: float, rng: np.random.Generator) -> Lesion:
    angle = rng.choice([-1, 1]) * rng.uniform(0.17, 0.30)
    radius = thickness * (_CURVATURE - rng.uniform(0.40, 0.52))
    place = centre + radius * np.array([np.sin(angle), -np.cos(angle)])
    amplitude = np.array([0.14, 0.10, 0.06, 0.04]) * rng.uniform(0.7, 1.3, 4)
    waves = np.column_stack([amplitude, rng.uniform(0, 2 * np.pi, 4)])
    return Lesion(place, 0.18 * thickness, waves)


def _ring_centre(thickness: float) -> Floats:
    radius = _CURVATURE * thickness
    return np.array([radius * np.sin(_HALF_ANGLE) * 1.03 + MARGIN, radius * 1.02 + MARGIN])


def _ripple(angle: Floats, phases: Floats) -> Floats:
    """A smooth wave of three harmonics, within −1.75 and 1.75."""
    return np.asarray(
        np.sin(3 * angle + phases[0])
        + 0.5 * np.sin(7 * angle + phases[1])
        + 0.25 * np.sin(17 * angle + phases[2])
    )


def _fall(value: Floats, middle: float, width: float) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(np.clip((value - middle) / width, -50, 50))))
