"""What a bundle holds of its training: the weights, and an honest account of how well they did."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagscope.core.provenance import Provenance
from tagscope.models.bundle import Bundle, save_bundle
from tagscope.models.device import choose_device
from tagscope.training.baseline import BaselineScores
from tagscope.training.calibrate import Calibration
from tagscope.training.member import Member, Standing
from tagscope.training.metrics import accuracy, confusion_matrix, macro_f1
from tagscope.training.recipe import TrainConfig

Ints = npt.NDArray[np.int64]


def save(
    out: Path,
    members: Sequence[Member],
    standings: list[Standing],
    config: TrainConfig,
    baseline: BaselineScores | None,
    calibration: Calibration,
    *,
    stopped: str,
    seconds: float,
) -> Bundle:
    """Write the bundle of the members that have weights."""
    first = members[0]
    reference = first.prepared.reference
    contents = first.contents([standing.best for standing in standings], calibration.novelty)
    return save_bundle(
        out,
        **vars(contents),
        labels=reference.labels,
        tree=reference.tree,
        training=_plain(_account(members, standings, config, baseline, stopped, seconds)),
        calibration=_plain(calibration.to_dict()),
        overwrite=True,  # asked for before training began
    )


def _account(
    members: Sequence[Member],
    standings: list[Standing],
    config: TrainConfig,
    baseline: BaselineScores | None,
    stopped: str,
    seconds: float,
) -> dict[str, Any]:
    """How it was trained, and how every network did on the cells that it had not seen."""
    confusions = [_confusion(*pair) for pair in zip(members, standings, strict=True)]
    pooled = np.sum(confusions, axis=0)
    return {
        "accuracy": accuracy(pooled),
        "macro_f1": macro_f1(pooled),
        "confusion": pooled.tolist(),
        "baseline": None if baseline is None else {"method": "logistic regression",
                                                   **asdict(baseline)},
        "history": [asdict(record) for standing in standings for record in standing.history],
        "folds": [
            _fold(member, standing, confusion)
            for member, standing, confusion in zip(members, standings, confusions, strict=True)
        ],
        "stopped": stopped,
        "cells": {"reference": len(members[0].prepared.reference), "validation": int(pooled.sum())},
        "label_counts": members[0].prepared.label_counts,
        "recipe": asdict(members[0].recipe),
        "notes": list(members[0].prepared.notes),
        **members[0].record,
        "provenance": json.loads(_provenance(members[0], config, seconds).to_json()),
    }  # fmt: skip


def _fold(member: Member, standing: Standing, confusion: Ints) -> dict[str, Any]:
    return {
        "best_epoch": standing.best_epoch,
        "epochs": len(standing.history),
        "training": len(member.split.training),
        "validation": len(member.split.validation),
        "accuracy": accuracy(confusion),
        "macro_f1": macro_f1(confusion),
    }


def _confusion(member: Member, standing: Standing) -> Ints:
    predicted = standing.logits.argmax(dim=1).numpy()
    return confusion_matrix(member.validation_codes, predicted, member.labels)


def _provenance(member: Member, config: TrainConfig, seconds: float) -> Provenance:
    return Provenance(
        verb="train",
        parameters=asdict(config),
        inputs={
            **member.prepared.reference.origin,
            **member.inputs,
            "data_sha256": member.prepared.digest(),
        },
        seed=config.seed,
        device=str(choose_device(config.device)),
        seconds=round(seconds, 1),
    )


def _plain(value: Any) -> Any:
    """JSON-ready: NaN and infinity, which JSON lacks, become None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
