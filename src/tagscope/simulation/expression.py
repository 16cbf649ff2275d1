"""What the section measures: few transcripts a cell, some of them the neighbours'."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.spatial import KDTree

from tagscope.jobs import JobContext
from tagscope.simulation.celltypes import TYPES, panel_genes
from tagscope.simulation.config import SimulateConfig
from tagscope.simulation.placement import Placement
from tagscope.simulation.programs import Programs, States, draw_kin, noisy_counts
from tagscope.simulation.streams import stream

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]

_PART = 20_000
_NEIGHBOURS = 6
_REACH = 5.0  # µm over which the chance of a stray transcript falls by e
_CELL_SIZE = 0.6  # sd of the natural log of a cell's total


@dataclass(frozen=True)
class Spill:
    """Transcripts that segmentation gave to a neighbour, sorted by ``receiver``; all (M,)."""

    receiver: Ints
    gene: Ints
    donor: Ints


@dataclass(frozen=True)
class SectionCounts:
    """``own`` (N, G) CSR: transcripts that a cell made and kept; ``spill``: those that went to a
    neighbour."""

    own: sp.csr_matrix
    spill: Spill

    @cached_property
    def seen(self) -> sp.csr_matrix:
        """What the table holds, (N, G) CSR float32."""
        ones = np.ones(len(self.spill.gene), np.float32)
        where = (self.spill.receiver, self.spill.gene)
        strayed = sp.csr_matrix((ones, where), shape=self.own.shape, dtype=np.float32)
        seen = sp.csr_matrix(self.own.astype(np.float32) + strayed)
        seen.sort_indices()
        return seen


def gene_efficiency(config: SimulateConfig, assay: str, genes: int) -> Floats:
    """How well an assay sees each gene, (G,), median about 1."""
    rng = stream(config.seed, f"efficiency of the {assay}")
    return np.asarray(rng.lognormal(0, config.technical_shift, genes))


def measure_section(
    config: SimulateConfig, programs: Programs, placement: Placement, context: JobContext
) -> SectionCounts:
    """Draw every cell's counts, then let neighbours take some."""
    cells = len(placement.types)
    columns = programs.columns(panel_genes())
    efficiency = gene_efficiency(config, "section", len(programs.genes))[columns]
    totals = _totals(config, placement)
    states = _states(config.seed, placement)
    parts = []
    for index, begin in enumerate(range(0, cells, _PART)):
        context.step("measuring cells", begin, cells)
        part = slice(begin, begin + _PART)
        rates = programs.rates(placement.types[part], states.of(part), columns)
        rates *= efficiency
        means = rates * (totals[part] / rates.sum(axis=1))[:, None]
        drawn = noisy_counts(means, stream(config.seed, "counts", index))
        parts.append(sp.csr_matrix(drawn.astype(np.int32)))
    context.step("measuring cells", cells, cells)
    made = sp.csr_matrix(sp.vstack(parts, format="csr"))
    return _spill(made, placement.seeds, config)


def _totals(config: SimulateConfig, placement: Placement) -> Floats:
    """Expected transcripts of every cell, (N,); their median is the one asked for."""
    rng = stream(config.seed, "cell size")
    totals = np.array([t.counts for t in TYPES])[placement.types]
    totals = totals * rng.lognormal(0, _CELL_SIZE, len(totals))
    return np.asarray(totals * (config.median_counts / np.median(totals)))


def _states(seed: int, placement: Placement) -> States:
    """Some neurons are active; near the lesion the injury program is on."""
    rng = stream(seed, "states")
    cells = len(placement.types)
    neuron = np.array(["neuron" in t.programs for t in TYPES])[placement.types]
    active = neuron * (rng.random(cells) < 0.15) * rng.uniform(0.5, 1.0, cells)
    injured = placement.reactivity * rng.beta(3, 2, cells)
    return States(*draw_kin(placement.types, rng), active, injured)


def _spill(made: sp.csr_matrix, seeds: Floats, config: SimulateConfig) -> SectionCounts:
    """Move a share of every cell's transcripts to its neighbours, nearer ones more."""
    rng = stream(config.seed, "spill")
    cells = made.shape[0]
    mean = max(config.spill, 1e-9)
    share = rng.beta(2.0, 2.0 / mean - 2.0, cells)
    rows = np.repeat(np.arange(cells, dtype=np.int32), np.diff(made.indptr))
    moved = rng.binomial(made.data, share[rows])
    own = made.copy()
    own.data = (made.data - moved).astype(np.int32)
    own.eliminate_zeros()
    donor, gene = np.repeat(rows, moved), np.repeat(made.indices, moved)
    receiver = _receivers(donor, seeds, rng)
    order = np.argsort(receiver, kind="stable")
    return SectionCounts(own, Spill(receiver[order], gene[order], donor[order]))


def _receivers(donor: Ints, seeds: Floats, rng: np.random.Generator) -> Ints:
    distance, nearest = KDTree(seeds).query(seeds, k=_NEIGHBOURS + 1)
    chance = np.cumsum(np.exp(-distance[:, 1:] / _REACH), axis=1)
    chance /= chance[:, -1:]
    chosen = (rng.random(len(donor))[:, None] > chance[donor]).sum(axis=1)
    return np.asarray(nearest[donor, 1 + chosen], dtype=np.int32)
