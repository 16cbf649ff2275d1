"""Labels on several levels, from coarse to fine, that never contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tagscope.core.labels import MISSING, UNASSIGNED, LabelSet
from tagscope.errors import ArgumentError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]

_MOST_NAMED = 5


@dataclass(frozen=True)
class LevelLabels:
    """One label per cell on one level.

    ``codes`` (N,) int64, −1 for Unassigned; ``confidence`` (N,) float32, the probability of the
    likeliest label that agrees with the coarser levels.
    """

    column: str
    labels: LabelSet
    codes: Ints
    confidence: npt.NDArray[np.float32]

    def names(self) -> npt.NDArray[np.str_]:
        """Label names, (N,)."""
        return np.array([*self.labels.names, UNASSIGNED])[self.codes]


@dataclass(frozen=True)
class LabelTree:
    """K levels of labels, coarse to fine; every label lies within one label of the level above.

    ``columns``: K names of levels; ``levels``: K label sets of C_0 … C_{K−1} labels; ``parents``:
    for every level but the first, the code on the level above of each of its labels.
    """

    columns: tuple[str, ...]
    levels: tuple[LabelSet, ...]
    parents: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if not self.levels or len(self.columns) != len(self.levels):
            raise ValueError(f"{len(self.columns)} columns for {len(self.levels)} levels")
        if [len(codes) for codes in self.parents] != [len(level) for level in self.levels[1:]]:
            raise ValueError("every label below the first level needs one parent")
        for above, codes in zip(self.levels, self.parents, strict=False):
            if set(codes) != set(range(len(above))):
                raise ValueError("parents must be labels of the level above, each with a child")

    def __len__(self) -> int:
        return len(self.levels)

    @property
    def finest(self) -> LabelSet:
        """The labels a network predicts, C_{K−1} of them."""
        return self.levels[-1]

    @classmethod
    def from_columns(cls, obs: pd.DataFrame, columns: Sequence[str]) -> LabelTree:
        """The tree that the label columns of a table span, coarse to fine.

        Rows that lack a label on any level are not looked at.

        Raises
        ------
        ArgumentError
            If a column is missing or named twice, no row has all labels, or a label occurs under
            several labels of the level above.
        """
        _require_columns(obs, columns)
        labels = pd.DataFrame({column: _texts(obs[column]) for column in columns})
        pairs = labels.dropna().drop_duplicates()
        if pairs.empty:
            raise ArgumentError(
                f"No row has a label in each of {', '.join(map(repr, columns))}.",
                "Cells that are labelled on every level are needed.",
                "Choose other label columns.",
            )
        levels = tuple(LabelSet.from_values(pairs[column]) for column in columns)
        parents = []
        for level, (coarse, fine) in enumerate(pairwise(columns)):
            _refuse_crossing(labels, coarse, fine)
            parent = dict(zip(pairs[fine], pairs[coarse], strict=True))
            parents.append(tuple(levels[level].code(parent[n]) for n in levels[level + 1].names))
        return cls(tuple(columns), levels, tuple(parents))

    def take(self, fine: Ints) -> LabelTree:
        """The tree of the given finest labels (codes, ascending) and what they lie within."""
        used = [np.unique(self.ancestors(level)[fine]) for level in range(len(self))]
        levels = tuple(
            LabelSet(tuple(labels.names[c] for c in codes), tuple(labels.colors[c] for c in codes))
            for labels, codes in zip(self.levels, used, strict=True)
        )
        parents = tuple(
            tuple(np.searchsorted(above, np.asarray(codes)[below]).tolist())
            for codes, above, below in zip(self.parents, used, used[1:], strict=False)
        )
        return LabelTree(self.columns, levels, parents)

    def ancestors(self, level: int) -> Ints:
        """Code on ``level`` of every finest label, (C_{K−1},)."""
        codes = np.arange(len(self.finest))
        for parents in reversed(self.parents[level:]):
            codes = np.asarray(parents, dtype=np.int64)[codes]
        return codes.astype(np.int64)

    def codes_of(self, fine: Ints) -> tuple[Ints, ...]:
        """Codes on every level of cells with finest codes (N,); −1 stays −1."""
        return tuple(
            np.where(fine < 0, -1, self.ancestors(level)[fine]) for level in range(len(self))
        )

    def probabilities(self, fine: Floats) -> tuple[npt.NDArray[np.float32], ...]:
        """Probabilities on every level, (N, C_k): sums of ``fine`` (N, C_{K−1}) over children."""
        if fine.ndim != 2 or fine.shape[1] != len(self.finest):
            raise ValueError(f"probabilities are {fine.shape}, the tree has {len(self.finest)}")
        summed = []
        for level, labels in enumerate(self.levels):
            member = np.zeros((len(self.finest), len(labels)))
            member[np.arange(len(self.finest)), self.ancestors(level)] = 1
            summed.append(np.asarray(fine @ member, dtype=np.float32))
        return tuple(summed)

    def decode(self, fine: Floats, min_confidence: float = 0.0) -> tuple[LevelLabels, ...]:
        """One label per cell and level: the likeliest coarsest one, then within its children.

        The finest label may differ from the argmax of ``fine`` (N, C_{K−1}): five unsure children
        together outweigh one sure stranger. Confidence never rises from coarse to fine, so a cell
        that falls below ``min_confidence`` is Unassigned there and on all finer levels.
        """
        decoded: list[LevelLabels] = []
        chosen = np.zeros(len(fine), dtype=np.int64)
        for level, values in enumerate(self.probabilities(fine)):
            if level:
                children = np.asarray(self.parents[level - 1]) == chosen[:, None]
                values = np.where(children, values, -1)
            chosen = values.argmax(axis=1).astype(np.int64)
            confidence = np.take_along_axis(values, chosen[:, None], axis=1)[:, 0]
            if decoded:  # the sums are rounded, and may differ in the last digit
                confidence = np.minimum(confidence, decoded[-1].confidence)
            codes = np.where(confidence >= min_confidence, chosen, -1)
            decoded.append(LevelLabels(self.columns[level], self.levels[level], codes, confidence))
        return tuple(decoded)

    def flows(self, fine: Ints) -> pd.DataFrame:
        """:func:`label_flows` through all levels of cells with finest codes (N,)."""
        names = (
            np.array([*labels.names, UNASSIGNED])[codes]
            for labels, codes in zip(self.levels, self.codes_of(fine), strict=True)
        )
        return label_flows(pd.DataFrame(dict(zip(self.columns, names, strict=True))))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "columns": list(self.columns),
            "levels": [labels.to_dict() for labels in self.levels],
            "parents": [list(codes) for codes in self.parents],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LabelTree:
        """Inverse of :meth:`to_dict`."""
        return cls(
            tuple(data["columns"]),
            tuple(LabelSet.from_dict(labels) for labels in data["levels"]),
            tuple(tuple(int(code) for code in codes) for codes in data["parents"]),
        )


def label_flows(labels: pd.DataFrame) -> pd.DataFrame:
    """How many cells go from which label to which, for a Sankey diagram.

    ``labels`` (N, K) has one column per level, in the order of the diagram: the levels of a
    reference, of a prediction, or a true and a predicted column. The result has a row per flow
    between neighbouring columns with ``source_level``, ``source``, ``target_level``, ``target``
    and ``cells``, largest first within a pair of levels; missing labels are ``Unassigned``.
    """
    names = {column: _texts(labels[column]).fillna(UNASSIGNED) for column in labels}
    frames = [
        pd.DataFrame({"source": names[left].to_numpy(), "target": names[right].to_numpy()})
        .value_counts(["source", "target"])
        .sort_index()
        .sort_values(ascending=False, kind="stable")
        .rename("cells")
        .reset_index()
        .assign(source_level=str(left), target_level=str(right))
        for left, right in pairwise(labels.columns)
    ]
    order = ["source_level", "source", "target_level", "target", "cells"]
    return pd.concat(frames, ignore_index=True)[order] if frames else pd.DataFrame(columns=order)


def _texts(column: pd.Series[Any]) -> pd.Series[Any]:
    """Labels as text, missing ones as NaN."""
    text = column.astype(object).where(column.notna()).map(str, na_action="ignore")
    return text.where(~text.isin(MISSING))


def _require_columns(obs: pd.DataFrame, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in obs]
    if missing or len(set(columns)) != len(columns) or not columns:
        raise ArgumentError(
            f"The levels asked for are {', '.join(map(repr, columns)) or 'none'}; "
            f"the table has {', '.join(map(repr, obs.columns))}.",
            "Levels are different label columns of the table, coarse to fine.",
            "Choose among these columns, each once.",
        )


def _refuse_crossing(labels: pd.DataFrame, coarse: str, fine: str) -> None:
    """Every fine label lies under one coarse label, or an error that names those that do not."""
    known = labels[[coarse, fine]].dropna()
    counts = known.value_counts([fine, coarse]).sort_index()
    under = counts.groupby(level=0).size()
    offenders = under.index[under > 1]
    if not len(offenders):
        return
    named = [
        f"{name!r} under "
        + " and ".join(f"{parent!r} ({cells} cells)" for parent, cells in counts[name].items())
        for name in offenders[:_MOST_NAMED]
    ]
    rest = f", and {len(offenders) - _MOST_NAMED} more" if len(offenders) > _MOST_NAMED else ""
    raise ArgumentError(
        f"The labels of {fine!r} do not nest within those of {coarse!r}: {'; '.join(named)}{rest}.",
        "Every label must lie within one label of the coarser level.",
        "Give the columns coarse to fine, or correct the labels of these cells.",
    )
