"""Embed the cells of a section, alone or read together with their neighbours."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

import numpy as np

from tagscope.core.provenance import Provenance
from tagscope.core.results import Embedding
from tagscope.core.section import Cells, Section
from tagscope.errors import ArgumentError
from tagscope.inference.annotate import shared_genes
from tagscope.inference.ask import Network, answers
from tagscope.inference.variable import most_variable
from tagscope.jobs import JobContext
from tagscope.memory import keep_freed_memory
from tagscope.models.base import CellModel
from tagscope.models.batches import Batches
from tagscope.models.device import (
    Precision,
    choose_device,
    choose_precision,
    device_name,
    quickest_precision,
)
from tagscope.models.omnicell.embedded import Blocks, embedded
from tagscope.models.omnicell.model import KIND, OmniCell


@dataclass(frozen=True)
class EmbedConfig:
    """How to embed a section."""

    key: str | None = None
    """Name of the result in the table; the kind of the model if not given."""
    neighbors: int | None = None
    """Cells beside each that are read with it, the nearest first; 0 reads cells alone. As many as
    the model learned with if not given, 9 for a converted one."""
    blocks: Blocks = "centre"
    """Of a cell read with its neighbours: its own embedding, the mean over all, or all of them."""
    n_genes: int | None = None
    """Read over so many genes, those that vary most in the section; all that the model knows if
    not given."""
    expressed: bool = False
    """Leave the genes that a cell does not express out of its sequence: several times quicker, but
    not what the model was trained on unless it was trained so, and not the same numbers."""
    project: bool = False
    """Project the embedding on the directions that the training's head tells apart."""
    threshold: float = 0.9
    """Share of the head's eigenvalues that the projection keeps."""
    batch_size: int | None = None
    """Cells per batch; as many as suit the device if not given."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    precision: Precision = "auto"
    """Number format; auto is bf16 where the device computes in it, else fp32."""

    def __post_init__(self) -> None:
        if self.neighbors is not None and self.neighbors < 0:
            raise ArgumentError(
                f"{self.neighbors} neighbours were asked for.",
                "0 or more are needed.",
                "Give another number.",
                {"neighbors": None},
            )
        if self.blocks not in ("centre", "mean", "all"):
            raise ArgumentError(
                f"The blocks {self.blocks!r} are unknown.",
                "They are centre, mean or all.",
                "Choose one of these.",
                {"blocks": None},
            )
        if self.n_genes is not None and self.n_genes < 1:
            raise ArgumentError(
                f"{self.n_genes} genes were asked for.",
                "At least one is needed.",
                "Give another number, or leave it out for all.",
                {"n_genes": None},
            )
        if not 0 < self.threshold <= 1:
            raise ArgumentError(
                f"The threshold is {self.threshold}.",
                "A share above 0, at most 1, is needed.",
                "Give another.",
                {"threshold": None},
            )


def embed(
    section: Section,
    model: OmniCell,
    config: EmbedConfig | None = None,
    *,
    genes: tuple[str, ...] | None = None,
    inputs: dict[str, str] | None = None,
    context: JobContext | None = None,
) -> Embedding:
    """Embed every cell.

    ``genes`` names those that are read, in their order, in place of ``config.n_genes``.
    ``context`` hears ``step("embedding", cells done, N)`` after every batch; a cancel is answered
    within one batch.

    Raises
    ------
    InputError
        If cells and model share no gene.
    ArgumentError
        If the device has no memory for a single cell.
    """
    started = time.monotonic()
    config, context = config or EmbedConfig(), context or JobContext()
    keep_freed_memory()
    device = choose_device(config.device)
    precision = quickest_precision(config.precision, device)
    model = model.to(device, precision)
    if genes is None and config.n_genes is not None:
        genes = most_variable(section.cells, model.vocabulary, config.n_genes)
    near = model.neighbours if config.neighbors is None else config.neighbors
    reading = model.reading(section.panel, genes, near, expressed=config.expressed)
    tokens = model.read(section, reading)
    values = embedded(
        model, tokens, reading, context, blocks=config.blocks, batch_size=config.batch_size
    )
    if config.project:
        values = values @ model.basis(config.threshold).numpy()
    provenance = Provenance(
        verb="embed",
        parameters={**asdict(config), "neighbors": near},
        inputs=dict(inputs or {}),
        device=device_name(device),
        seconds=round(time.monotonic() - started, 3),
        extra={"cells": len(section), "genes": tokens.genes, "precision": str(precision)},
    )
    return Embedding(config.key or KIND, section.ids, values, provenance)


def embed_alone(
    cells: Cells,
    model: CellModel,
    config: EmbedConfig | None = None,
    *,
    inputs: dict[str, str] | None = None,
    context: JobContext | None = None,
) -> Embedding:
    """Embed every cell with a model that reads each alone, over all genes that it knows.

    ``context`` and errors are as for :func:`embed`.

    Raises
    ------
    ArgumentError
        If ``config`` asks for what such a model cannot do.
    """
    started = time.monotonic()
    config, context = config or EmbedConfig(), context or JobContext()
    _refuse_other_models(model, config)
    keep_freed_memory()
    shared = shared_genes(cells, model)
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device)
    network = Network(model.to(device), device, precision)
    tokens = model.tokenise(cells, context=context)
    batches = Batches(tokens.lengths, None, config.batch_size, device, model.bytes_per_token)
    values, done = np.zeros((len(cells), 0), np.float32), 0
    context.step("embedding", done, len(cells))
    for answer in answers(network, tokens, batches):
        said, rows = answer.arrays().embedding, answer.batch.rows
        if not values.shape[1]:
            values = np.zeros((len(cells), said.shape[1]), np.float32)
        values[rows] = said
        done += len(rows)
        context.step("embedding", done, len(cells))
    provenance = Provenance(
        verb="embed",
        parameters=asdict(config),
        inputs=dict(inputs or {}),
        device=device_name(device),
        seconds=round(time.monotonic() - started, 3),
        extra={"cells": len(cells), "genes": shared, "precision": str(precision)},
    )
    return Embedding(config.key or model.kind, cells.ids, values, provenance)


def _refuse_other_models(model: CellModel, config: EmbedConfig) -> None:
    """What only a model can do that reads cells with their neighbours."""
    usual = EmbedConfig()
    asked = [
        name
        for name in ("neighbors", "blocks", "n_genes", "expressed", "project", "threshold")
        if getattr(config, name) != getattr(usual, name)
    ]
    if asked:
        raise ArgumentError(
            f"A {model.kind} was to embed with {', '.join(asked)}.",
            "It reads each cell alone, over all genes that the cell expresses.",
            "Leave that out, or choose a bundle of OmniCell.",
            dict.fromkeys(asked, False),
        )
