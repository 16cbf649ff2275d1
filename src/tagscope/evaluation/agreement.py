"""Where several models agree on the labels of the same cells, where not, and which to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tagscope.core.keys import Slots
from tagscope.core.labels import NO_LABEL, UNASSIGNED_COLOR, LabelSet, default_colors
from tagscope.core.provenance import Provenance
from tagscope.core.results import AnnotationResult
from tagscope.errors import ArgumentError
from tagscope.evaluation.agreement_result import LabelAgreement

AGREEMENT = "agreement"
MODELS = ("cellmemory", "cellpatch", "omnicell")
"""Keys that are compared where nobody names others."""

ALL_AGREE, SPLIT, ALL_DIFFER, SOME_UNASSIGNED = (
    "all agree", "split", "all differ", "some Unassigned",
)  # fmt: skip
# Okabe and Ito (2008): calm where all agree, warm where not
_AGREE_COLOR, _DIFFER_COLOR, _SPLIT_COLOR = "#56b4e9", "#d55e00", "#882255"
_ALL_BUT_COLORS = ("#f0e442", "#cc79a7", "#009e73", "#e69f00", "#0072b2")

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ModelLabels:
    """What one model, or person, says of N cells.

    ``codes`` (N,) into ``names``, −1 for Unassigned; ``confidence`` (N,), 0 to 1, None where there
    is none.
    """

    key: str
    names: tuple[str, ...]
    codes: Ints
    confidence: Floats | None = None

    @classmethod
    def of_result(cls, result: AnnotationResult) -> ModelLabels:
        """The labels of an annotation, below its bound on confidence Unassigned."""
        given = result.annotation
        return cls(result.key, given.labels.names, given.codes, given.confidence)

    @classmethod
    def of_column(cls, obs: pd.DataFrame, key: str) -> ModelLabels:
        """The labels of the column ``key``, and ``<key>_confidence`` where there is one.

        Values that stand for no label (Unassigned, missing, ``"NA"``, …) are Unassigned.

        Raises
        ------
        ArgumentError
            If the column holds numbers.
        """
        column = obs[key]
        if pd.api.types.is_float_dtype(column.dtype):
            raise ArgumentError(
                f"The column {key!r} holds numbers.",
                "Labels are needed.",
                "Choose another column.",
                {"by": None},
            )
        held = pd.Categorical(column)
        given = [str(value) for value in held.categories]
        names = tuple(dict.fromkeys(name for name in given if name not in NO_LABEL))
        at = {name: code for code, name in enumerate(names)}
        of_code = np.array([*(at.get(name, -1) for name in given), -1], dtype=np.int64)
        slot = Slots(key).confidence
        sure = obs[slot].to_numpy(dtype=np.float32) if slot in obs else None
        return cls(key, names, of_code[held.codes], sure)


def label_agreement(
    models: Sequence[ModelLabels],
    ids: npt.NDArray[np.str_],
    *,
    key: str = AGREEMENT,
    inputs: dict[str, str] | None = None,
) -> LabelAgreement:
    """Compare the labels that two or more models give the same cells ``ids`` (N,), by name.

    Doubt is (M − agreeing + 1 − c) / (M + 1) for M models, ``agreeing`` of which give the commonest
    label, and the mean c of the confidences that are known (1 where none is): from 0, all agree and
    are sure, to 1. One model more that disagrees always weighs more than any confidence.

    Raises
    ------
    ArgumentError
        If fewer than two models are given, one twice, they are of other cells, or no two of them
        have a label in common.
    """
    _refuse(models, ids)
    names = tuple(dict.fromkeys(name for model in models for name in sorted(model.names)))
    at = {name: code for code, name in enumerate(names)}
    codes = np.stack([_renumbered(model, at) for model in models])
    sure = np.stack([_confidence(model) for model in models])
    same = np.stack([((codes == own) & (own >= 0)).sum(axis=0) for own in codes])
    agreeing = same.max(axis=0)
    rows = np.arange(len(ids))
    consensus = codes[same.argmax(axis=0), rows]
    consensus = np.where(2 * agreeing > len(models), consensus, -1)
    keys = tuple(model.key for model in models)
    provenance = Provenance(
        verb="agree", parameters={"by": list(keys)}, inputs=dict(inputs or {}),
        extra={"all_agree": float((agreeing == len(models)).mean()) if len(ids) else 0.0},
    )  # fmt: skip
    return LabelAgreement(
        key=key,
        ids=ids,
        models=keys,
        names=names,
        codes=codes,
        confidence=sure,
        kinds=_kinds(keys),
        kind=_kind_of(codes, same),
        consensus=consensus,
        agreeing=agreeing,
        doubt=_doubt(agreeing, sure),
        provenance=provenance,
    )


def _renumbered(model: ModelLabels, at: dict[str, int]) -> Ints:
    of_code = np.array([*(at[name] for name in model.names), -1], dtype=np.int64)
    return np.asarray(of_code[model.codes], dtype=np.int64)


def _confidence(model: ModelLabels) -> Floats:
    if model.confidence is None:
        return np.full(len(model.codes), np.nan, dtype=np.float32)
    return np.asarray(model.confidence, dtype=np.float32)


def _kinds(keys: tuple[str, ...]) -> LabelSet:
    """Names of the kinds of agreement, those of less doubt first, with colours."""
    others = [f"all but {key}" for key in keys] if len(keys) > 2 else []
    split = [SPLIT] if len(keys) > 3 else []
    colors = [*_ALL_BUT_COLORS, *default_colors(len(others))][: len(others)]
    return LabelSet(
        (ALL_AGREE, *others, *split, ALL_DIFFER, SOME_UNASSIGNED),
        (_AGREE_COLOR, *colors, *([_SPLIT_COLOR] * len(split)), _DIFFER_COLOR, UNASSIGNED_COLOR),
    )


def _kind_of(codes: Ints, same: npt.NDArray[np.integer[Any]]) -> Ints:
    """Codes into :func:`_kinds`, (N,)."""
    count = len(codes)
    agreeing = same.max(axis=0)
    alone = (same < agreeing).argmax(axis=0)  # which model dissents where one alone does
    dissent = 1 + (count if count > 2 else 0)  # of "split", else of "all differ"
    found = np.where(agreeing == count, 0, dissent)
    if count > 2:
        found = np.where(agreeing == count - 1, 1 + alone, found)
    if count > 3:
        found = np.where(agreeing == 1, dissent + 1, found)
    last = dissent + (2 if count > 3 else 1)
    return np.where((codes < 0).any(axis=0), last, found).astype(np.int64)


def _doubt(agreeing: npt.NDArray[np.integer[Any]], sure: Floats) -> Floats:
    known = np.isfinite(sure)
    total = np.where(known, sure, 0).sum(axis=0, dtype=np.float64)
    mean = np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), 1.0)
    count = len(sure)
    return ((count - agreeing + 1 - mean) / (count + 1)).astype(np.float32)


def _refuse(models: Sequence[ModelLabels], ids: npt.NDArray[np.str_]) -> None:
    keys = [model.key for model in models]
    told = ", ".join(keys) or "no column"
    if len(set(keys)) < 2 or len(set(keys)) < len(keys):
        raise ArgumentError(
            f"To be compared are given: {told}.",
            "At least two different columns of labels are needed.",
            "Annotate with another model under a key of its own, or name columns of labels.",
            {"by": None},
        )
    lengths = {len(model.codes) for model in models} | {len(ids)}
    if len(lengths) > 1:
        raise ArgumentError(
            f"The labels are of {', '.join(map(str, sorted(lengths)))} cells.",
            "Labels of the same cells are needed.",
        )
    sets = [set(model.names) for model in models]
    pairs = ((a, b) for place, a in enumerate(sets) for b in sets[place + 1 :])
    if all(a.isdisjoint(b) for a, b in pairs):
        examples = "; ".join(f"{m.key}: {', '.join(m.names[:3])}" for m in models)
        raise ArgumentError(
            f"No two of {told} have a label in common ({examples}).",
            "Labels are compared by name.",
            "Choose columns that name the types alike.",
            {"by": None},
        )
