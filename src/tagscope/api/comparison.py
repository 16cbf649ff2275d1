"""Predictions against the truth, and query against reference."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tagscope.api.given import AnyPath, bundle_of
from tagscope.core.hierarchy import label_flows
from tagscope.core.keys import Slots
from tagscope.core.results import read_provenance
from tagscope.errors import ArgumentError
from tagscope.evaluation.agreement import AGREEMENT, MODELS, ModelLabels, label_agreement
from tagscope.evaluation.agreement_result import LabelAgreement
from tagscope.evaluation.annotation import AnnotationReport, evaluate_labels
from tagscope.evaluation.distances import DistanceConfig, GroupDistances, group_distances
from tagscope.evaluation.integration import (
    IntegrationConfig,
    IntegrationReport,
    score_integration,
)
from tagscope.evaluation.space import Space
from tagscope.io.atomic import written_whole
from tagscope.io.columns import column_of
from tagscope.io.readers import open_section
from tagscope.io.store import read_table, write_results
from tagscope.jobs import JobContext
from tagscope.models.bundle import Bundle


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
    predicted = column_of(obs, prediction, "prediction")
    provenance = read_provenance(annotated, prediction)
    seen = provenance.extra.get("labels") if provenance else None
    true = _truth(obs, truth)
    report = evaluate_labels(
        predicted.astype(str).to_numpy(),
        true,
        confidence=_numbers(obs, Slots(prediction).confidence),
        seen=None if seen is None else set(seen),
        novelty=_numbers(obs, Slots(prediction).novelty),
    )
    if batch is not None or reference is not None:
        space = Space(prediction, embedding, bundle_of(bundle) if bundle is not None else None)
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
    labels = column_of(annotated.obs, label, "label")
    space = Space(key, embedding, bundle_of(bundle) if bundle is not None else None)
    cells = space.integrated(
        annotated, labels.to_numpy(dtype=object), batch, reference, reference_label or label
    )
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
    grouped = column_of(asked.obs, by, "by")
    space = Space(key, embedding, bundle_of(bundle) if bundle is not None else None)
    groups = space.query(asked, grouped.to_numpy(dtype=object))
    types = space.reference(Path(reference), label)
    found = group_distances(groups, types, config, by=by, label=label, context=context)
    if out is not None:
        found.write(Path(out), overwrite=overwrite)
    return found


def _numbers(obs: pd.DataFrame, column: str) -> npt.NDArray[np.float64] | None:
    return obs[column].to_numpy(dtype=np.float64) if column in obs else None


def flows(
    store: AnyPath,
    columns: Sequence[str],
    *,
    table: str | None = None,
    out: AnyPath | None = None,
    overwrite: bool = False,
) -> pd.DataFrame:
    """How many cells go from which label to which between neighbouring columns of ``obs``.

    One row per flow, as a Sankey diagram takes them (:func:`label_flows`): the levels of a
    prediction, coarse to fine, or a true and a predicted column. ``out`` writes them as CSV.
    """
    obs = read_table(Path(store), table=table).obs
    chosen = {name: column_of(obs, name, "by") for name in columns}
    if len(chosen) < 2:
        raise ArgumentError(
            f"{len(chosen)} column was given.",
            "Cells flow between at least two columns.",
            "Choose another beside it.",
            {"by": None},
        )
    found = label_flows(pd.DataFrame(chosen))
    if out is not None:
        with written_whole(Path(out), overwrite=overwrite) as beside:
            found.to_csv(beside, index=False)
    return found


def agree(
    store: AnyPath,
    by: Sequence[str] | None = None,
    *,
    key: str = AGREEMENT,
    table: str | None = None,
    out: AnyPath | None = None,
    into: AnyPath | None = None,
    overwrite: bool = False,
    context: JobContext | None = None,
) -> LabelAgreement:
    """Where several models agree on the cells of an annotated store, and where not.

    ``by`` are columns of labels (``obs``), by default those of ``cellmemory``, ``cellpatch`` and
    ``omnicell`` that there are; confidences are read from ``<column>_confidence``. ``out`` is a
    folder for tables and pictures (:meth:`LabelAgreement.write`). ``into`` is the store itself, or
    a copy of it, that gets the map, the doubt and the consensus as columns of ``obs``, named after
    ``key``.
    """
    obs = read_table(Path(store), table=table).obs
    chosen = list(by) if by is not None else [name for name in MODELS if name in obs]
    for name in chosen:
        column_of(obs, name, "by")
    models = [ModelLabels.of_column(obs, name) for name in chosen]
    ids = np.asarray(obs.index.astype(str), dtype=np.str_)
    found = label_agreement(models, ids, key=key, inputs={"store": str(store)})
    if out is not None:
        found.write(Path(out), overwrite=overwrite)
    if into is not None:
        write_results(
            open_section(Path(store), table=table).source,
            lambda written: found.write_to(written, overwrite=overwrite),
            Path(into),
            overwrite=overwrite,
            context=context,
        )
    return found


def _truth(obs: pd.DataFrame, truth: str) -> npt.NDArray[np.object_]:
    """True labels in the table's order, NaN where not known."""
    path = Path(truth)
    if path.suffix not in (".csv", ".json"):
        named = column_of(obs, truth, "truth")
        return np.asarray(named, dtype=object)
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
