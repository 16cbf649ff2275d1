"""What STAGATE, alone or behind CellPatch, learns of a section's cells and their surroundings, as
features of domains."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np

from tagscope.core.normalise import log_median
from tagscope.core.panel import GenePanel
from tagscope.core.provenance import Provenance
from tagscope.core.results import Embedding
from tagscope.core.section import Cells, Section
from tagscope.errors import InputError
from tagscope.inference.variable import most_variable
from tagscope.jobs import JobContext
from tagscope.models.bundle import Bundle
from tagscope.models.device import device_name
from tagscope.models.preprocessing import Preprocessing
from tagscope.models.stagate.graph import graph_of
from tagscope.training.cellpatch_stagate import UnionConfig, joined_network
from tagscope.training.initial import gene_components
from tagscope.training.stagate import Network, StagateConfig, device_for, learn

STAGATE, UNION = "stagate", "cellpatch-stagate"
_PREPARING = 3


def stagate_features(
    section: Section,
    config: StagateConfig | None = None,
    *,
    inputs: dict[str, str] | None = None,
    context: JobContext | None = None,
) -> Embedding:
    """Embed the cells of a section, or of several side by side together, by a STAGATE that learns
    from them: (N, ``config.width``), written to ``obsm["X_stagate"]``.

    It reads log-normalised values of the genes that vary most. ``context`` is as for
    :func:`tagscope.training.stagate.learn`, after the stage ``reading expression``.

    Raises
    ------
    InputError
        If there are fewer than two cells, or none with a value.
    ArgumentError
        If the radius of the graph is missing or too large, or there is no such device.
    """
    return _features(STAGATE, section, config or StagateConfig(), lambda _: None, inputs, context)


def union_features(
    section: Section,
    config: UnionConfig | None = None,
    bundle: Bundle | None = None,
    *,
    inputs: dict[str, str] | None = None,
    context: JobContext | None = None,
) -> Embedding:
    """The same by CellPatch and STAGATE joined, written to ``obsm["X_cellpatch-stagate"]``.

    Patches start from the weights of ``bundle``, a CellPatch, if one is given, and are learned
    further; genes that it does not know start at random.

    Raises
    ------
    InputError, ArgumentError
        As :func:`stagate_features`, and if the bundle holds another model.
    """
    config = config or UnionConfig()

    def start(read: Cells) -> Network:
        if bundle is not None:
            return joined_network(config, read.panel, bundle)
        if not config.related:
            return joined_network(config, read.panel)
        width = config.patch_width
        varying = gene_components([read], Preprocessing(), width, config.seed)
        return joined_network(config, read.panel, varying)

    return _features(UNION, section, config, start, inputs, context)


def _features(
    model: str,
    section: Section,
    config: StagateConfig,
    start: Callable[[Cells], Network | None],
    inputs: dict[str, str] | None,
    context: JobContext | None,
) -> Embedding:
    started, context = time.monotonic(), context or JobContext()
    device = device_for(config)
    _refuse_empty(section)
    context.step("reading expression", 0, _PREPARING)
    read = variable_cells(section.cells, config.most_genes)
    context.step("reading expression", 1, _PREPARING)
    graph = graph_of(section, config.graph, nearest=config.nearest, radius=config.radius)
    network = start(read)
    context.step("reading expression", _PREPARING, _PREPARING)
    learned = learn(read.values, section.xy, graph, config, context, network)
    provenance = Provenance(
        verb="domain_features",
        parameters={**asdict(config), "model": model},
        inputs=dict(inputs or {}),
        seed=config.seed,
        device=device_name(device),
        seconds=round(time.monotonic() - started, 3),
        extra={
            "cells": len(section),
            "genes": list(read.panel.symbols),
            "neighbours": round(graph.neighbours, 3),
            "epochs": len(learned.losses),
            "updates": learned.updates,
            "cells_per_update": learned.batch_size,
            "first_loss": learned.losses[0],
            "last_loss": learned.losses[-1],
        },
    )
    return Embedding(model, section.ids, learned.embedding, provenance)


def variable_cells(cells: Cells, count: int) -> Cells:
    """Log-normalised values of the ``count`` genes that vary most, of all where there are fewer.

    Values are scaled to the median total over all genes. Of values that were normalised before,
    those genes are taken whose variance is largest.
    """
    logged = replace(cells, values=log_median(cells), normalised=True)
    if not cells.normalised:
        genes = most_variable(cells, cells.panel, count)
    else:
        values = logged.values.astype(np.float64)
        means = np.asarray(values.mean(axis=0)).ravel()
        spread = np.asarray(values.power(2).mean(axis=0)).ravel() - means**2
        chosen = np.argsort(-spread, kind="stable")[:count]
        genes = tuple(sorted(cells.panel.symbols[column] for column in chosen))
    return logged.restrict(GenePanel(tuple(dict.fromkeys(genes))))


def _refuse_empty(section: Section) -> None:
    expressed = section.cells.values.count_nonzero()
    if len(section) < 2 or not expressed:
        raise InputError(
            f"There are {len(section)} cells with {expressed} values that are not 0.",
            "At least two cells and some values are needed to learn from.",
            "Choose another table, or keep more cells.",
        )
