"""Tell what the spots of a section are made of, by a labelled reference."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from tagscope.core.provenance import Provenance
from tagscope.core.section import Cells, Reference, Section
from tagscope.deconvolution.baseline import least_squares
from tagscope.deconvolution.mapping import MappingSettings, map_cells
from tagscope.deconvolution.mixtures import Space, mixtures_of, read_in_parts
from tagscope.deconvolution.result import Proportions
from tagscope.deconvolution.signatures import Signatures
from tagscope.errors import ArgumentError, InputError
from tagscope.jobs import JobContext
from tagscope.memory import keep_freed_memory
from tagscope.models.device import Precision, choose_device, device_name, quickest_precision
from tagscope.models.omnicell.embedded import embedded
from tagscope.models.omnicell.model import OmniCell, Reading

Method = Literal["embedding", "mapping", "nnls"]
_DEPTH = 0.5  # of a cell's, for parts of a spot: their mean was nearer to the truth than at 1


@dataclass(frozen=True)
class DeconvolveConfig:
    """How spots are deconvolved."""

    key: str = "omnicell"
    """Name of the result in the table."""
    method: Method = "embedding"
    """embedding tells spots by what types are worth in the model's space, learned from mixtures of
    reference cells; mapping maps reference cells onto spots there, as Tangram does; nnls fits the
    types' mean expression by non-negative least squares, without a model."""
    mixtures: int = 2000
    """Mixtures that the method embedding learns from."""
    parts: int = 16
    """Random parts, half as deep as a cell, in which the method embedding reads a spot."""
    cells_per_type: int = 100
    """Reference cells of a type that the method mapping maps, drawn at random."""
    steps: int = 400
    """Steps of the mapping."""
    learning_rate: float = 0.1
    """Learning rate of the mapping."""
    entropy: float = 0.0
    """Above 0, the mapping makes spots of fewer cells."""
    seed: int = 0
    """Seed of what is drawn, and of the mapping."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    precision: Precision = "auto"
    """Number format of the model; auto is bf16 where the device computes in it, else fp32."""

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ArgumentError(
                f"The method {self.method!r} is unknown.",
                "It is embedding, mapping or nnls.",
                "Choose one of these.",
                {"method": None},
            )
        for name in ("mixtures", "parts", "cells_per_type", "steps"):
            if getattr(self, name) < 1:
                raise ArgumentError(
                    f"{name.replace('_', ' ')} is {getattr(self, name)}.",
                    "At least 1 is needed.",
                    "Give another number.",
                    {name: None},
                )


def deconvolve(
    section: Section,
    reference: Reference,
    model: OmniCell | None = None,
    config: DeconvolveConfig | None = None,
    *,
    inputs: dict[str, str] | None = None,
    context: JobContext | None = None,
) -> Proportions:
    """The share of every type of the reference in every spot.

    Raises
    ------
    InputError
        If section and reference share no gene, or none that the model knows; or if the method
        embedding is given values that are no counts.
    ArgumentError
        If there is no model for a method that needs one.
    """
    config, context, began = config or DeconvolveConfig(), context or JobContext(), time.monotonic()
    keep_freed_memory()
    if config.method == "nnls":
        values, genes = _by_expression(section, reference, context)
    else:
        if model is None:
            raise ArgumentError(
                "No model was given.",
                f"The method {config.method} works in the space of an OmniCell.",
                "Give a bundle of one, or take the method nnls.",
                {"bundle": None, "method": "nnls"},
            )
        values, genes = _in_space_of(model, section, reference, config, context)
    provenance = Provenance(
        verb="deconvolve", parameters=asdict(config), inputs=dict(inputs or {}), seed=config.seed,
        device=device_name(choose_device(config.device)),
        seconds=round(time.monotonic() - began, 3),
        extra={"labels": list(reference.labels.names), "spots": len(section), "genes": genes},
    )  # fmt: skip
    return Proportions(config.key, section.ids, reference.labels, values, provenance)


def _by_expression(
    section: Section, reference: Reference, context: JobContext
) -> tuple[npt.NDArray[np.float32], int]:
    columns = section.panel.shared_with(reference.cells.panel)
    _require_shared(len(columns), section, reference)
    panel = section.panel.take(columns)
    spots, cells = section.cells.restrict(panel), reference.cells.restrict(panel)
    types = len(reference.labels)
    found = least_squares(spots.values, cells.values, reference.codes, types, context)
    return found, len(panel)


def _in_space_of(
    model: OmniCell, section: Section, reference: Reference, config: DeconvolveConfig,
    context: JobContext,
) -> tuple[npt.NDArray[np.float32], int]:  # fmt: skip
    device = choose_device(config.device)
    model = model.to(device, quickest_precision(config.precision, device))
    spots, known, reading = _same_genes(section, reference, model)

    def space(cells: Cells, heard: JobContext) -> npt.NDArray[np.float32]:
        return embedded(model, model.read(cells, reading), reading, heard)

    tell = _by_mapping if config.method == "mapping" else _by_signatures
    return tell(spots, known, space, config, context), len(reading.genes)


def _by_signatures(
    spots: Cells, reference: Reference, space: Space, config: DeconvolveConfig, context: JobContext
) -> npt.NDArray[np.float32]:
    _require_counts(spots, reference.cells)
    mixtures = mixtures_of(reference, spots.totals, config.mixtures, config.seed)
    depth = _DEPTH * min(float(np.median(cells.totals)) for cells in (spots, reference.cells))
    of_mixtures, of_spots = (
        read_in_parts(cells, depth, config.parts, space, config.seed, context)
        for cells in (mixtures.cells, spots)
    )
    return Signatures.of(of_mixtures, mixtures.shares).shares_in(of_spots, context)


def _by_mapping(
    spots: Cells, reference: Reference, space: Space, config: DeconvolveConfig, context: JobContext
) -> npt.NDArray[np.float32]:
    types = len(reference.labels)
    rows = drawn_of_types(reference.codes, types, config.cells_per_type, config.seed)
    settings = MappingSettings(config.steps, config.learning_rate, config.entropy, config.seed)
    wanted, parts = space(spots, context), space(reference.cells.take(rows), context)
    weights = map_cells(wanted, parts, settings, choose_device(config.device), context)
    return weights @ np.eye(types, dtype=np.float32)[reference.codes[rows]]


def _same_genes(
    section: Section, reference: Reference, model: OmniCell
) -> tuple[Cells, Reference, Reading]:
    """Spots and reference over the genes that both have and the model knows, in one order."""
    spots, cells = model.reading(section.panel), model.reading(reference.cells.panel)
    genes, of_spots, of_cells = np.intersect1d(spots.genes, cells.genes, return_indices=True)
    _require_shared(len(genes), section, reference)
    columns, panel = spots.columns[of_spots], section.panel.take(spots.columns[of_spots])
    taken = replace(section.cells, values=section.cells.values[:, columns], panel=panel)
    values = reference.cells.values[:, cells.columns[of_cells]]
    known = replace(reference, cells=replace(reference.cells, values=values, panel=panel))
    return taken, known, Reading(genes, np.arange(len(genes)))


def _require_counts(*given: Cells) -> None:
    if any(cells.normalised for cells in given):
        raise InputError(
            "The spots or the reference hold log-normalised values.",
            "The method embedding adds cells up to spots, which counts alone allow.",
            "Choose the layer with counts, or the method mapping.",
            {"layer": None, "method": "mapping"},
        )


def _require_shared(genes: int, section: Section, reference: Reference) -> None:
    if not genes:
        raise InputError(
            f"The section ({len(section.panel)} genes) and the reference "
            f"({len(reference.cells.panel)}) share no gene.",
            "Both must name genes of one species in the same way.",
            "Choose the column that holds gene symbols or Ensembl ids.",
            {"genes": None},
        )


def drawn_of_types(
    codes: npt.NDArray[np.int64], types: int, count: int, seed: int
) -> npt.NDArray[np.int64]:
    """Rows of at most ``count`` cells of every type, ascending, drawn by seed."""
    order = np.random.default_rng(seed).permutation(len(codes))
    parts = [order[codes[order] == code][:count] for code in range(types)]
    return np.sort(np.concatenate(parts))
