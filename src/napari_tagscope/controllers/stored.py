"""Results that a section already carries: what an earlier run of ``annotate`` wrote."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tagscope.core.hierarchy import LabelTree
from tagscope.core.keys import PROVENANCE, Slots
from tagscope.core.labels import LabelSet, default_colors
from tagscope.core.results import (
    Annotation,
    AnnotationResult,
    GeneScores,
    SlotScores,
    read_provenance,
)

if TYPE_CHECKING:
    from anndata import AnnData

    from tagscope.core.provenance import Provenance
    from tagscope.core.section import Section


def stored_keys(table: AnnData) -> list[str]:
    """Keys of the annotations in a table, the one finished last first."""
    records = dict(table.uns.get(PROVENANCE, {}))
    found = {key: read_provenance(table, key) for key in records}
    whole = [key for key, record in found.items() if record and _is_annotation(table, key, record)]
    return sorted(whole, key=lambda key: str(getattr(found[key], "finished", "")), reverse=True)


def read_stored(table: AnnData, section: Section, key: str) -> AnnotationResult:
    """The annotation kept under ``key``; ``table``'s rows are the section's cells."""
    slots = Slots(key)
    provenance = read_provenance(table, key)
    assert provenance is not None
    names = tuple(map(str, provenance.extra["labels"]))
    annotation = Annotation(
        ids=section.ids,
        labels=LabelSet(names, _colors(table, slots, names)),
        probabilities=np.asarray(table.obsm[slots.probabilities], dtype=np.float32),
        embedding=_embedding(table, slots),
        min_confidence=float(provenance.parameters.get("min_confidence", 0.0)),
        novelty=_novelty(table, slots),
        max_novelty=float(provenance.parameters.get("max_novelty", 1.0)),
        tree=_tree(provenance),
    )
    scores: GeneScores | None = None
    if slots.attention in table.layers:
        matrix = sp.csc_matrix(table.layers[slots.attention], dtype=np.float32)
        scores = GeneScores(section.ids, section.panel, matrix)
    return AnnotationResult(
        key, annotation, scores, _slot_scores(table, section, slots), provenance
    )


def _slot_scores(table: AnnData, section: Section, slots: Slots) -> SlotScores | None:
    """Memory scores, one layer a slot: saving the result again must not lose them."""
    layers: list[sp.csc_matrix] = []
    while (layer := slots.slot(len(layers))) in table.layers:
        layers.append(sp.csc_matrix(table.layers[layer], dtype=np.float32))
    return SlotScores(section.ids, section.panel, tuple(layers)) if layers else None


def _novelty(table: AnnData, slots: Slots) -> npt.NDArray[np.float32] | None:
    if slots.novelty not in table.obs:
        return None
    return np.asarray(table.obs[slots.novelty], dtype=np.float32)


def _tree(provenance: Provenance) -> LabelTree | None:
    stored = provenance.extra.get("tree")
    return LabelTree.from_dict(stored) if stored else None


def recoloured(result: AnnotationResult, name: str, color: str) -> AnnotationResult:
    """The same result with another colour for one label."""
    labels = result.annotation.labels
    colors = list(labels.colors)
    colors[labels.names.index(name)] = color
    annotation = replace(result.annotation, labels=LabelSet(labels.names, tuple(colors)))
    return replace(result, annotation=annotation)


def with_min_confidence(result: AnnotationResult, value: float) -> AnnotationResult:
    """The same result with another bound below which a cell is Unassigned."""
    provenance = replace(
        result.provenance, parameters={**result.provenance.parameters, "min_confidence": value}
    )
    annotation = replace(result.annotation, min_confidence=value)
    return replace(result, annotation=annotation, provenance=provenance)


def _is_annotation(table: AnnData, key: str, record: Provenance) -> bool:
    slots = Slots(key)
    labels = record.extra.get("labels")
    if not labels or slots.probabilities not in table.obsm:
        return False
    return bool(np.shape(table.obsm[slots.probabilities])[1] == len(labels))


def _colors(table: AnnData, slots: Slots, names: tuple[str, ...]) -> tuple[str, ...]:
    """Stored colours by label name; a table saved by others may have lost some."""
    colors: Any = table.uns.get(slots.colors, ())
    categories = getattr(getattr(table.obs.get(slots.label), "cat", None), "categories", ())
    known = dict(zip(map(str, categories), map(str, colors), strict=False))
    plain = default_colors(len(names))
    return tuple(known.get(name, color) for name, color in zip(names, plain, strict=True))


def _embedding(table: AnnData, slots: Slots) -> Any:
    if slots.embedding in table.obsm:
        return np.asarray(table.obsm[slots.embedding], dtype=np.float32)
    return np.zeros((table.n_obs, 0), dtype=np.float32)
