"""Lists of names in plain text, one a line: cells, genes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tagscope.errors import InputError
from tagscope.io.atomic import written_whole

# beside NAME.csv, NAME.background.txt lists the genes that could have been in it
BACKGROUND_SUFFIX = ".background.txt"


def read_text(path: Path | str, needed: str) -> str:
    """The text of a file, a byte-order mark left out.

    Raises
    ------
    InputError
        If it is not there or no text; ``needed`` says what it should hold.
    """
    path = Path(path)
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise InputError(f"{path} cannot be read: {reason}.", needed, "Check the path.") from error


def read_names(path: Path | str) -> tuple[str, ...]:
    """The names of a file, one a line; empty lines count for nothing.

    Raises
    ------
    InputError
        If it cannot be read, or holds none.
    """
    needed = "A text file with one name a line is needed."
    lines = read_text(path, needed).splitlines()
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise InputError(f"{path} is empty.", needed, "Check how it was written.")
    return names


def write_names(path: Path | str, names: Iterable[str], *, overwrite: bool = False) -> Path:
    """Write names, one a line; the file appears whole or not at all."""
    path = Path(path)
    with written_whole(path, overwrite=overwrite) as beside:
        beside.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return path
