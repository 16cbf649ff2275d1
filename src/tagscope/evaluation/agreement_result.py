"""What several models say of the same cells, told by pair, by type and by cell, and written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import adjusted_rand_score, cohen_kappa_score

from tagscope.core.keys import Slots
from tagscope.core.labels import UNASSIGNED, LabelSet
from tagscope.core.provenance import Provenance
from tagscope.core.results import refuse_existing, rows_of, write_provenance
from tagscope.io.atomic import written_whole

if TYPE_CHECKING:
    from anndata import AnnData

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LabelAgreement:
    """What M ``models`` say of N cells ``ids``, and how far they agree.

    - ``codes`` (M, N) into ``names``, −1 for Unassigned; ``confidence`` (M, N), NaN where unknown.
    - ``kind`` (N,) into ``kinds``: all agree; of three models or more, all but one do (and which);
      of four or more, they are split some other way; all differ; some gave no label.
    - ``consensus`` (N,) into ``names``: the label of more than half of the models, −1 for none.
    - ``agreeing`` (N,): models that give the commonest label, 0 where none gave any.
    - ``doubt`` (N,), 0 to 1 (:func:`~tagscope.evaluation.agreement.label_agreement`).
    """

    key: str
    ids: npt.NDArray[np.str_]
    models: tuple[str, ...]
    names: tuple[str, ...]
    codes: Ints
    confidence: Floats
    kinds: LabelSet
    kind: Ints
    consensus: Ints
    agreeing: npt.NDArray[np.integer[Any]]
    doubt: Floats
    provenance: Provenance

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def order(self) -> Ints:
        """Rows of all cells, doubtful ones first; of equal doubt, those that come first."""
        return np.argsort(-self.doubt, kind="stable").astype(np.int64)

    def counts(self) -> list[tuple[str, int]]:
        """Cells of every kind of agreement."""
        counts = np.bincount(self.kind, minlength=len(self.kinds))
        return list(zip(self.kinds.names, map(int, counts), strict=True))

    def said(self, row: int) -> list[tuple[str, str, float]]:
        """Of one cell: every model, its label, and its confidence, NaN where not known."""
        names = (*self.names, UNASSIGNED)
        return [
            (model, names[code], float(sure))
            for model, code, sure in zip(
                self.models, self.codes[:, row], self.confidence[:, row], strict=True
            )
        ]

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """One row per pair of models, over the cells that both gave a label.

        Columns: first, second, cells, agreement (share of the same label), kappa (Cohen 1960), ari
        (adjusted Rand index); of no cells they are NaN.
        """
        rows = []
        for a, b in combinations(range(len(self.models)), 2):
            both = (self.codes[a] >= 0) & (self.codes[b] >= 0)
            one, other = self.codes[a][both], self.codes[b][both]
            rows.append(
                (
                    self.models[a],
                    self.models[b],
                    len(one),
                    float((one == other).mean()) if len(one) else np.nan,
                    _kappa(one, other),
                    float(adjusted_rand_score(one, other)) if len(one) else np.nan,
                )
            )
        columns = ["first", "second", "cells", "agreement", "kappa", "ari"]
        return pd.DataFrame(rows, columns=columns)

    @cached_property
    def types(self) -> pd.DataFrame:
        """One row per label: cells to which each model gives it, ``all`` and ``any`` of them, and
        ``agreement``, all / any; those of most cells first."""
        size = len(self.names)
        per_model = {
            model: np.bincount(codes[codes >= 0], minlength=size)
            for model, codes in zip(self.models, self.codes, strict=True)
        }
        alike = self.codes[0][self.agreeing == len(self.models)]
        every = np.bincount(alike, minlength=size)
        some = np.array([(self.codes == code).any(axis=0).sum() for code in range(size)], np.int64)
        frame = pd.DataFrame(
            {**per_model, "all": every, "any": some, "agreement": every / np.maximum(some, 1)},
            index=pd.Index(list(self.names), name="type"),
        )
        return frame[some > 0].sort_values("any", ascending=False, kind="stable")

    def confusion(self, first: str, second: str) -> pd.DataFrame:
        """Cells by the label of one model (rows) and of another (columns); Unassigned is last."""
        size = len(self.names)
        a, b = (
            np.where(self.codes[place] < 0, size, self.codes[place])
            for place in (self.models.index(first), self.models.index(second))
        )
        counts = np.bincount(a * (size + 1) + b, minlength=(size + 1) ** 2)
        table = counts.reshape(size + 1, size + 1)
        names = pd.Index([*self.names, UNASSIGNED])
        frame = pd.DataFrame(table, index=names.rename(first), columns=names.rename(second))
        return frame.loc[table.any(axis=1), table.any(axis=0)]

    def cells(self) -> pd.DataFrame:
        """One row per cell, doubtful ones first: what each model says and how sure it is."""
        order = self.order
        names = np.array([*self.names, UNASSIGNED])
        frame = pd.DataFrame({"cell": self.ids[order]})
        for model, codes, sure in zip(self.models, self.codes, self.confidence, strict=True):
            frame[model] = names[codes[order]]
            if np.isfinite(sure).any():
                frame[Slots(model).confidence] = sure[order]
        frame["agreement"] = np.array(self.kinds.names)[self.kind[order]]
        frame["consensus"] = names[self.consensus[order]]
        frame["doubt"] = self.doubt[order]
        return frame

    def to_dict(self) -> dict[str, Any]:
        """The numbers, JSON-ready; tables are written as CSV."""
        return {
            "models": list(self.models),
            "cells": len(self),
            "kinds": dict(self.counts()),
            "share_all_agree": float((self.agreeing == len(self.models)).mean()),
            "pairs": json.loads(self.pairs.to_json(orient="records")),
        }

    def to_text(self) -> str:
        """For a terminal: kinds of agreement, pairs of models, then types."""
        cells = max(1, len(self))
        lines = [
            f"{count:8,}  {100 * count / cells:5.1f} %  {name}" for name, count in self.counts()
        ]

        def shown(frame: pd.DataFrame, index: bool) -> str:
            return str(frame.to_string(index=index, float_format=lambda value: f"{value:.3f}"))

        return "\n".join([*lines, "", shown(self.pairs, False), "", shown(self.types, True)])

    def write(self, folder: Path | str, *, overwrite: bool = False) -> Path:
        """Write agreement.json, cells.csv (doubtful first), pairs.csv, types.csv, agreement.png,
        and confusion-A-B.csv and .png of every pair. The folder appears whole or not at all.
        """
        # drawing is slow to import
        from tagscope.evaluation.plot import agreement_figure, confusion_figure

        folder = Path(folder)
        with written_whole(folder, overwrite=overwrite) as beside:
            beside.mkdir(exist_ok=True)
            (beside / "agreement.json").write_text(json.dumps(self.to_dict(), indent=2) + "\n")
            self.cells().to_csv(beside / "cells.csv", index=False, float_format="%.6g")
            self.pairs.to_csv(beside / "pairs.csv", index=False, float_format="%.6g")
            self.types.to_csv(beside / "types.csv", float_format="%.6g")
            agreement_figure(self).savefig(beside / "agreement.png", dpi=200)
            for first, second in combinations(self.models, 2):
                table, name = self.confusion(first, second), f"confusion-{first}-{second}"
                table.to_csv(beside / f"{name}.csv")
                figure = confusion_figure(table, rows=first, columns=second)
                figure.savefig(beside / f"{name}.png", dpi=200)
        return folder

    def write_to(self, table: AnnData, *, overwrite: bool = False) -> None:
        """Write the kind with its colours, the doubt, the consensus, and the provenance.

        Into ``obs["<key>"]``, ``obs["<key>_doubt"]`` and ``obs["<key>_label"]``; all else stays.
        """
        rows, slots = rows_of(self.ids, table), Slots(self.key)
        for slot in (slots.label, slots.doubt, slots.consensus):
            refuse_existing(slot in table.obs, "obs", slot, overwrite)
        table.obs[slots.label] = pd.Categorical.from_codes(
            self.kind[rows], categories=list(self.kinds.names)
        )
        table.uns[slots.colors] = np.array(self.kinds.colors)
        table.obs[slots.doubt] = self.doubt[rows]
        codes = np.where(self.consensus < 0, len(self.names), self.consensus)[rows]
        table.obs[slots.consensus] = pd.Categorical.from_codes(
            codes, categories=[*self.names, UNASSIGNED]
        )
        write_provenance(table, self.key, self.provenance)


def _kappa(one: Ints, other: Ints) -> float:
    """Cohen's kappa; of cells that are all of one type for both, 1."""
    if not len(one):
        return float("nan")
    if len(np.unique(np.concatenate([one, other]))) == 1:
        return 1.0
    return float(cohen_kappa_score(one, other))
