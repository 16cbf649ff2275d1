"""Bundles this user has: those trained here and those opened before."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

LONGEST_LIST = 20


def bundle_folder() -> Path:
    """Where bundles trained in the window are kept."""
    cache = os.environ.get("TAGSCOPE_CACHE")
    return (Path(cache) if cache else Path.home() / ".cache" / "tagscope") / "bundles"


def is_bundle(path: Path) -> bool:
    """Whether a folder is a bundle, by its ``bundle.json``."""
    return (path / "bundle.json").is_file()


@dataclass(frozen=True)
class KnownBundles:
    """A folder of bundles, and a list of those opened from elsewhere."""

    folder: Path

    @property
    def _list(self) -> Path:
        return self.folder / "recent.json"

    def paths(self) -> tuple[Path, ...]:
        """Those that are still there: opened ones first, latest first, then trained ones."""
        trained = sorted(self.folder.glob("*/bundle.json"), key=lambda p: -p.stat().st_mtime)
        found = [*self._remembered(), *(path.parent for path in trained)]
        return tuple(path for path in dict.fromkeys(found) if is_bundle(path))

    def remember(self, path: Path) -> None:
        """Put a bundle first in the list."""
        path = path.absolute()
        kept = [p for p in self._remembered() if p != path][: LONGEST_LIST - 1]
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self._list.with_suffix(".json.new")
        beside.write_text(json.dumps([str(p) for p in [path, *kept]]))
        beside.replace(self._list)

    def free_name(self, name: str) -> Path:
        """A folder for a new bundle that nothing is in the way of."""
        word = "".join(c if c.isalnum() or c in "-_" else "-" for c in name).strip("-") or "bundle"
        candidates = (
            self.folder / (word if n == 1 else f"{word}-{n}") for n in range(1, 1_000_000)
        )
        return next(path for path in candidates if not path.exists())

    def _remembered(self) -> list[Path]:
        try:
            return [Path(entry) for entry in json.loads(self._list.read_text())]
        except (FileNotFoundError, ValueError):
            return []
