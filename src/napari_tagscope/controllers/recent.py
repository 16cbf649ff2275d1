"""Sections opened before, in a list that survives restarts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LONGEST_LIST = 20


@dataclass(frozen=True)
class RecentSection:
    """Where a section lies, and the choices it was opened with."""

    path: Path
    choices: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RecentSections:
    """A list of sections in a file, the one opened last first."""

    file: Path

    def entries(self) -> tuple[RecentSection, ...]:
        """Those in the list, whether they are still there or not."""
        return tuple(
            RecentSection(Path(entry["path"]), entry["choices"])
            for entry in read_list(self.file)
            if isinstance(entry, dict) and {"path", "choices"} <= entry.keys()
        )

    def remember(self, path: Path, choices: Mapping[str, Any]) -> None:
        """Put a section first in the list."""
        path = path.absolute()
        kept = [entry for entry in self.entries() if entry.path != path]
        self._write((RecentSection(path, dict(choices)), *kept))

    def forget(self, path: Path) -> None:
        """Take a section off the list."""
        self._write([entry for entry in self.entries() if entry.path != path])

    def _write(self, entries: Sequence[RecentSection]) -> None:
        """A list that cannot be kept is no reason not to open a section."""
        with suppress(OSError):
            write_list(
                self.file,
                [{"path": str(entry.path), "choices": entry.choices} for entry in entries],
            )


def read_list(file: Path) -> list[Any]:
    """The entries of a list, none where there is no readable one."""
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return []
    return found if isinstance(found, list) else []


def write_list(file: Path, entries: Sequence[Any]) -> None:
    """Put a list of at most ``LONGEST_LIST`` entries in place of the one before, in one step."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".json.new")
    beside.write_text(json.dumps(list(entries[:LONGEST_LIST]), default=str))
    beside.replace(file)
