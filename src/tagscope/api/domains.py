"""Where the domains of a section lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tagscope.api.given import AnyPath, bundle_of, opened_of, said_of
from tagscope.api.keeping import write_or_keep
from tagscope.core.keys import Slots
from tagscope.core.results import DomainMap, Embedding, refuse_existing
from tagscope.core.section import Section
from tagscope.domains.config import DomainConfig, DomainModel
from tagscope.domains.delineate import (
    beside_expression,
    domains_of,
    embedded_features,
    expression_features,
)
from tagscope.domains.feature_map import feature_map
from tagscope.domains.stagate import STAGATE, UNION, stagate_features, union_features
from tagscope.errors import ArgumentError
from tagscope.inference.embed import EmbedConfig
from tagscope.inference.embed import embed as _embed
from tagscope.io.beforehand import refuse_beforehand
from tagscope.io.readers import OpenedSection
from tagscope.io.shapes import refuse_shapes
from tagscope.jobs import JobContext
from tagscope.models.bundle import Bundle
from tagscope.models.device import choose_device
from tagscope.models.omnicell.model import OmniCell
from tagscope.models.registry import load_omnicell
from tagscope.training.cellpatch_stagate import UnionConfig
from tagscope.training.stagate import StagateConfig


def delineate_domains(
    section: Section | OpenedSection | AnyPath,
    model: DomainModel = "smoothed",
    bundle: Bundle | AnyPath | None = None,
    config: DomainConfig | None = None,
    *,
    embedding: Embedding | None = None,
    reading: EmbedConfig | None = None,
    stagate: StagateConfig | None = None,
    union: UnionConfig | None = None,
    drawn: bool = False,
    out: AnyPath | None = None,
    overwrite: bool = False,
    context: JobContext | None = None,
    **choices: Any,
) -> DomainMap:
    """Delineate the domains of a section; with ``out``, also write the store or ``.h5ad``.

    The model ``"omnicell"`` embeds the cells with ``bundle``, as ``reading`` says; its embedding
    is taken beside the components of expression, unless ``config`` says otherwise. The model
    ``"stagate"`` needs no bundle: it learns from the section itself, as ``stagate`` says; so does
    ``"cellpatch-stagate"``, as ``union`` says, from a CellPatch's weights if given one. With an
    ``embedding`` (what :func:`domain_features` returned, or any other of these cells) no model is
    asked: clustering again takes the time of clustering alone. A store gets outlines of the domains
    beside the column; if ``drawn``, the table also gets the features, the graph of like cells as
    scanpy's own and its UMAP (:class:`FeatureMap`), ready for PAGA. ``choices`` are those of
    :func:`open_section`.

    Several sections side by side are delineated together, and a cell's neighbours are of its own.
    """
    snapshot, opened = opened_of(section, out, choices)
    config = config or DomainConfig()
    key = config.key or (embedding.key if embedding is not None else model)
    if out is not None and opened is not None:
        _refuse_beforehand(opened, key, out, drawn, overwrite)
    features = (
        domain_features(
            opened or snapshot,
            model,
            bundle,
            config,
            reading=reading,
            stagate=stagate,
            union=union,
            context=context,
        )
        if embedding is None
        else embedded_features(snapshot, embedding, config)
    )
    inputs = said_of(snapshot, opened) | features.provenance.inputs
    result = domains_of(snapshot, features, config, inputs=inputs, context=context)
    if drawn:
        found = feature_map(snapshot, features, config, key=result.key, context=context)
        result = replace(result, map=found)
    if out is not None and opened is not None:
        write_or_keep(opened, result, out, overwrite, context)
    return result


def domain_features(
    section: Section | OpenedSection | AnyPath,
    model: DomainModel = "smoothed",
    bundle: Bundle | AnyPath | None = None,
    config: DomainConfig | None = None,
    *,
    reading: EmbedConfig | None = None,
    stagate: StagateConfig | None = None,
    union: UnionConfig | None = None,
    context: JobContext | None = None,
    **choices: Any,
) -> Embedding:
    """What :func:`delineate_domains` averages over neighbours and clusters, (N, D): the part that
    takes long, to be kept. Of ``config`` components, expression and seed matter.

    ``reading`` says how the model of ``bundle`` reads cells, and on which device. Where it does not
    say with how many neighbours, a model pretrained here reads each cell alone, a converted one as
    many as it learned with. ``stagate`` says how a STAGATE learns, ``union`` how one behind a
    CellPatch does; of their embeddings, too, the first ``config.components`` principal components
    are taken.
    """
    snapshot, opened = opened_of(section, None, choices)
    config, said = config or DomainConfig(), said_of(snapshot, opened)
    if model == "smoothed":
        return expression_features(snapshot, config, inputs=said, context=context)
    if model == STAGATE:
        learned = stagate_features(snapshot, stagate, inputs=said, context=context)
        return embedded_features(snapshot, learned, config)
    if model == UNION:
        start = None if bundle is None else bundle_of(bundle)
        said |= {} if start is None else _of_bundle(start)
        learned = union_features(snapshot, union, start, inputs=said, context=context)
        return embedded_features(snapshot, learned, config)
    bundle = bundle_of(_given(bundle))
    bundle.require(
        model, "Domains need an omnicell.", "Choose another bundle, or the model smoothed."
    )
    said |= _of_bundle(bundle)
    reading = reading or EmbedConfig()
    network = load_omnicell(bundle, choose_device(reading.device))
    if reading.neighbors is None:
        reading = replace(reading, neighbors=_usual_neighbours(network))
    embedded = _embed(snapshot, network, reading, inputs=said, context=context)
    if config.expression:
        embedded = beside_expression(snapshot, embedded, config)
    return embedded_features(snapshot, embedded, config)


def _of_bundle(bundle: Bundle) -> dict[str, str]:
    return {"bundle": str(bundle.path), "bundle_digest": bundle.digest}


def _usual_neighbours(network: OmniCell) -> int:
    """Cells read with each: of what a network pretrained here learned with neighbours, a cell alone
    tells most, because features are averaged over more of them afterwards, and evenly."""
    return 0 if network.pooling == "genes" else network.neighbours


def _given(bundle: Bundle | AnyPath | None) -> Bundle | AnyPath:
    if bundle is None:
        raise ArgumentError(
            "No bundle was given for the model omnicell.",
            "A bundle of it is needed, or an embedding.",
            "Give one, or choose the model smoothed.",
            {"bundle": None, "model": "smoothed"},
        )
    return bundle


def _refuse_beforehand(
    opened: OpenedSection, key: str, out: AnyPath, drawn: bool, overwrite: bool
) -> None:
    slots, table = Slots(key), opened.table
    refuse_existing(slots.domain in table.obs, "obs", slots.domain, overwrite)
    if drawn:
        for name in (slots.domain_features, slots.domain_picture):
            refuse_existing(name in table.obsm, "obsm", name, overwrite)
        refuse_existing(slots.domain in table.uns, "uns", slots.domain, overwrite)
    if opened.sdata is not None and Path(out).suffix != ".h5ad":
        refuse_shapes(opened.sdata, slots.domains, overwrite)
    size = len(opened.section) * np.dtype(np.int8).itemsize
    refuse_beforehand(opened, Path(out), size=size, overwrite=overwrite)
