"""What the files of a table looked like when it was read, to notice somebody else's change."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tagscope.errors import OutputError

State = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds."""


class Fingerprint:
    """Names, sizes and times of change of a file, or of all files of a folder.

    Nothing is read: a folder of 10,000 chunks takes about 0.1 s.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = _files_of(path)

    def refuse_change(self) -> None:
        """Raise where the files are not what they were.

        Raises
        ------
        OutputError
            If a file was changed, added or removed.
        """
        now = _files_of(self._path)
        if now == self._files:
            return
        names = sorted(n for n in {*now, *self._files} if now.get(n) != self._files.get(n))
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise OutputError(
            f"{self._path} has been changed by another program since it was opened "
            f"({names[0]}{more}).",
            "Results are added only to what was opened, so that the other program loses nothing.",
            "Open the section again and write then, or write to another path.",
            {"out": None},
        )

    def renew(self) -> None:
        """Take the files as they are now for known: the change was one's own."""
        self._files = _files_of(self._path)


def _files_of(path: Path) -> dict[str, State]:
    if not path.is_dir():
        found = path.stat() if path.exists() else None
        return {} if found is None else {path.name: (found.st_size, found.st_mtime_ns)}
    return dict(_walk(path, ""))


def _walk(folder: Path | str, prefix: str) -> Iterator[tuple[str, State]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _walk(entry.path, f"{prefix}{entry.name}/")
            else:
                found = entry.stat()
                yield f"{prefix}{entry.name}", (found.st_size, found.st_mtime_ns)
