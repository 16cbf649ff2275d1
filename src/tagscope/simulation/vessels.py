"""Blood vessels: tubes that dive from the pia and branch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

Floats = npt.NDArray[np.float64]

_STEP = 2.0  # µm between the points of a middle line
_APART = 230.0  # µm along the surface between two diving vessels
_BRANCH_APART = 140.0


@dataclass(frozen=True)
class Vessels:
    """Middle lines as points: ``points`` (V, 2) µm, ``radii`` (V,) µm, ``angles`` (V,) direction in
    radians."""

    points: Floats
    radii: Floats
    angles: Floats


def grow_vessels(
    centre: Floats,
    surface: float,
    thickness: float,
    half_angle: float,
    rng: np.random.Generator,
) -> Vessels:
    """Grow vessels into a ring sector about ``centre`` with its pia at radius ``surface``."""
    count = max(3, round(2 * half_angle * surface / _APART))
    slots = (np.arange(count) + rng.uniform(0.25, 0.75, count)) / count
    lines: list[Vessels] = []
    for angle in (2 * slots - 1) * half_angle:
        start = centre + (surface + 6) * np.array([np.sin(angle), -np.cos(angle)])
        length = thickness * rng.uniform(0.55, 1.05)
        trunk = _grow(start, angle + np.pi / 2, length, rng.uniform(5.5, 8.5), rng)
        lines.append(trunk)
        lines.extend(_branch(trunk, rng))
    return Vessels(
        np.concatenate([line.points for line in lines]),
        np.concatenate([line.radii for line in lines]),
        np.concatenate([line.angles for line in lines]),
    )


def _grow(
    start: Floats, heading: float, length: float, radius: float, rng: np.random.Generator
) -> Vessels:
    """A winding line that thins towards its end."""
    steps = max(2, round(length / _STEP))
    turns = rng.normal(0, 0.06, steps)
    turns[0] = 0.0
    # pulled back to its heading at every step, so that it does not curl up
    wander = lfilter([1.0], [1.0, -0.985], turns)
    angles = heading + wander
    moves = _STEP * np.column_stack([np.cos(angles), np.sin(angles)])
    return Vessels(
        start + np.cumsum(moves, axis=0), np.linspace(radius, 0.55 * radius, steps), angles
    )


def _branch(trunk: Vessels, rng: np.random.Generator) -> list[Vessels]:
    """Side branches at random places, to both sides."""
    count = rng.poisson(len(trunk.points) * _STEP / _BRANCH_APART)
    branches = []
    for place in rng.integers(len(trunk.points) // 8, len(trunk.points), count):
        heading = trunk.angles[place] + rng.choice([-1, 1]) * rng.uniform(0.6, 1.3)
        radius = trunk.radii[place] * rng.uniform(0.45, 0.65)
        branches.append(_grow(trunk.points[place], heading, rng.uniform(45, 120), radius, rng))
    return branches
