"""Tell what the spots of a section are made of, by a labelled reference."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tagscope.core.provenance import Provenance
from tagscope.core.section import Reference, Section
from tagscope.deconvolution.baseline import least_squares
from tagscope.deconvolution.mapping import MappingSettings, map_cells
from tagscope.deconvolution.result import Proportions
from tagscope.errors import ArgumentError, InputError
from tagscope.jobs import JobContext
from tagscope.memory import keep_freed_memory
from tagscope.models.device import Precision, choose_device, device_name, quickest_precision
from tagscope.models.omnicell.embedded import embedded
from tagscope.models.omnicell.model import OmniCell, Reading

Method = Literal["embedding", "nnls"]


@dataclass(frozen=True)
class DeconvolveConfig:
    """How spots are deconvolved."""

    key: str = "omnicell"
    """Name of the result in the table."""
    method: Method = "embedding"
    """embedding maps reference cells onto spots in the model's space; nnls fits the types' mean
    expression by non-negative least squares, without a model."""
    cells_per_type: int = 100
    """Reference cells of a type that are mapped, drawn at random."""
    steps: int = 400
    """Steps of the mapping."""
    learning_rate: float = 0.1
    """Learning rate of Adam."""
    entropy: float = 0.0
    """Above 0, spots are made of fewer cells."""
    seed: int = 0
    """Seed of the draw and of the mapping."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    precision: Precision = "auto"
    """Number format of the model; auto is bf16 where the device computes in it, else fp32."""

    def __post_init__(self) -> None:
        if self.method not in ("embedding", "nnls"):
            raise ArgumentError(
                f"The method {self.method!r} is unknown.",
                "It is embedding or nnls.",
                "Choose one of these.",
                {"method": None},
            )
        for name in ("cells_per_type", "steps"):
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
        If section and reference share no gene, or none that the model knows.
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
                "The method embedding maps cells in the space of an OmniCell.",
                "Give a bundle of one, or take the method nnls.",
                {"bundle": None, "method": "nnls"},
            )
        values, genes = _by_embedding(section, reference, model, config, context)
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


def _by_embedding(
    section: Section, reference: Reference, model: OmniCell, config: DeconvolveConfig,
    context: JobContext,
) -> tuple[npt.NDArray[np.float32], int]:  # fmt: skip
    device = choose_device(config.device)
    model = model.to(device, quickest_precision(config.precision, device))
    of_spots, of_cells = _same_genes(section, reference, model)
    types = len(reference.labels)
    rows = drawn_of_types(reference.codes, types, config.cells_per_type, config.seed)
    some = reference.cells.take(rows)
    spots = embedded(model, model.read(section.cells, of_spots), of_spots, context)
    cells = embedded(model, model.read(some, of_cells), of_cells, context)
    settings = MappingSettings(config.steps, config.learning_rate, config.entropy, config.seed)
    weights = map_cells(spots, cells, settings, device, context)
    member = np.eye(types, dtype=np.float32)[reference.codes[rows]]
    return weights @ member, len(of_spots.genes)


def _same_genes(section: Section, reference: Reference, model: OmniCell) -> tuple[Reading, Reading]:
    """Both read over the genes that both have, in one order."""
    spots, cells = model.reading(section.panel), model.reading(reference.cells.panel)
    genes, of_spots, of_cells = np.intersect1d(spots.genes, cells.genes, return_indices=True)
    _require_shared(len(genes), section, reference)
    return Reading(genes, spots.columns[of_spots]), Reading(genes, cells.columns[of_cells])


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
