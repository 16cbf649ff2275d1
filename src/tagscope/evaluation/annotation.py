"""How good predicted labels are: accuracy, macro-F1, calibration, unseen types."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, roc_auc_score

from tagscope.core.labels import MISSING, UNASSIGNED
from tagscope.core.reliability import expected_calibration_error, reliability_curve
from tagscope.errors import ArgumentError
from tagscope.evaluation.integration import IntegrationReport
from tagscope.io.atomic import written_whole

Names = npt.NDArray[np.str_]
Ints = npt.NDArray[np.int64]

_UNKNOWN = ""  # the true label of a cell that has none


@dataclass(frozen=True)
class AnnotationReport:
    """Predicted against true labels.

    Cells without a true label (missing, ``""``, ``"NA"``, ``"nan"``, …) are left out and counted in
    ``n_missing``. Of the others, ``n_cells`` have a type the model was trained on and are scored;
    ``n_unseen`` have another and only enter ``unseen_auroc`` and ``confusion``.

    - ``accuracy``: share of scored cells with the right label; Unassigned is wrong.
    - ``macro_f1``: unweighted mean F1 over the types present among the scored cells.
    - ``per_class``: index the types, columns precision, recall, f1, support (true cells) and
      predicted (cells given this label); a type that was only predicted has support 0.
    - ``confusion``: cells by true type (rows; unseen types last) and by predicted label (columns).
    - ``calibration_error``: expected calibration error of the scored, assigned cells, 15 bins of
      equal width (Guo et al. 2017, eq. 3); None without confidences.
    - ``reliability``: the curve behind it (:func:`~.reliability.reliability_curve`), or None.
    - ``unseen_auroc``: probability that an unseen cell is less confident than a scored one;
      None without confidences or without unseen cells. ``novelty_auroc``: probability that it has
      a higher novelty (``models.novelty``); None without novelties or without unseen cells.
    - ``ari``, ``nmi``: adjusted Rand index and normalised mutual information of the two
      partitions of the scored cells.
    - ``integration``: how well the embedding mixes batches, where a batch was named.
    """

    accuracy: float
    macro_f1: float
    per_class: pd.DataFrame
    confusion: pd.DataFrame
    n_cells: int
    n_types: int
    n_unseen: int
    n_missing: int
    n_unassigned: int
    ari: float
    nmi: float
    calibration_error: float | None = None
    unseen_auroc: float | None = None
    novelty_auroc: float | None = None
    reliability: pd.DataFrame | None = None
    integration: IntegrationReport | None = None

    def to_dict(self) -> dict[str, Any]:
        """The numbers, JSON-ready; the tables are written as CSV."""
        return {
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "cells_scored": self.n_cells,
            "types_scored": self.n_types,
            "cells_of_unseen_types": self.n_unseen,
            "cells_without_truth": self.n_missing,
            "cells_unassigned": self.n_unassigned,
            "adjusted_rand_index": self.ari,
            "normalised_mutual_information": self.nmi,
            "expected_calibration_error": self.calibration_error,
            "unseen_auroc": self.unseen_auroc,
            "novelty_auroc": self.novelty_auroc,
        }

    def to_text(self) -> str:
        """The report for a terminal: the numbers, then a line per type."""
        lines = [
            f"{name.replace('_', ' '):>30}  {_shown(value)}"
            for name, value in self.to_dict().items()
        ]
        table = self.per_class.to_string(float_format=lambda value: f"{value:.3f}")
        mixed = ["", self.integration.to_text()] if self.integration is not None else []
        return "\n".join([*lines, "", table, *mixed])

    def write(self, folder: Path | str, *, overwrite: bool = False) -> Path:
        """Write evaluation.json, per_class.csv, confusion.csv and confusion.png into ``folder``.

        With confidences there are reliability.csv and reliability.png too, with a batch
        integration.json and integration.csv. The folder appears whole or not at all.
        """
        # drawing is slow to import
        from tagscope.evaluation.plot import confusion_figure, reliability_figure

        folder = Path(folder)
        with written_whole(folder, overwrite=overwrite) as beside:
            beside.mkdir(exist_ok=True)
            (beside / "evaluation.json").write_text(json.dumps(self.to_dict(), indent=2) + "\n")
            self.per_class.to_csv(beside / "per_class.csv", float_format="%.6g")
            self.confusion.to_csv(beside / "confusion.csv")
            confusion_figure(self.confusion).savefig(beside / "confusion.png", dpi=200)
            if self.reliability is not None:
                self.reliability.to_csv(
                    beside / "reliability.csv", index=False, float_format="%.6g"
                )
                figure = reliability_figure(self.reliability)
                figure.savefig(beside / "reliability.png", dpi=200)
            if self.integration is not None:
                self.integration.write_into(beside)
        return folder


def evaluate_labels(
    prediction: Iterable[Any],
    truth: Iterable[Any],
    confidence: npt.NDArray[np.floating[Any]] | None = None,
    seen: set[str] | None = None,
    novelty: npt.NDArray[np.floating[Any]] | None = None,
) -> AnnotationReport:
    """Compare labels of the same N cells.

    Parameters
    ----------
    confidence
        (N,) probability of each predicted label.
    seen
        Types the model was trained on; all types of ``truth`` if None.
    novelty
        (N,) how unlike its reference each cell is.

    Raises
    ------
    ArgumentError
        If the lengths differ or no cell can be scored.
    """
    names, predicted, true = _coded(prediction, truth)
    _refuse_lengths(predicted, true, confidence, novelty)
    unassigned, unknown = np.searchsorted(names, (UNASSIGNED, _UNKNOWN))
    known = true != unknown
    scored = known & (np.isin(names, list(seen))[true] if seen is not None else True)
    if not scored.any():
        raise _nothing_to_score(names, true, known)
    unseen = known & ~scored
    y, p = true[scored], predicted[scored]
    per_class = _per_class(names, y, p)
    present = per_class["support"] > 0
    sure = p != unassigned
    curve = None
    if confidence is not None and sure.any():
        curve = reliability_curve(confidence[scored][sure], (y == p)[sure])
    return AnnotationReport(
        accuracy=float((y == p).mean()),
        macro_f1=float(per_class.loc[present, "f1"].mean()),
        per_class=per_class,
        confusion=_confusion(names, true, predicted, scored, unseen),
        n_cells=int(scored.sum()),
        n_types=int(present.sum()),
        n_unseen=int(unseen.sum()),
        n_missing=int((~known).sum()),
        n_unassigned=int((~sure).sum()),
        ari=float(adjusted_rand_score(y, p)),
        nmi=float(normalized_mutual_info_score(y, p)),
        calibration_error=None if curve is None else expected_calibration_error(curve),
        unseen_auroc=None if confidence is None else _unseen_auroc(1 - confidence, scored, unseen),
        novelty_auroc=None if novelty is None else _unseen_auroc(novelty, scored, unseen),
        reliability=curve,
    )


def _refuse_lengths(
    predicted: Ints,
    true: Ints,
    *values: npt.NDArray[np.floating[Any]] | None,
) -> None:
    if {len(true)} != {len(v) for v in (predicted, *values) if v is not None}:
        raise ArgumentError(
            f"{len(predicted)} predictions were given for {len(true)} true labels.",
            "Predictions, truth, confidences and novelties of the same cells are needed.",
        )


def _nothing_to_score(names: Names, true: Ints, known: npt.NDArray[np.bool_]) -> ArgumentError:
    return ArgumentError(
        f"None of the {len(true)} cells can be scored: {int((~known).sum())} have no true "
        f"label, and the types of the others ({_examples(names[np.unique(true[known])])}) are "
        "none the model knows.",
        "True labels must be named as in the reference the model was trained on.",
        "Choose another truth column.",
    )


def _coded(prediction: Iterable[Any], truth: Iterable[Any]) -> tuple[Names, Ints, Ints]:
    """Names in order, ``Unassigned`` and ``""`` among them, and either's codes into them, (N,)."""
    given, given_codes = _named(prediction, UNASSIGNED)
    true, true_codes = _named(truth, _UNKNOWN)
    names = np.unique([*given, *true])
    return (
        names,
        np.searchsorted(names, given)[given_codes],
        np.searchsorted(names, true)[true_codes],
    )


def _named(values: Iterable[Any], missing: str) -> tuple[list[str], Ints]:
    """Names, those that stand for no label as ``missing``, which is the last; codes (N,)."""
    if isinstance(getattr(values, "dtype", None), pd.CategoricalDtype):
        held = pd.Categorical(values)
        codes, found = held.codes, held.categories
    else:
        codes, found = pd.factorize(pd.Series(list(values), dtype=object))
    texts = (str(value) for value in found)
    names = [missing if text in MISSING else text for text in texts]
    return [*names, missing], np.asarray(codes, dtype=np.int64)


def _per_class(names: Names, y: Ints, p: Ints) -> pd.DataFrame:
    """Scores of all types that are true or given; codes are into ``names``."""
    support, given = (np.bincount(codes, minlength=len(names)) for codes in (y, p))
    right = np.bincount(y[y == p], minlength=len(names))
    found = np.flatnonzero((support + given > 0) & (names != UNASSIGNED))
    support, given, right = support[found], given[found], right[found]
    return pd.DataFrame(
        {
            "precision": right / np.maximum(given, 1),
            "recall": right / np.maximum(support, 1),
            "f1": 2 * right / (support + given),
            "support": support,
            "predicted": given,
        },
        index=pd.Index(names[found].tolist(), name="type"),
    )


def _confusion(
    names: Names,
    true: Ints,
    predicted: Ints,
    scored: npt.NDArray[np.bool_],
    unseen: npt.NDArray[np.bool_],
) -> pd.DataFrame:
    known = scored | unseen
    rows = np.append(np.unique(true[scored]), np.unique(true[unseen]))
    columns = np.union1d(true[scored], predicted[known])
    last = names[columns] == UNASSIGNED
    columns = np.append(columns[~last], columns[last])
    row_of, column_of = np.zeros(len(names), np.int64), np.zeros(len(names), np.int64)
    row_of[rows], column_of[columns] = np.arange(len(rows)), np.arange(len(columns))
    places = row_of[true[known]] * len(columns) + column_of[predicted[known]]
    counts = np.bincount(places, minlength=len(rows) * len(columns))
    return pd.DataFrame(
        counts.reshape(len(rows), len(columns)),
        index=pd.Index(names[rows].tolist(), name="truth"),
        columns=pd.Index(names[columns].tolist(), name="prediction"),
    )


def _unseen_auroc(
    unusual: npt.NDArray[np.floating[Any]],
    scored: npt.NDArray[np.bool_],
    unseen: npt.NDArray[np.bool_],
) -> float | None:
    if not unseen.any():
        return None
    either = scored | unseen
    return float(roc_auc_score(unseen[either], unusual[either].astype(np.float64)))


def _examples(found: Names) -> str:
    return ", ".join(found[:3]) + (", …" if len(found) > 3 else "")


def _shown(value: float | int | None) -> str:
    if value is None:
        return "not known"
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}"
