"""A result that could not be written where it should go is kept where it can."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from tagscope.errors import OutputError
from tagscope.io.conversion import keep_coordinates
from tagscope.io.readers import OpenedSection
from tagscope.io.store import write_table
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from anndata import AnnData


def keep_elsewhere(
    opened: OpenedSection,
    write: Callable[[AnnData], None],
    key: str,
    *,
    context: JobContext | None = None,
) -> Path | None:
    """Write the opened table with a result into ``<section>-<key>.h5ad``, a section like any other.

    It goes into the current folder, else into that of temporary files; None where neither takes it.
    The section is not read again, and nothing there is replaced.
    """
    table = _copy(opened)
    write(table)
    for folder in _folders():
        with suppress(OutputError):
            out = _free_name(folder / f"{opened.source.path.stem}-{key}.h5ad")
            write_table(table, out, context=context)
            return out
    return None


def _folders() -> Iterator[Path]:
    with suppress(OSError):  # the current folder may have been removed
        yield Path.cwd()
    yield Path(tempfile.gettempdir())


def _free_name(path: Path) -> Path:
    names = (path if n == 1 else path.with_stem(f"{path.stem}-{n}") for n in count(1))
    return next(name for name in names if not name.exists())


def _copy(opened: OpenedSection) -> AnnData:
    """The table with slots of its own, which hold the same arrays."""
    from anndata import AnnData

    table, section = opened.table, opened.section
    frames = {"obs": table.obs.copy(), "var": table.var.copy(), "uns": dict(table.uns)}
    groups = {name: dict(getattr(table, name)) for name in ("layers", "obsm", "varm")}
    copy = AnnData(table.X, **frames, **groups)
    if opened.source.kind != "h5ad":
        keep_coordinates(copy, section.own_xy, section.unit, opened.source.technology)
    return copy
