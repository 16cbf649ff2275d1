"""Features of a section's cells, and the domains that they fall into."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from tagscope.core.labels import LabelSet
from tagscope.core.provenance import Provenance
from tagscope.core.results import DomainMap, Embedding
from tagscope.core.section import Section
from tagscope.domains.clusters import Clusters, by_size, kmeans, leiden, leiden_with, mixture
from tagscope.domains.config import DomainConfig
from tagscope.domains.refine import refined
from tagscope.domains.smoothed import Floats, components_of, narrowed, neighbours_in, smoothed
from tagscope.errors import InputError
from tagscope.jobs import JobContext

SMOOTHED = "smoothed"
_VOTERS = 6  # the first ring of a hexagonal lattice


def expression_features(
    section: Section,
    config: DomainConfig | None = None,
    *,
    inputs: dict[str, str] | None = None,
    context: JobContext | None = None,
) -> Embedding:
    """Components of the cells' own values: with their neighbours' a method by itself, smoothed.

    Raises
    ------
    InputError
        If there are fewer than two cells or genes.
    """
    config, context, started = config or DomainConfig(), context or JobContext(), time.monotonic()
    context.step("reading expression", 0, 1)
    values = components_of(section.cells, config.components, config.seed)
    context.step("reading expression", 1, 1)
    provenance = Provenance(
        verb="domain_features",
        parameters={"components": config.components, "seed": config.seed},
        inputs=dict(inputs or {}),
        seed=config.seed,
        seconds=round(time.monotonic() - started, 3),
        extra={"cells": len(section), "genes": len(section.panel)},
    )
    return Embedding(SMOOTHED, section.ids, values, provenance)


def embedded_features(
    section: Section, embedding: Embedding, config: DomainConfig | None = None
) -> Embedding:
    """An embedding of the section's cells as their features.

    Of one with all blocks the mean over a cell and its neighbours is taken; one of more dimensions
    than ``config.components`` is narrowed to them.

    Raises
    ------
    InputError
        If it is of other cells, or has values that are not finite.
    """
    config = config or DomainConfig()
    _refuse_unfit(section, embedding)
    values = narrowed(_one_block(embedding), config.components, config.seed)
    return replace(embedding, values=values)


def beside_expression(
    section: Section, embedding: Embedding, config: DomainConfig | None = None
) -> Embedding:
    """An embedding of the section's cells and the components of their expression, side by side.

    Of the components the direction counts, as of an embedding of length 1; each side is centred
    and brought to the same spread, so that neither drowns the other.

    Raises
    ------
    InputError
        If it is of other cells, or there are fewer than two cells or genes.
    """
    config = config or DomainConfig()
    _refuse_unfit(section, embedding)
    own = components_of(section.cells, config.components, config.seed)
    lengths = np.linalg.norm(own, axis=1, keepdims=True)
    sides = _one_block(embedding), own / np.maximum(lengths, np.finfo(np.float32).tiny)
    parameters = {**embedding.provenance.parameters, "expression": own.shape[1]}
    return replace(
        embedding,
        values=np.hstack([_levelled(side) for side in sides]),
        provenance=replace(embedding.provenance, parameters=parameters),
    )


def domains_of(
    section: Section,
    features: Embedding,
    config: DomainConfig | None = None,
    *,
    inputs: dict[str, str] | None = None,
    context: JobContext | None = None,
) -> DomainMap:
    """Average features over neighbours and cluster them into domains, named by size.

    ``context`` hears of the starts of mixture and k-means, with the codes of the best so far before
    they are refined as partial result, and of the resolutions that are tried; between two of them a
    cancel is answered.

    Raises
    ------
    ArgumentError
        If there are too few cells for so many domains.
    """
    config, context, started = config or DomainConfig(), context or JobContext(), time.monotonic()
    clusters = _clustered(smoothed(features.values, section, config.neighbors), config, context)
    codes = clusters.codes
    if config.refine:
        codes = by_size(refined(codes, neighbours_in(section, _VOTERS)))
    names = tuple(f"Domain {number}" for number in range(1, int(codes.max()) + 2))
    key = config.key or features.key
    parameters = {**asdict(config), "key": key}
    del parameters["expression"]  # the record of the features has it
    provenance = Provenance(
        verb="domains",
        parameters=parameters,
        inputs=dict(inputs or {}),
        seed=config.seed,
        seconds=round(features.provenance.seconds + time.monotonic() - started, 3),
        extra={**_told(features, clusters), "domains": list(names)},
    )
    return DomainMap(key, section.ids, LabelSet(names), codes, provenance)


def _clustered(features: Floats, config: DomainConfig, context: JobContext) -> Clusters:
    seed = config.seed
    if config.cluster == "leiden":
        if config.resolution is not None:
            return leiden(features, config.resolution, seed=seed, context=context)
        return leiden_with(features, config.n_domains, seed=seed, context=context)
    cluster = mixture if config.cluster == "mixture" else kmeans
    return cluster(features, config.n_domains, starts=config.starts, seed=seed, context=context)


def _told(features: Embedding, clusters: Clusters) -> dict[str, Any]:
    """What the record keeps of how features and clusters came to be."""
    of_features = {
        "key": features.key,
        "verb": features.provenance.verb,
        "parameters": features.provenance.parameters,
        "dimensions": int(features.values.shape[1]),
    }
    return {"features": of_features, "clusters": clusters.count, **clusters.found}


def _one_block(embedding: Embedding) -> Floats:
    values = embedding.values.mean(axis=1) if embedding.values.ndim == 3 else embedding.values
    return np.asarray(values, np.float32)


def _levelled(values: Floats) -> Floats:
    """Values (N, D) about their mean, of a mean squared length of 1."""
    values = values - values.mean(axis=0)
    spread = np.sqrt((values**2).sum(axis=1).mean())
    return values / spread if spread > 0 else values


def _refuse_unfit(section: Section, embedding: Embedding) -> None:
    if not np.array_equal(section.ids, embedding.ids):
        raise InputError(
            f"The embedding is of {len(embedding.ids)} cells that are not the section's "
            f"{len(section)}, or in another order.",
            "An embedding of the very cells is needed.",
            "Embed this section.",
        )
    if not np.isfinite(embedding.values).all():
        raise InputError(
            f"The embedding {embedding.key!r} has values that are not finite.",
            "Cells without an embedding belong to no domain.",
            "Leave these cells out, and embed again.",
        )
