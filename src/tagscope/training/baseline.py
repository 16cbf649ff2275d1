"""Logistic regression on the same cells: what a model has to beat."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from tagscope.core.section import Cells
from tagscope.jobs import JobContext
from tagscope.models.preprocessing import Preprocessing
from tagscope.training.member import Member
from tagscope.training.metrics import accuracy, confusion_matrix, macro_f1

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_STRENGTH = 0.1  # C of scikit-learn: the inverse of the penalty on squared weights
_MOST_CELLS = 10_000  # to train on, so that it takes seconds
_MOST_STEPS = 200
_MOST_SD = 10.0


@dataclass(frozen=True)
class BaselineScores:
    """Logistic regression on the cells that the networks held out.

    ``accuracy`` and ``macro_f1`` as of the networks; NaN without validation cells.
    """

    accuracy: float
    macro_f1: float
    seconds: float


def logistic_regression(members: Sequence[Member], context: JobContext) -> BaselineScores:
    """Fit on every member's training cells, score on its validation cells, pool the cells.

    Log values are standardised by the training cells and cut at ten standard deviations; C = 0.1.
    Both parts have the depth that the networks see in validation.
    """
    started = time.monotonic()
    labels = members[0].labels
    confusion = np.zeros((labels, labels), np.int64)
    for index, member in enumerate(members):
        context.step("baseline", index, len(members))
        confusion += _confusion(member)
    context.step("baseline", len(members), len(members))
    seconds = time.monotonic() - started
    return BaselineScores(accuracy(confusion), macro_f1(confusion), round(seconds, 2))


def _confusion(member: Member) -> Ints:
    reference, split = member.prepared.reference, member.split
    rng = np.random.default_rng([member.seed, 5])
    rows = split.training
    if len(rows) > _MOST_CELLS:
        rows = np.sort(rng.choice(rows, _MOST_CELLS, replace=False))
    codes = reference.codes[rows]
    if not len(split.validation):
        return confusion_matrix(split.validation, split.validation, member.labels)
    preprocessing = Preprocessing(member.prepared.target_sum)
    known = _log_values(member.as_measured(reference.cells.take(rows), rng), preprocessing)
    asked = _log_values(member.validation_cells(), preprocessing)
    predicted = np.full(len(asked), codes[0])
    if len(np.unique(codes)) > 1:
        predicted = _fitted(*_standardised(known, asked), codes)
    return confusion_matrix(member.validation_codes, predicted, member.labels)


def _fitted(known: Floats, asked: Floats, codes: Ints) -> Ints:
    model = LogisticRegression(C=_STRENGTH, max_iter=_MOST_STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly there is good enough here
        model.fit(known, codes)
    return np.asarray(model.predict(asked), dtype=np.int64)


def _standardised(known: Floats, asked: Floats) -> tuple[Floats, Floats]:
    mean, spread = known.mean(axis=0), known.std(axis=0)
    spread[spread == 0] = 1
    cut = (np.clip((values - mean) / spread, -_MOST_SD, _MOST_SD) for values in (known, asked))
    return next(cut), next(cut)


def _log_values(cells: Cells, preprocessing: Preprocessing) -> Floats:
    return np.asarray(preprocessing.apply(cells).toarray(), dtype=np.float32)
