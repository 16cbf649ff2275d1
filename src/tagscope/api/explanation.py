"""What the model attends to, and whether its labels depend on that."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from tagscope.api.given import AnyPath, bundle_of
from tagscope.interpret.enrichment import (
    EnrichConfig,
    Enrichment,
    enrich_tags,
    table_and_background,
)
from tagscope.interpret.faithfulness import FaithfulnessConfig, faithfulness_of_table
from tagscope.interpret.faithfulness_report import FaithfulnessReport
from tagscope.interpret.slots import SlotSummary, slots_of_table
from tagscope.interpret.stored import Selection
from tagscope.interpret.tags import TagTable, tags_of_table
from tagscope.io.gene_sets import read_gmt, read_orthologues
from tagscope.io.names import read_names
from tagscope.io.store import read_table
from tagscope.jobs import JobContext
from tagscope.models.bundle import Bundle


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


def enrich(
    tags: TagTable | SlotSummary | AnyPath,
    gene_sets: AnyPath,
    config: EnrichConfig | None = None,
    *,
    background: Sequence[str] | PathLike[str] | None = None,
    key: str = "cellmemory",
    orthologues: AnyPath | None = None,
    out: AnyPath | None = None,
    overwrite: bool = False,
) -> Enrichment:
    """Gene sets of a GMT file that are over-represented among the TAGs of each group (and slot).

    Parameters
    ----------
    tags
        What :func:`tags` or :func:`slots` returned, or a CSV they wrote.
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
