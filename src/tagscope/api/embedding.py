"""Embeddings of the cells of a section, and of its genes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from tagscope.api.given import AnyPath, bundle_of, opened_of, said_of
from tagscope.api.keeping import write_or_keep
from tagscope.core.keys import Slots
from tagscope.core.labels import LabelSet
from tagscope.core.results import Embedding, refuse_existing
from tagscope.core.section import Section
from tagscope.errors import ArgumentError
from tagscope.inference.embed import EmbedConfig, embed_alone
from tagscope.inference.embed import embed as _embed
from tagscope.inference.genes import GeneConfig
from tagscope.interpret.gene_embeddings import GeneEmbeddings, cellpatch_genes
from tagscope.interpret.gene_embeddings import gene_embeddings as _gene_embeddings
from tagscope.io.beforehand import refuse_beforehand
from tagscope.io.columns import column_of
from tagscope.io.readers import OpenedSection
from tagscope.jobs import JobContext
from tagscope.models.bundle import Bundle
from tagscope.models.device import choose_device
from tagscope.models.registry import load_cellpatch, load_omnicell


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

    The model is an OmniCell or a CellPatch; what of ``config`` is about neighbours is OmniCell's,
    and ``gene_list``, the genes that are read, in their order. What would forbid writing is told
    before anything is computed, and a result that cannot be written is kept elsewhere, as for
    :func:`annotate`.
    """
    snapshot, opened = opened_of(section, out, choices)
    config, bundle = config or EmbedConfig(), bundle_of(bundle)
    if bundle.model != "cellpatch":
        require_omnicell(bundle)
    inputs = {"bundle": str(bundle.path), "bundle_digest": bundle.digest}
    inputs |= said_of(snapshot, opened)
    if out is not None and opened is not None:
        slot = Slots(config.key or bundle.model).embedding
        refuse_existing(slot in opened.table.obsm, "obsm", slot, overwrite)
        refuse_beforehand(opened, Path(out), size=0, overwrite=overwrite)
    device = choose_device(config.device)
    if bundle.model == "cellpatch":
        _refuse_gene_list(gene_list)
        patches = load_cellpatch(bundle, device)
        result = embed_alone(snapshot.cells, patches, config, inputs=inputs, context=context)
    else:
        named = None if gene_list is None else tuple(gene_list)
        model = load_omnicell(bundle, device)
        result = _embed(snapshot, model, config, genes=named, inputs=inputs, context=context)
    if out is not None and opened is not None:
        write_or_keep(opened, result, out, overwrite, context)
    return result


def gene_embeddings(
    section: Section | OpenedSection | AnyPath,
    bundle: Bundle | AnyPath,
    config: GeneConfig | None = None,
    *,
    label: str | None = None,
    gene_list: Sequence[str] | None = None,
    top: int = 50,
    out: AnyPath | None = None,
    overwrite: bool = False,
    context: JobContext | None = None,
    **choices: Any,
) -> GeneEmbeddings:
    """Embed the genes of a section, and find modules of like genes; with ``label``, a column of
    ``obs``, also the markers of its values.

    Of an OmniCell they are learned from the section, of a CellPatch its tokens, which are the same
    in all cells: it has no markers, and of ``config`` its ``n_genes`` and ``seed`` alone count.
    ``out`` is a folder for the tables. The column is that of the opened file, so that a section
    without one has no markers.
    """
    snapshot, opened = opened_of(section, None, choices)
    config, bundle = config or GeneConfig(), bundle_of(bundle)
    inputs = {"bundle": str(bundle.path), "bundle_digest": bundle.digest}
    inputs |= said_of(snapshot, opened)
    named = None if gene_list is None else tuple(gene_list)
    if bundle.model == "cellpatch":
        _refuse_markers(label)
        patches = load_cellpatch(bundle, torch.device("cpu"))
        found = cellpatch_genes(snapshot.cells, patches, config, gene_list=named, inputs=inputs)
    else:
        require_omnicell(bundle)
        found = _gene_embeddings(
            snapshot, load_omnicell(bundle, choose_device(config.device)), config,
            gene_list=named, labels=None if label is None else _labels(opened, label),
            top=top, inputs=inputs, context=context,
        )  # fmt: skip
    if out is not None:
        found.write(Path(out), overwrite=overwrite)
    return found


def _labels(opened: OpenedSection | None, label: str) -> tuple[LabelSet, npt.NDArray[np.int64]]:
    """Names and codes of a column, −1 where a cell has none."""
    if opened is None:
        raise ArgumentError(
            "A section without a file behind it has no columns.",
            "A path or an opened section is needed with a label column.",
            "Pass what open_section returned.",
        )
    column = column_of(opened.table.obs, label, "label")
    known = column.notna().to_numpy()
    labels = LabelSet.from_values(column[known].astype(str))
    codes = pd.Index(labels.names).get_indexer(column.astype(str))
    return labels, np.where(known, codes, -1).astype(np.int64)


def _refuse_gene_list(gene_list: Sequence[str] | None) -> None:
    if gene_list is not None:
        raise ArgumentError(
            f"A CellPatch was to read {len(gene_list)} genes by name.",
            "It reads all genes that a cell expresses.",
            "Leave the list out, or choose a bundle of OmniCell.",
            {"gene_list": False},
        )


def _refuse_markers(label: str | None) -> None:
    if label is not None:
        raise ArgumentError(
            f"Markers of {label!r} were asked of a CellPatch.",
            "Its embedding of a gene is the same in all cells, and tells no markers.",
            "Leave the column out, or choose a bundle of OmniCell.",
            {"label": False},
        )


def require_omnicell(bundle: Bundle) -> None:
    """Refuse a bundle of another model.

    Raises
    ------
    ArgumentError
        If it is of one.
    """
    bundle.require(
        "omnicell",
        "Embeddings of genes, and of cells with their neighbours, are OmniCell's.",
        "Choose a bundle of OmniCell; annotating gives CellMemory's embedding.",
    )
