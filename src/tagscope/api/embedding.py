"""Embeddings of the cells of a section."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tagscope.api.given import AnyPath, bundle_of, opened_of, said_of
from tagscope.api.keeping import write_or_keep
from tagscope.core.keys import Slots
from tagscope.core.results import Embedding, refuse_existing
from tagscope.core.section import Section
from tagscope.errors import ArgumentError
from tagscope.inference.embed import EmbedConfig
from tagscope.inference.embed import embed as _embed
from tagscope.io.beforehand import refuse_beforehand
from tagscope.io.readers import OpenedSection
from tagscope.jobs import JobContext
from tagscope.models.bundle import Bundle
from tagscope.models.device import choose_device
from tagscope.models.registry import load_omnicell


def embed(
    section: Section | OpenedSection | AnyPath,
    bundle: Bundle | AnyPath,
    config: EmbedConfig | None = None,
    *,
    gene_list: Sequence[str] | None = None,
    out: AnyPath | None = None,
    overwrite: bool = False,
    context: JobContext | None = None,
    **choices: Any,
) -> Embedding:
    """Embed every cell of a section; with ``out``, also write the store or ``.h5ad``.

    ``gene_list`` names the genes that are read, in their order. What would forbid writing is told
    before anything is computed, and a result that cannot be written is kept elsewhere, as for
    :func:`annotate`.
    """
    snapshot, opened = opened_of(section, out, choices)
    config, bundle = config or EmbedConfig(), bundle_of(bundle)
    if bundle.model != "omnicell":
        raise ArgumentError(
            f"{bundle.path} is a model of kind {bundle.model!r}.",
            "Embeddings of cells with their neighbours are OmniCell's.",
            "Choose a bundle of OmniCell; annotating gives CellMemory's embedding.",
            {"bundle": None},
        )
    inputs = {"bundle": str(bundle.path), "bundle_digest": bundle.digest}
    inputs |= said_of(snapshot, opened)
    if out is not None and opened is not None:
        slot = Slots(config.key).embedding
        refuse_existing(slot in opened.table.obsm, "obsm", slot, overwrite)
        refuse_beforehand(opened, Path(out), size=0, overwrite=overwrite)
    model = load_omnicell(bundle, choose_device(config.device))
    named = None if gene_list is None else tuple(gene_list)
    result = _embed(snapshot, model, config, genes=named, inputs=inputs, context=context)
    if out is not None and opened is not None:
        write_or_keep(opened, result, out, overwrite, context)
    return result
