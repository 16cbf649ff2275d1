"""What the model attends to, and whether its labels depend on that."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagscope.api.given import AnyPath, bundle_of, opened_of, said_of
from tagscope.core.labels import LabelSet
from tagscope.core.results import Annotation
from tagscope.core.section import Section
from tagscope.errors import ArgumentError
from tagscope.inference.annotate import AnnotateConfig
from tagscope.inference.annotate import annotate as _annotate
from tagscope.interpret.enrichment import (
    EnrichConfig,
    Enrichment,
    enrich_tags,
    table_and_background,
)
from tagscope.interpret.faithfulness import FaithfulnessConfig, faithfulness_of_table
from tagscope.interpret.faithfulness_report import FaithfulnessReport
from tagscope.interpret.patches import PatchConfig, PatchPrograms, patch_programs
from tagscope.interpret.slots import SlotSummary, slots_of_table
from tagscope.interpret.stored import Selection, groups_of
from tagscope.interpret.tags import TagTable, tags_of_table
from tagscope.io.gene_sets import read_gmt, read_orthologues
from tagscope.io.names import read_names
from tagscope.io.readers import OpenedSection
from tagscope.io.store import read_table
from tagscope.jobs import JobContext
from tagscope.models.base import Capability
from tagscope.models.bundle import Bundle
from tagscope.models.cellpatch.model import CellPatch
from tagscope.models.device import choose_device
from tagscope.models.registry import load_cellpatch


def tags(
    store: AnyPath,
    *,
    key: str = "cellmemory",
    by: str | None = None,
    selection: Selection | PathLike[str] | None = None,
    slot: int | None = None,
    slots: bool = False,
    top: int = 50,
    table: str | None = None,
    out: AnyPath | None = None,
    overwrite: bool = False,
) -> TagTable:
    """Top attention genes of every group of an annotated store; ``out`` writes them as CSV.

    ``by`` is the ``obs`` column that groups the cells, the label of ``key`` if None. ``selection``
    sets some cells against the rest in its place: cell ids, row numbers, a boolean mask, or a
    :class:`~pathlib.Path` to a file with one id a line.
    """
    chosen = read_names(Path(selection)) if isinstance(selection, PathLike) else selection
    annotated = read_table(Path(store), table=table)
    found = tags_of_table(
        annotated, key=key, by=by, selection=chosen, slot=slot, slots=slots, top=top
    )
    if out is not None:
        found.write_csv(Path(out), overwrite=overwrite)
    return found


def slots(
    store: AnyPath,
    *,
    key: str = "cellmemory",
    by: str | None = None,
    top: int = 50,
    table: str | None = None,
    out: AnyPath | None = None,
    overwrite: bool = False,
) -> SlotSummary:
    """What the memory slots hold: their shares by group, and each slot's ``top`` genes.

    ``out`` is a folder for both tables as CSV and PNG.
    """
    found = slots_of_table(read_table(Path(store), table=table), key=key, by=by, top=top)
    if out is not None:
        found.write(Path(out), overwrite=overwrite)
    return found


def patches(
    section: Section | OpenedSection | AnyPath,
    bundle: Bundle | AnyPath,
    config: PatchConfig | None = None,
    *,
    by: str | Annotation | None = None,
    gene_list: Sequence[str] | None = None,
    out: AnyPath | None = None,
    overwrite: bool = False,
    context: JobContext | None = None,
    **choices: Any,
) -> PatchPrograms:
    """What the patches of a CellPatch attend to: a program of genes each, by type and by cell.

    ``by`` groups the cells: a column of ``obs``, an annotation of the same cells, or, if None, the
    labels that the model gives them. ``gene_list`` are the genes that cells are read over, in place
    of those that vary most. ``out`` is a folder for tables and pictures.

    Raises
    ------
    ArgumentError
        If the model is no CellPatch, or knows no labels where none are given.
    """
    snapshot, opened = opened_of(section, None, choices)
    config, bundle = config or PatchConfig(), bundle_of(bundle)
    bundle.require(
        "cellpatch",
        "Patches are CellPatch's.",
        "Choose a bundle of CellPatch; what a CellMemory holds instead are memory slots.",
    )
    inputs = {"bundle": str(bundle.path), "bundle_digest": bundle.digest}
    inputs |= said_of(snapshot, opened)
    model = load_cellpatch(bundle, choose_device(config.device))
    groups, codes = _groups(snapshot, opened, model, by, config.device, context)
    found = patch_programs(
        snapshot.cells, model, groups, codes, config,
        by=by if isinstance(by, str) else bundle.model,
        gene_list=None if gene_list is None else tuple(gene_list),
        inputs=inputs, context=context,
    )  # fmt: skip
    if out is not None:
        found.write(Path(out), overwrite=overwrite)
    return found


def enrich(
    tags: TagTable | SlotSummary | PatchPrograms | AnyPath,
    gene_sets: AnyPath,
    config: EnrichConfig | None = None,
    *,
    background: Sequence[str] | PathLike[str] | None = None,
    key: str = "cellmemory",
    orthologues: AnyPath | None = None,
    out: AnyPath | None = None,
    overwrite: bool = False,
) -> Enrichment:
    """Gene sets of a GMT file that are over-represented among the genes of a group, slot or patch.

    Parameters
    ----------
    tags
        What :func:`tags`, :func:`slots` or :func:`patches` returned, or a CSV they wrote.
    background
        All genes that could have been TAGs: names, or a :class:`~pathlib.Path` to a file with one
        a line, or to the annotated store (its result ``key``). If None, what the table itself
        knows, or the list that was written beside the CSV.
    orthologues
        A CSV with the columns ``human_symbol`` and ``mouse_symbol``, to test the sets of the other
        species.

    Raises
    ------
    ArgumentError
        If the background is not known.
    InputError
        If a file cannot be used, or genes and sets have nothing in common.
    """
    frame, genes = table_and_background(tags, background, key)
    pairs = read_orthologues(Path(orthologues)) if orthologues is not None else None
    found = enrich_tags(frame, genes, read_gmt(Path(gene_sets)), config=config, orthologues=pairs)
    if out is not None:
        found.write_csv(Path(out), overwrite=overwrite)
    return found


def faithfulness(
    store: AnyPath,
    bundle: Bundle | AnyPath,
    config: FaithfulnessConfig | None = None,
    *,
    key: str = "cellmemory",
    by: str | None = None,
    table: str | None = None,
    out: AnyPath | None = None,
    overwrite: bool = False,
    context: JobContext | None = None,
) -> FaithfulnessReport:
    """Hide the genes with the most attention from the model, and see whether labels change.

    The cells of an annotated store are drawn by the column ``by``, the label of ``key`` if None.
    ``out`` writes the curves as CSV, the areas and the picture beside it.
    """
    annotated = read_table(Path(store), table=table)
    report = faithfulness_of_table(
        annotated, bundle_of(bundle), config, key=key, by=by, context=context
    )
    if out is not None:
        report.write(Path(out), overwrite=overwrite)
    return report


def _groups(
    section: Section, opened: OpenedSection | None, model: CellPatch,
    by: str | Annotation | None, device: str, context: JobContext | None,
) -> tuple[LabelSet, npt.NDArray[np.int64]]:  # fmt: skip
    """Groups and the cells' codes: of a column, an annotation, or the model's own labels."""
    if isinstance(by, str):
        if opened is None:
            raise ArgumentError(
                "A section without a file behind it has no columns.",
                "A path or an opened section is needed with a column.",
                "Pass what open_section returned, or an annotation.",
                {"by": None},
            )
        return groups_of(opened.table, by)
    if by is None:
        if Capability.ANNOTATE not in model.capabilities:
            raise ArgumentError(
                "The model was trained without labels, and none are given.",
                "Patches are told by what they read in groups of cells.",
                "Name a column that groups the cells.",
                {"by": None},
            )
        config = AnnotateConfig(device=device)
        by = _annotate(section.cells, model, config, context=context).annotation
    return by.labels, by.codes
