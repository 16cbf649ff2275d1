"""Mean expression of every gene in every type, and what makes single cells differ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tagscope.simulation.celltypes import BACKGROUND, BEYOND_PANEL, PROGRAMS, TYPES, panel_genes
from tagscope.simulation.streams import stream

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_MARKER_LEVEL = 2.5
_SHARED_LEVEL = 1.8
_BACKGROUND_LEVEL = 0.9
_STATE_LEVEL = 0.25
_LEAK = 0.08  # of a marker's level, everywhere
_STRAY = 0.3  # of a marker's level, in a few types that have no business with it
_DISPERSION = 0.6  # squared coefficient of variation of a gene within a type


@dataclass(frozen=True)
class States:
    """How cells of a type differ; all (N,).

    ``kin`` is the related type whose levels a cell has in part, ``kinship`` that part, 0 to 0.5.
    ``activity`` and ``injury`` say how far the programs of that name are on, 0 to 1.
    """

    kin: Ints
    kinship: Floats
    activity: Floats
    injury: Floats

    def of(self, part: slice) -> States:
        """The states of some cells."""
        return States(self.kin[part], self.kinship[part], self.activity[part], self.injury[part])


def draw_kin(types: Ints, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """A relative for every cell, and how far the cell lies between its type and that one.

    Types without relatives are their own kin. Most cells lie near their own type, a few half way.
    """
    names = [t.name for t in TYPES]
    kin = types.copy()
    for code, cell_type in enumerate(TYPES):
        relatives = [names.index(name) for name, _ in cell_type.likeness]
        if relatives:
            own = np.flatnonzero(types == code)
            kin[own] = rng.choice(relatives, len(own))
    return kin, 0.5 * rng.beta(0.7, 2.5, len(types))


@dataclass(frozen=True)
class Programs:
    """``genes``: the panel, then what only the reference measures. ``levels`` (C, G): relative
    expression of every gene in every type of ``TYPES``. ``activity`` and ``injury`` (G,): what a
    cell gains where the program of that name is on."""

    genes: tuple[str, ...]
    levels: Floats
    activity: Floats
    injury: Floats

    @cached_property
    def _position(self) -> dict[str, int]:
        return {gene: index for index, gene in enumerate(self.genes)}

    def columns(self, genes: tuple[str, ...]) -> Ints:
        """Position of every gene, (len(genes),)."""
        return np.array([self._position[gene] for gene in genes], dtype=np.int64)

    def rates(self, types: Ints, states: States, columns: Ints) -> Floats:
        """Relative expression of single cells over ``columns``, (N, len(columns))."""
        kin = states.kinship[:, None]
        rates = (1 - kin) * self.levels[np.ix_(types, columns)]
        rates += kin * self.levels[np.ix_(states.kin, columns)]
        rates += states.activity[:, None] * self.activity[columns]
        rates += states.injury[:, None] * self.injury[columns]
        return np.asarray(rates)


def plan_programs(seed: int) -> Programs:
    """Draw the levels of all genes."""
    rng = stream(seed, "programs")
    genes = (*panel_genes(), *BEYOND_PANEL)
    position = {gene: index for index, gene in enumerate(genes)}
    levels = np.zeros((len(TYPES), len(genes)))
    for gene in (*BACKGROUND, *BEYOND_PANEL):
        abundance = _BACKGROUND_LEVEL * rng.lognormal(-0.5, 1.0)
        levels[:, position[gene]] = abundance * rng.lognormal(0, 0.25, len(TYPES))
    _add_programs(levels, position, rng)
    _add_markers(levels, position, rng)
    states = {name: np.zeros(len(genes)) for name in ("activity", "injury")}
    for name, gains in states.items():
        columns = [position[gene] for gene in PROGRAMS[name]]
        gains[columns] = _SHARED_LEVEL * rng.lognormal(0, 0.4, len(columns))
    return Programs(genes, levels, **states)


def _add_programs(levels: Floats, position: dict[str, int], rng: np.random.Generator) -> None:
    for program, genes in PROGRAMS.items():
        base = _STATE_LEVEL if program in ("activity", "injury") else _SHARED_LEVEL * _LEAK
        share = np.array([base / _SHARED_LEVEL + t.programs.get(program, 0.0) for t in TYPES])
        for gene in genes:
            level = _SHARED_LEVEL * rng.lognormal(-0.1, 0.45)
            levels[:, position[gene]] = level * share * rng.lognormal(0, 0.15, len(TYPES))


def _add_markers(levels: Floats, position: dict[str, int], rng: np.random.Generator) -> None:
    """Planted markers: highest in their own type, less in its likes, a trace elsewhere."""
    names = [t.name for t in TYPES]
    for own, cell_type in enumerate(TYPES):
        for gene in cell_type.markers:
            share = _LEAK * rng.lognormal(-0.2, 0.6, len(TYPES))
            share[rng.choice(len(TYPES), 2, replace=False)] += _STRAY * rng.random(2)
            for other in TYPES:
                like = dict(other.likeness).get(cell_type.name, 0.0)
                share[names.index(other.name)] += like
            share = np.minimum(share, 0.45)
            share[own] = 1.0
            levels[:, position[gene]] = _MARKER_LEVEL * rng.lognormal(-0.1, 0.45) * share


def noisy_counts(means: Floats, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Negative binomial counts with the given means and the dispersion of a gene within a type."""
    shape = 1.0 / _DISPERSION
    return rng.poisson(means * rng.standard_gamma(shape, means.shape) / shape)
