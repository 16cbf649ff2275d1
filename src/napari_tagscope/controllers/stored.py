"""Results that a section already carries: what earlier runs wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tagscope.core.hierarchy import LabelTree
from tagscope.core.keys import PROVENANCE, Slots
from tagscope.core.labels import NO_LABEL, LabelSet, default_colors
from tagscope.core.results import (
    Annotation,
    AnnotationResult,
    GeneScores,
    SlotScores,
    read_provenance,
)
from tagscope.errors import ArgumentError

if TYPE_CHECKING:
    from anndata import AnnData

    from tagscope.core.provenance import Provenance
    from tagscope.core.section import Section

OF_DOMAINS = "domains"  # the verb in their records
OWN_NAMES = "model_labels"  # in the provenance of a result some of whose labels were renamed


def stored_keys(table: AnnData) -> list[str]:
    """Keys of the annotations in a table, the one finished last first."""
    found = _records(table)
    whole = [key for key, record in found.items() if _is_annotation(table, key, record)]
    return sorted(whole, key=lambda key: found[key].finished, reverse=True)


def stored_domains(table: AnnData) -> list[str]:
    """Keys of the domains in a table, those found last first."""
    found = _records(table)
    slots = [slot for slot, one in found.items() if one.verb == OF_DOMAINS and slot in table.obs]
    slots.sort(key=lambda slot: found[slot].finished, reverse=True)
    keys = (slot.removesuffix(Slots("").domain) for slot in slots)
    return [key for key, slot in zip(keys, slots, strict=True) if Slots(key).domain == slot]


def _records(table: AnnData) -> dict[str, Provenance]:
    found = {key: read_provenance(table, key) for key in dict(table.uns.get(PROVENANCE, {}))}
    return {key: record for key, record in found.items() if record is not None}


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
    slot_scores = _slot_scores(table, section, slots)
    return prepared(AnnotationResult(key, annotation, scores, slot_scores, provenance))


def _slot_scores(table: AnnData, section: Section, slots: Slots) -> SlotScores | None:
    """Memory scores, one layer a slot: saving the result again must not lose them."""
    layers: list[Any] = []
    while (layer := slots.slot(len(layers))) in table.layers:
        layers.append(table.layers[layer])
    return SlotScores(section.ids, section.panel, _ByColumn(layers)) if layers else None


class _ByColumn(Sequence[sp.csc_matrix]):
    """Matrices that the table keeps by row, each turned when it is asked for and then let go.

    Few people look at slots: of a million cells all of them take seconds, and GB, to turn.
    """

    def __init__(self, layers: Sequence[Any]) -> None:
        self._layers = layers

    def __len__(self) -> int:
        return len(self._layers)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return _ByColumn(self._layers[index])
        return sp.csc_matrix(self._layers[index], dtype=np.float32)


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
    shown = result.annotation.shown(labels=LabelSet(labels.names, tuple(colors)))
    return replace(result, annotation=shown)


def renamed(result: AnnotationResult, name: str, shown: str) -> AnnotationResult:
    """The same result with another name for one label; the model's own stays in the provenance.

    Raises
    ------
    ArgumentError
        If the new name is empty, stands for no label, or is another label's.
    """
    labels, extra = result.annotation.labels, result.provenance.extra
    refuse_name(shown, labels)
    names = tuple(shown if one == name else one for one in labels.names)
    extra = {**extra, "labels": list(names), OWN_NAMES: list(own_names(result))}
    annotation = result.annotation.shown(labels=LabelSet(names, labels.colors))
    provenance = replace(result.provenance, extra=extra)
    return replace(result, annotation=annotation, provenance=provenance)


def own_names(result: AnnotationResult) -> tuple[str, ...]:
    """The model's own names of the labels, in its order."""
    kept = result.provenance.extra.get(OWN_NAMES)
    return tuple(map(str, kept)) if kept else result.annotation.labels.names


def with_min_confidence(result: AnnotationResult, value: float) -> AnnotationResult:
    """The same result with another bound below which a cell is Unassigned."""
    provenance = replace(
        result.provenance, parameters={**result.provenance.parameters, "min_confidence": value}
    )
    annotation = result.annotation.shown(min_confidence=value)
    return replace(result, annotation=annotation, provenance=provenance)


def prepared(result: AnnotationResult) -> AnnotationResult:
    """A result whose codes are known: reading them from the probabilities of many cells is for the
    thread that made it, since every panel asks for them in the window's."""
    assert len(result.annotation.codes) == len(result.annotation.ids)
    return result


def refuse_name(name: str, labels: LabelSet) -> None:
    """Refuse a name that is empty, stands for no label, or is another label's."""
    if name in labels.names:
        raise ArgumentError(
            f"Another type is called {name!r} already.",
            "Every type needs a name of its own.",
            "Choose another name, or rename that type first.",
        )
    if not name or name in NO_LABEL:
        raise ArgumentError(
            f"{name!r} stands for cells without a type." if name else "The name is empty.",
            "A type needs a name.",
            "Type one, or press Escape to keep the name it has.",
        )


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
