"""Where the cells lie and of which type they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from tagscope.jobs import JobContext
from tagscope.simulation.anatomy import AREA_PER_CELL, BORDER, CORE, VESSEL, Anatomy
from tagscope.simulation.celltypes import TYPES
from tagscope.simulation.streams import stream

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CANDIDATES = 5  # places looked at for every cell placed
_ROUNDS = 16
_TILE = 200.0  # µm; cells are numbered tile by tile, so that neighbours lie near in memory


@dataclass(frozen=True)
class Placement:
    """``seeds`` (N, 2) µm, ``types`` (N,) into ``TYPES``, ``domains`` (N,) into ``DOMAINS``,
    ``reactivity`` (N,) 0 to 1, how far the lesion reaches there."""

    seeds: Floats
    types: Ints
    domains: Ints
    reactivity: Floats


def place_cells(anatomy: Anatomy, cells: int, seed: int, context: JobContext) -> Placement:
    """Scatter cells by local density, push neighbours apart, and give each a type."""
    seeds = _scatter(anatomy, cells, stream(seed, "places"))
    for index in range(_ROUNDS):
        context.step("placing cells", index, _ROUNDS)
        seeds = _push_apart(seeds, anatomy)
    context.step("placing cells", _ROUNDS, _ROUNDS)
    seeds = seeds[_tile_order(seeds)]
    types = _draw(composition(anatomy, seeds), stream(seed, "types"))
    return Placement(seeds, types, anatomy.domain(seeds), anatomy.lesion.weights(seeds)[1])


def composition(anatomy: Anatomy, xy: Floats) -> Floats:
    """Probability of every type at every place, (N, C), rows sum to 1."""
    table = np.array([cell_type.where for cell_type in TYPES]).T
    table /= table.sum(axis=1, keepdims=True)
    core, lesion = anatomy.lesion.weights(xy)
    mixed: Floats = (1 - lesion)[:, None] * table[anatomy.layer(xy)]
    mixed += core[:, None] * table[CORE] + (lesion - core)[:, None] * table[BORDER]
    wall = anatomy.at_vessel(xy)
    mixed[wall] = 0.2 * mixed[wall] + 0.8 * table[VESSEL]
    return mixed


def _scatter(anatomy: Anatomy, cells: int, rng: np.random.Generator) -> Floats:
    """``cells`` places out of a jittered hexagonal lattice, chosen by density (Efraimidis and
    Spirakis 2006: the largest log(u) / weight)."""
    width, height = anatomy.extent
    pitch = np.sqrt(2 / np.sqrt(3) * AREA_PER_CELL / _CANDIDATES)
    columns, rows = int(width / pitch), int(height / (pitch * np.sqrt(3) / 2))
    x, y = np.meshgrid(np.arange(columns, dtype=float), np.arange(rows, dtype=float))
    x[1::2] += 0.5
    lattice = np.column_stack([x.ravel(), y.ravel() * np.sqrt(3) / 2]) * pitch
    lattice += rng.uniform(-0.4, 0.4, lattice.shape) * pitch
    weights = anatomy.density(lattice)
    lattice, weights = lattice[weights > 0], weights[weights > 0]
    keys = np.log(rng.random(len(lattice))) / weights
    return np.asarray(lattice[np.sort(np.argpartition(-keys, cells)[:cells])])


def _push_apart(seeds: Floats, anatomy: Anatomy) -> Floats:
    """One round of mutual repulsion of the six nearest; nobody is pushed out of the tissue."""
    distance, nearest = KDTree(seeds).query(seeds, k=7)
    distance, nearest = np.maximum(distance[:, 1:], 1e-6), nearest[:, 1:]
    wanted = 1.1 * np.sqrt(AREA_PER_CELL / np.maximum(anatomy.density(seeds), 0.3))
    overlap = np.maximum(wanted[:, None] - distance, 0) / distance
    push = ((seeds[:, None] - seeds[nearest]) * overlap[:, :, None]).sum(axis=1)
    length = np.hypot(*push.T)
    push *= np.minimum(0.15, 2.0 / np.maximum(length, 1e-9))[:, None]
    moved = seeds + push
    return np.where(anatomy.inside(moved)[:, None], moved, seeds)


def _tile_order(seeds: Floats) -> Ints:
    tiles = (seeds // _TILE).astype(np.int64)
    return np.lexsort((seeds[:, 0], tiles[:, 0], tiles[:, 1]))


def _draw(probabilities: Floats, rng: np.random.Generator) -> Ints:
    """One category a row, (N,)."""
    edges = np.cumsum(probabilities, axis=1)
    chosen = (rng.random(len(edges))[:, None] * edges[:, -1:] > edges).sum(axis=1)
    return np.asarray(chosen, dtype=np.int64)
