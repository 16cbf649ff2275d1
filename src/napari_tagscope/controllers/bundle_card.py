"""What a bundle was trained on, how, and how well it does, type by type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tagscope.api import Bundle


@dataclass(frozen=True)
class TypeScores:
    """One type: cells of the reference, and the scores on those of them held out."""

    name: str
    cells: int | None
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class BundleCard:
    """``facts`` are names with their values; ``types`` in the model's order."""

    facts: tuple[tuple[str, str], ...]
    types: tuple[TypeScores, ...]
    genes: tuple[str, ...]


def card_of(bundle: Bundle) -> BundleCard:
    """The card of a bundle; what its record does not hold is left out."""
    training = bundle.training
    facts = (
        ("Reference", bundle.reference),
        ("Trained on", _cells(training)),
        ("Converted from", str(training.get("converted", {}).get("from", ""))),
        ("Notes", "\n".join(training.get("notes", ()))),
        ("Levels", "" if bundle.tree is None else ", ".join(bundle.tree.columns)),
        ("Recipe", _recipe(training)),
        ("Confidence", _calibration(bundle.calibration)),
        ("Made", _made(training.get("provenance") or {})),
    )
    known = tuple((name, value) for name, value in facts if value)
    return BundleCard(known, _types(bundle), bundle.panel.symbols)


def _types(bundle: Bundle) -> tuple[TypeScores, ...]:
    names, counts = bundle.labels.names, bundle.training.get("label_counts", {})
    confusion = np.array(bundle.training.get("confusion", ()))
    if confusion.shape != (len(names), len(names)):
        return tuple(TypeScores(n, counts.get(n), None, None, None) for n in names)
    right, true, given = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return tuple(
        TypeScores(
            name,
            counts.get(name),
            _ratio(right[code], given[code]),
            _ratio(right[code], true[code]),
            _ratio(2 * right[code], true[code] + given[code]),
        )
        for code, name in enumerate(names)
    )


def _ratio(part: Any, whole: Any) -> float | None:
    return float(part / whole) if whole else None


def _cells(training: dict[str, Any]) -> str:
    cells = training.get("cells") or {}
    if not cells.get("reference"):
        return ""
    return f"{cells['reference']:,} cells; scores on {cells.get('validation', 0):,} held out"


def _recipe(training: dict[str, Any]) -> str:
    name = (training.get("recipe") or {}).get("name")
    folds = training.get("folds") or []
    epochs = ", ".join(str(fold["best_epoch"]) for fold in folds)
    networks = f"; {len(folds)} networks, best epochs {epochs}" if folds else ""
    return f"{name}{networks}" if name else ""


def _calibration(calibration: dict[str, Any]) -> str:
    if calibration.get("error_after") is None:
        return ""
    return f"calibration error {calibration['error_after']:.3f} on cells held out"


def _made(provenance: dict[str, Any]) -> str:
    if not provenance.get("finished"):
        return ""
    when = str(provenance["finished"]).replace("T", " ").replace("+00:00", " UTC")
    version = (provenance.get("versions") or {}).get("tagscope", "")
    spent = f"in {provenance.get('seconds', 0):,.0f} s on {provenance.get('device', '')}"
    return f"{when}, {spent}, seed {provenance.get('seed')}, TAGscope {version}"
