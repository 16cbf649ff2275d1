"""Bundles this user has: those trained here and those opened before."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_tagscope.controllers.recent import read_list, write_list

if TYPE_CHECKING:
    from tagscope.api import Bundle

RECENT, LEFT_OUT = "recent.json", "left-out.json"


def bundle_folder() -> Path:
    """Where bundles trained in the window are kept."""
    cache = os.environ.get("TAGSCOPE_CACHE")
    return (Path(cache) if cache else Path.home() / ".cache" / "tagscope") / "bundles"


def is_bundle(path: Path) -> bool:
    """Whether a folder is a bundle, by its ``bundle.json``."""
    return (path / "bundle.json").is_file()


def _said_of(path: Path) -> dict[str, Any]:
    """What a bundle says of itself; nothing where that cannot be read."""
    try:
        said = json.loads((path / "bundle.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def about(bundle: Bundle) -> str:
    """What a bundle knows, and how it did on cells held out, beside logistic regression.

    Three lines, such as ``300 genes · 14 types · cellmemory``, ``accuracy 0.951, macro-F1 0.912``,
    ``logistic regression: 0.940, 0.893``; the last one only where that is known.
    """
    known = f"{len(bundle.panel):,} genes · {len(bundle.labels):,} types · {bundle.model}"
    scores = _scores(bundle.training)
    held_out = ", ".join(f"{name} {score:.3f}" for name, score in scores.items())
    baseline = bundle.training.get("baseline") or {}
    others = _scores(baseline)
    if scores and others.keys() >= scores.keys():
        held_out += f"\n{baseline['method']}: "
        held_out += ", ".join(f"{others[name]:.3f}" for name in scores)
    return f"{known}\n{held_out or 'not validated'}"


def _scores(record: Mapping[str, Any]) -> dict[str, float]:
    """Accuracy and macro-F1 where they are known."""
    named = (("accuracy", record.get("accuracy")), ("macro-F1", record.get("macro_f1")))
    return {name: float(score) for name, score in named if score is not None}


@dataclass(frozen=True)
class KnownBundles:
    """A folder of bundles, and lists of those opened from elsewhere and of those left out."""

    folder: Path

    def paths(self) -> tuple[Path, ...]:
        """Those that are still there: opened ones first, latest first, then trained ones."""
        trained = sorted(self.folder.glob("*/bundle.json"), key=lambda p: -p.stat().st_mtime)
        found = dict.fromkeys([*self._listed(RECENT), *(path.parent for path in trained)])
        left_out = set(self._listed(LEFT_OUT))
        return tuple(path for path in found if path not in left_out and is_bundle(path))

    def of_model(self, model: str) -> tuple[Path, ...]:
        """Those of one kind of model."""
        return tuple(path for path in self.paths() if _said_of(path).get("model") == model)

    def able_to(self, capability: str) -> tuple[Path, ...]:
        """Those that do not say that they cannot do something; opening one tells."""
        return tuple(
            path
            for path in self.paths()
            if capability in _said_of(path).get("capabilities", (capability,))
        )

    def remember(self, path: Path) -> None:
        """Put a bundle first in the list."""
        path = path.absolute()
        self._write(RECENT, [path, *(p for p in self._listed(RECENT) if p != path)])
        self._write(LEFT_OUT, [p for p in self._listed(LEFT_OUT) if p != path])

    def forget(self, path: Path) -> None:
        """Leave a bundle out of the list; its files stay."""
        path = path.absolute()
        self._write(RECENT, [p for p in self._listed(RECENT) if p != path])
        left_out = [p for p in self._listed(LEFT_OUT) if p != path and is_bundle(p)]
        self._write(LEFT_OUT, [path, *left_out])

    def free_name(self, name: str) -> Path:
        """A folder for a new bundle that nothing is in the way of."""
        word = "".join(c if c.isalnum() or c in "-_" else "-" for c in name).strip("-") or "bundle"
        candidates = (
            self.folder / (word if n == 1 else f"{word}-{n}") for n in range(1, 1_000_000)
        )
        return next(path for path in candidates if not path.exists())

    def _listed(self, name: str) -> list[Path]:
        return [Path(entry) for entry in read_list(self.folder / name)]

    def _write(self, name: str, paths: list[Path]) -> None:
        write_list(self.folder / name, [str(path) for path in paths])
