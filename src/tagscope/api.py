"""The public verbs. Command line, notebooks and the napari plugin use these alone.

Every verb that takes long has ``context: JobContext | None`` and reports progress through it.
Paths may be strings. A SECTION is a SpatialData zarr store or an ``.h5ad`` with coordinates in
``obsm["spatial"]``; a REFERENCE is an ``.h5ad`` or a store's table.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from tagscope.core.hierarchy import LabelTree, label_flows
from tagscope.core.keys import Slots
from tagscope.core.panel import GenePanel
from tagscope.core.results import (
    Annotation,
    AnnotationResult,
    GeneScores,
    SlotScores,
    read_provenance,
)
from tagscope.core.section import Reference, Section
from tagscope.errors import ArgumentError
from tagscope.evaluation.annotation import AnnotationReport, evaluate_labels
from tagscope.evaluation.distances import DistanceConfig, GroupDistances, group_distances
from tagscope.evaluation.integration import (
    IntegrationConfig,
    IntegrationReport,
    score_integration,
)
from tagscope.evaluation.space import Space
from tagscope.exporters import ExportConfig
from tagscope.exporters import export as _export
from tagscope.exporters.handover import Format as ExportFormat
from tagscope.inference.annotate import AnnotateConfig, PartialAnnotation
from tagscope.inference.annotate import annotate as _annotate
from tagscope.interpret.enrichment import (
    EnrichConfig,
    Enrichment,
    enrich_tags,
    table_and_background,
)
from tagscope.interpret.faithfulness import FaithfulnessConfig, faithfulness_of_table
from tagscope.interpret.faithfulness_report import FaithfulnessReport
from tagscope.interpret.slots import SlotSummary, slots_of_table
from tagscope.interpret.stored import Selection, selection_groups
from tagscope.interpret.tags import TagTable, tag_table, tags_of_table
from tagscope.io.gene_sets import read_gmt, read_orthologues
from tagscope.io.names import read_names
from tagscope.io.preflight import Finding, Preflight
from tagscope.io.preflight import check as _check
from tagscope.io.readers import (
    OpenedSection,
    SectionSource,
    open_section,
    read_reference,
    read_section,
)
from tagscope.io.store import read_table, write_results
from tagscope.jobs import JobContext
from tagscope.models.bundle import Bundle, load_bundle
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.project import ConvertConfig, convert_project
from tagscope.models.device import choose_device
from tagscope.models.registry import load_model
from tagscope.simulation import SimulateConfig
from tagscope.training.fit import default_model
from tagscope.training.fit import train as _train
from tagscope.training.recipe import EpochRecord, TrainConfig, recipe_of

AnyPath = str | PathLike[str]

__all__ = [
    "AnnotateConfig", "Annotation", "AnnotationReport", "AnnotationResult", "Bundle",
    "CellMemoryConfig", "ConvertConfig", "DistanceConfig", "EnrichConfig", "Enrichment",
    "EpochRecord", "ExportConfig", "ExportFormat", "FaithfulnessConfig", "FaithfulnessReport",
    "Finding", "GeneScores", "GroupDistances", "IntegrationConfig", "IntegrationReport",
    "LabelTree", "OpenedSection", "PartialAnnotation", "Preflight", "SectionSource",
    "SimulateConfig", "SlotScores", "SlotSummary", "TagTable", "TrainConfig", "annotate", "check",
    "convert", "distances", "enrich", "evaluate", "export", "faithfulness", "info", "integration",
    "label_flows", "load_bundle", "network_for", "open_section", "read_reference", "read_section",
    "read_table", "sample", "selection_groups", "simulate", "slots", "tag_table", "tags", "train",
    "write_result",
]  # fmt: skip


def check(path: AnyPath, bundle: Bundle | AnyPath | None = None, **choices: Any) -> Preflight:
    """Everything that is wrong with a section for a model, all of it at once, with the fixes.

    ``choices`` are those of :func:`open_section` (``table``, ``region``, ``layer``, ``where``,
    ``coordinate_system``, ``normalised``).
    """
    panel = _bundle(bundle).panel if bundle is not None else None
    return _check(Path(path), bundle_panel=panel, **choices)


def train(
    reference: Reference | AnyPath,
    label: str | Sequence[str] | None = None,
    *,
    out: AnyPath,
    config: TrainConfig | None = None,
    model_config: CellMemoryConfig | None = None,
    panel: GenePanel | Section | AnyPath | None = None,
    resume: bool = False,
    overwrite: bool = False,
    context: JobContext | None = None,
    **choices: Any,
) -> Bundle:
    """Train a model on a labelled reference and keep the best weights as a bundle.

    Parameters
    ----------
    reference, label
        A :class:`Reference`, or a path and the ``obs`` column that holds the labels; several
        columns, coarse to fine, are learned together and never contradict each other.
    panel
        Genes to train on, or the section to annotate later, or its path: the genes shared with it
        are kept, and cells are trained on at its depth.
    choices
        As in :func:`read_reference` (``table``, ``layer``, ``where``, ``normalised``,
        ``split_by``).
    """
    if not isinstance(reference, Reference):
        if label is None:
            raise ArgumentError(
                "No label column was given.",
                "A reference file is read with the column that holds its labels.",
                "Give label=, or --label on the command line.",
            )
        reference = read_reference(Path(reference), label, **choices)
    section = None
    if panel is not None and not isinstance(panel, GenePanel):
        section = panel if isinstance(panel, Section) else read_section(Path(panel))
        panel = section.panel
    return _train(
        reference,
        Path(out),
        config or TrainConfig(),
        model_config=model_config,
        panel=panel,
        section=section.cells if section is not None else None,
        resume=resume,
        overwrite=overwrite,
        context=context,
    )


def convert(
    checkpoint: AnyPath,
    model: Literal["cellmemory"] = "cellmemory",
    *,
    out: AnyPath,
    config: ConvertConfig | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Make a bundle of an original tool's checkpoint; it gives that tool's numbers.

    ``checkpoint`` is the project folder that the original CellMemory leaves. What it does not hold
    is in ``config``.
    """
    if model != "cellmemory":
        raise ArgumentError(
            f"Checkpoints of {model!r} cannot be converted.",
            "Those of cellmemory can.",
            "Choose another --model.",
        )
    return convert_project(Path(checkpoint), Path(out), config, overwrite=overwrite)


def network_for(config: TrainConfig, **changes: Any) -> CellMemoryConfig:
    """The network that a training recipe uses, with ``changes`` to its fields."""
    return replace(default_model(recipe_of(config)), **changes)


def annotate(
    section: Section | OpenedSection | AnyPath,
    bundle: Bundle | AnyPath,
    config: AnnotateConfig | None = None,
    *,
    out: AnyPath | None = None,
    first: npt.NDArray[np.int64] | None = None,
    overwrite: bool = False,
    context: JobContext | None = None,
    **choices: Any,
) -> AnnotationResult:
    """Label every cell of a section; with ``out``, also write the annotated store or ``.h5ad``.

    ``first`` (n,) are rows to annotate before the rest (the cells in view). Partial results arrive
    through ``context`` as :class:`PartialAnnotation`.
    """
    if not isinstance(section, (Section, OpenedSection)):
        section = open_section(Path(section), **choices)
    opened = section if isinstance(section, OpenedSection) else None
    snapshot = opened.section if opened is not None else section
    assert isinstance(snapshot, Section)
    if out is not None and opened is None:
        raise ArgumentError(
            "A section without a file behind it cannot be written as a store.",
            "A path or an opened section is needed with out=.",
            "Pass what open_section returned.",
        )
    config = config or AnnotateConfig()
    bundle = _bundle(bundle)
    inputs = {"bundle": str(bundle.path), "bundle_digest": bundle.digest}
    if opened is not None:
        opened.refuse_errors()
        inputs["section"] = str(opened.source.path)
        chosen = {"layer": opened.source.layer, "where": opened.source.where}
        inputs |= {name: choice for name, choice in chosen.items() if choice}
    if snapshot.cells.normalised:
        inputs["values"] = "log-normalised"
    model = load_model(bundle, choose_device(config.device))
    result = _annotate(snapshot.cells, model, config, first=first, inputs=inputs, context=context)
    if out is not None and opened is not None:
        write_result(opened, result, out, overwrite=overwrite)
    return result


def write_result(
    opened: OpenedSection, result: AnnotationResult, out: AnyPath, *, overwrite: bool = False
) -> Path:
    """Write a result into the section's own store, or into a copy of it at ``out``.

    An interrupted write leaves what was there before, whole.
    """
    return write_results(
        opened.source,
        lambda table: result.write_to(table, overwrite=overwrite),
        Path(out),
        overwrite=overwrite,
    )


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
        annotated, _bundle(bundle), config, key=key, by=by, context=context
    )
    if out is not None:
        report.write(Path(out), overwrite=overwrite)
    return report


def evaluate(
    store: AnyPath,
    prediction: str,
    truth: str,
    *,
    batch: str | None = None,
    reference: AnyPath | None = None,
    reference_label: str | None = None,
    bundle: Bundle | AnyPath | None = None,
    embedding: str | None = None,
    config: IntegrationConfig | None = None,
    table: str | None = None,
    out: AnyPath | None = None,
    overwrite: bool = False,
    context: JobContext | None = None,
) -> AnnotationReport:
    """Compare a predicted column with the truth.

    ``truth`` is an ``obs`` column, or a file: a ``.csv`` whose first two columns are cell id and
    label, or a simulator's ``truth.json``. Types the model was not trained on are left out of
    accuracy and macro-F1 and used for the AUROC of unseen cells.

    With ``batch`` or ``reference`` the report also scores the integration of the embedding (see
    :func:`integration`), ``truth`` being the label; ``embedding`` is ``X_<prediction>`` if None.
    """
    annotated = read_table(Path(store), table=table)
    obs = annotated.obs
    _needs_column(obs, prediction, "--prediction")
    provenance = read_provenance(annotated, prediction)
    true = _truth(obs, truth)
    report = evaluate_labels(
        obs[prediction].astype(str).to_numpy(),
        true,
        confidence=_numbers(obs, Slots(prediction).confidence),
        seen=set(provenance.extra["labels"]) if provenance else None,
        novelty=_numbers(obs, Slots(prediction).novelty),
    )
    if batch is not None or reference is not None:
        space = Space(prediction, embedding, _bundle(bundle) if bundle is not None else None)
        cells = space.integrated(annotated, true, batch, reference, reference_label or truth)
        report = replace(report, integration=score_integration(cells, config, context=context))
    if out is not None:
        report.write(Path(out), overwrite=overwrite)
    return report


def integration(
    store: AnyPath,
    reference: AnyPath | None = None,
    *,
    label: str,
    reference_label: str | None = None,
    batch: str | None = None,
    key: str = "cellmemory",
    embedding: str | None = None,
    bundle: Bundle | AnyPath | None = None,
    config: IntegrationConfig | None = None,
    table: str | None = None,
    out: AnyPath | None = None,
    overwrite: bool = False,
    context: JobContext | None = None,
) -> IntegrationReport:
    """How well an embedding mixes batches and keeps types apart (scIB; needs ``[metrics]``).

    Parameters
    ----------
    store, reference
        An annotated store, and one annotated with the same model to be scored together with it.
        With ``bundle`` the reference need not be annotated: it is a REFERENCE, as for
        :func:`train`, and its cells are embedded here.
    label, reference_label
        ``obs`` columns with the types; ``reference_label`` is ``label`` if None.
    batch
        ``obs`` column with the batches; ``"query"`` and ``"reference"`` are the batches if None.
    embedding
        Slot of ``obsm``, ``X_<key>`` if None.
    """
    annotated = read_table(Path(store), table=table)
    _needs_column(annotated.obs, label, "--label")
    labels = annotated.obs[label].to_numpy(dtype=object)
    space = Space(key, embedding, _bundle(bundle) if bundle is not None else None)
    cells = space.integrated(annotated, labels, batch, reference, reference_label or label)
    report = score_integration(cells, config, context=context)
    if out is not None:
        report.write(Path(out), overwrite=overwrite)
    return report


def distances(
    query: AnyPath,
    reference: AnyPath,
    *,
    by: str,
    label: str,
    key: str = "cellmemory",
    embedding: str | None = None,
    bundle: Bundle | AnyPath | None = None,
    config: DistanceConfig | None = None,
    table: str | None = None,
    out: AnyPath | None = None,
    overwrite: bool = False,
    context: JobContext | None = None,
) -> GroupDistances:
    """Which reference type each group of a query is nearest to (founder cells).

    ``by`` is the query's column of groups (``obs``), ``label`` the reference's column of types.
    Both are annotated with one bundle; with ``bundle`` the reference need not be, as in
    :func:`integration`. ``out`` is a folder for tables and a heat map.
    """
    asked = read_table(Path(query), table=table)
    _needs_column(asked.obs, by, "--by")
    space = Space(key, embedding, _bundle(bundle) if bundle is not None else None)
    groups = space.query(asked, asked.obs[by].to_numpy(dtype=object))
    types = space.reference(Path(reference), label)
    found = group_distances(groups, types, config, by=by, label=label, context=context)
    if out is not None:
        found.write(Path(out), overwrite=overwrite)
    return found


def export(
    store: OpenedSection | AnyPath,
    to: ExportFormat,
    out: AnyPath,
    config: ExportConfig | None = None,
    *,
    overwrite: bool = False,
    **choices: Any,
) -> Path:
    """Hand an annotated store over to other tools, with a manifest of how it came to be.

    ``choices`` are those of :func:`open_section`.
    """
    opened = store if isinstance(store, OpenedSection) else open_section(Path(store), **choices)
    return _export(opened, to, Path(out), config or ExportConfig(), overwrite=overwrite)


def simulate(
    out: AnyPath,
    config: SimulateConfig | None = None,
    *,
    overwrite: bool = False,
    context: JobContext | None = None,
) -> Path:
    """Make a tissue with known truth: ``section.zarr``, ``reference.h5ad``, ``truth.json``."""
    from tagscope.simulation import simulate_tissue, write_tissue

    tissue = simulate_tissue(config or SimulateConfig(), context=context)
    write_tissue(tissue, Path(out), overwrite=overwrite, context=context)
    return Path(out)


def info(path: AnyPath) -> dict[str, Any]:
    """What a bundle, a store or an ``.h5ad`` holds, JSON-ready."""
    path = Path(path)
    if (path / "bundle.json").is_file():
        return load_bundle(path).describe()
    annotated = read_table(path)
    results = {
        key: json.loads(record) for key, record in dict(annotated.uns.get("tagscope", {})).items()
    }
    return {
        "kind": "table",
        "path": str(path),
        "cells": annotated.n_obs,
        "genes": annotated.n_vars,
        "obs": list(annotated.obs.columns),
        "obsm": list(annotated.obsm),
        "layers": list(annotated.layers),
        "results": results,
    }


@dataclass(frozen=True)
class Sample:
    """Where the simulated sample lies."""

    section: Path
    reference: Path
    truth: Path


def sample(context: JobContext | None = None) -> Sample:
    """The simulated sample: the checkout's own, else one made once in the user's cache."""
    folder = Path(__file__).parents[2] / "sample_data"
    if not (folder / "section.zarr").is_dir():
        cache = Path(os.environ.get("TAGSCOPE_CACHE", Path.home() / ".cache" / "tagscope"))
        folder = cache / "sample"
    if not (folder / "section.zarr").is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        simulate(folder, SimulateConfig(cells=3000, seed=7), context=context)
    return Sample(folder / "section.zarr", folder / "reference.h5ad", folder / "truth.json")


def _bundle(bundle: Bundle | AnyPath) -> Bundle:
    return bundle if isinstance(bundle, Bundle) else load_bundle(Path(bundle))


def _numbers(obs: pd.DataFrame, column: str) -> npt.NDArray[np.float64] | None:
    return obs[column].to_numpy(dtype=np.float64) if column in obs else None


def _needs_column(obs: pd.DataFrame, column: str, option: str) -> None:
    if column not in obs:
        raise ArgumentError(
            f"The table has no column {column!r}; it has {', '.join(map(repr, obs.columns))}.",
            f"{option} names a column of the table.",
            "Choose one of these.",
        )


def _truth(obs: pd.DataFrame, truth: str) -> npt.NDArray[np.object_]:
    """True labels in the table's order, NaN where not known."""
    path = Path(truth)
    if path.suffix not in (".csv", ".json"):
        _needs_column(obs, truth, "--truth")
        return np.asarray(obs[truth], dtype=object)
    if not path.is_file():
        raise ArgumentError(f"{truth} is not there.", "A file of true labels is needed.")
    if path.suffix == ".csv":
        frame = pd.read_csv(path, dtype=str)
        known = dict(zip(frame.iloc[:, 0], frame.iloc[:, 1], strict=True))
    else:
        known = json.loads(path.read_text())["types"]
    labels = obs.index.astype(str).map(known)
    if labels.isna().all():
        raise ArgumentError(
            f"No cell id of {truth} is in the table.",
            "The file's cell ids must be those of the table.",
            f"The table's look like {obs.index[0]!r}.",
        )
    return np.asarray(labels, dtype=object)
