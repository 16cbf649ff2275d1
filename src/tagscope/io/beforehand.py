"""What can be known of a save before the result is computed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tagscope.errors import OutputError
from tagscope.io.atomic import refuse_existing
from tagscope.io.lock import locked
from tagscope.io.readers import OpenedSection
from tagscope.io.store import refuse_part, target_of


def refuse_beforehand(
    opened: OpenedSection, out: Path | str, *, size: int, overwrite: bool = False
) -> None:
    """Refuse what would be refused once the result is there, an hour later.

    ``size``: bytes that the result takes at least.

    Raises
    ------
    ArgumentError
        If results for a part of a table would go in place.
    OutputError
        If nothing can be written to ``out``, something is there, another process writes there, or
        there is clearly not enough room.
    """
    source, target = opened.source, target_of(opened.source, out)
    in_place = target == Path(os.path.realpath(source.path))
    if in_place and source.rows is not None:
        refuse_part(opened.table.n_obs, source.rows)
    if not (in_place or overwrite):
        refuse_existing(target)
    with locked(target):  # makes a file there, and so tells whether one may
        free = shutil.disk_usage(target.parent).free
    needed = size + (0 if overwrite else _copied(opened, target, in_place))
    if free < needed:
        raise OutputError(
            f"{target} needs at least {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free.",
            "The new file is whole before it takes the place of an old one.",
            "Free some space, or write elsewhere.",
            {"out": None},
        )


def _copied(opened: OpenedSection, target: Path, in_place: bool) -> int:
    """Bytes of the section that are certainly copied, and how many they are at least."""
    path, kind = opened.source.path, opened.source.kind
    if kind == "h5ad" and (in_place or target.suffix == ".h5ad"):
        whole = opened.table.n_obs == opened.source.rows
        return path.stat().st_size // 2 if whole else 0  # there may be gaps in it
    if kind != "spatialdata" or in_place or target.suffix == ".h5ad":
        return 0
    elements = (entry for entry in path.iterdir() if entry.is_dir() and entry.name != "tables")
    files = (file for element in elements for file in element.rglob("*") if file.is_file())
    return sum(file.stat().st_size for file in files)
