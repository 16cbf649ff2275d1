"""The labelled single-cell reference: deeper, shifted, and without one type of the section."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tagscope.simulation.celltypes import TYPE_NAMES, TYPES, panel_genes, reference_genes
from tagscope.simulation.config import SimulateConfig
from tagscope.simulation.expression import gene_efficiency
from tagscope.simulation.programs import Programs, States, draw_kin, noisy_counts
from tagscope.simulation.streams import stream

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BATCHES = ("donor_1", "donor_2", "donor_3")
FEWEST = 60  # cells a type, where there are enough cells for that
_BATCH_SHIFT = 0.15  # sd of the natural log of a gene's efficiency between batches
_AMBIENT = 0.04  # share of the soup of burst cells in every cell
_PART = 20_000


@dataclass(frozen=True)
class ReferenceCells:
    """``counts`` (N, G) CSR float32 over ``genes``; ``types`` (N,) into ``TYPES``; ``batches``
    (N,) into ``BATCHES``."""

    counts: sp.csr_matrix
    genes: tuple[str, ...]
    types: Ints
    batches: Ints


def make_reference(
    config: SimulateConfig, programs: Programs, section_types: Ints
) -> ReferenceCells:
    """Dissociated cells of the same tissue, rare types enriched as sorting does."""
    rng = stream(config.seed, "reference")
    genes = reference_genes()
    types = rng.permutation(np.repeat(np.arange(len(TYPES)), _cells_a_type(config, section_types)))
    batches = rng.integers(0, len(BATCHES), len(types))
    columns = programs.columns(genes)
    sees = _efficiencies(config, programs, columns, rng)
    on_panel = np.isin(genes, panel_genes())
    size = rng.lognormal(0, 0.5, len(types)) * np.array([t.counts for t in TYPES])[types]
    size *= config.reference_counts / np.median(size)
    parts = []
    for index, begin in enumerate(range(0, len(types), _PART)):
        part = slice(begin, begin + _PART)
        cell_rng = stream(config.seed, "reference counts", index)
        rates = _rates(programs, types[part], columns, cell_rng) * sees[batches[part]]
        means = rates * (size[part] / rates[:, on_panel].sum(axis=1))[:, None]
        parts.append(sp.csr_matrix(noisy_counts(means, cell_rng).astype(np.float32)))
    return ReferenceCells(sp.csr_matrix(sp.vstack(parts)), genes, types, batches)


def _cells_a_type(config: SimulateConfig, section_types: Ints) -> Ints:
    """The fewest of each type, the rest by abundance in the tissue; none of the unseen type."""
    seen = np.array(TYPE_NAMES) != config.unseen
    share = np.bincount(section_types, minlength=len(TYPES)) * seen
    rest = config.reference_cells - FEWEST * int(seen.sum())
    cells = FEWEST * seen + np.floor(rest * share / share.sum()).astype(np.int64)
    cells[np.argmax(cells)] += config.reference_cells - cells.sum()
    return np.asarray(cells, dtype=np.int64)


def _efficiencies(
    config: SimulateConfig, programs: Programs, columns: Ints, rng: np.random.Generator
) -> Floats:
    """How well every batch sees every gene, (batches, G)."""
    assay = gene_efficiency(config, "reference", len(programs.genes))[columns]
    return assay * rng.lognormal(0, _BATCH_SHIFT, (len(BATCHES), len(columns)))


def _rates(programs: Programs, types: Ints, columns: Ints, rng: np.random.Generator) -> Floats:
    """Relative expression, with the stress of dissociation and the ambient soup in it."""
    stress = rng.beta(2, 4, len(types))
    injured = (np.array(TYPE_NAMES)[types] == "Reactive astrocyte") * rng.beta(2, 3, len(types))
    injured = injured + 0.4 * (rng.random(len(types)) < 0.1)
    states = States(*draw_kin(types, rng), stress, injured)
    rates = programs.rates(types, states, columns)
    rates *= ((1 - _AMBIENT) / rates.sum(axis=1))[:, None]
    soup = programs.levels[:, columns].mean(axis=0)
    return np.asarray(rates + _AMBIENT * soup / soup.sum())
