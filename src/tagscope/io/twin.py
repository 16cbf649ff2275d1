"""A twin of a store: the same files under other names, so that only what changes is written."""

from __future__ import annotations

import errno
import os
import re
import shutil
import warnings
from collections.abc import Callable, Collection
from pathlib import Path

_METADATA = frozenset({"zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata"})
_REMAINS = re.compile(r"\..*\.(partial|replaced)-")
_NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP})

Transfer = Callable[[Path, Path], None]


def mirror(
    source: Path,
    target: Path,
    *,
    skipped: Collection[Path],
    transfer: Transfer,
    step: Callable[[], None],
) -> None:
    """Repeat a folder, but for ``skipped`` and the remains of interrupted writes.

    Metadata may be written again in the twin and is therefore always copied.
    """
    target.mkdir()
    step()
    with os.scandir(source) as entries:
        for entry in entries:
            origin, copy = Path(entry.path), target / entry.name
            if origin in skipped or _REMAINS.match(entry.name):
                continue
            if entry.is_dir(follow_symlinks=transfer is copied):
                mirror(origin, copy, skipped=skipped, transfer=transfer, step=step)
            elif entry.name in _METADATA:
                copied(origin, copy)
            else:
                transfer(origin, copy)


def copied(source: Path, target: Path) -> None:
    """The content alone: a copy of a read-only file may be written."""
    shutil.copyfile(source, target)


def linked(source: Path, target: Path) -> None:
    """One more name for the same bytes, or a copy where the file system has no such thing."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copy2(source, target, follow_symlinks=False)


def consolidate(source: Path, store: Path, groups: Collection[str]) -> None:
    """Renew the lists of metadata that the store and ``groups`` in it had, innermost first."""
    import zarr

    for name in sorted(groups, key=len, reverse=True):
        before = zarr.open_group(source / name, mode="r")
        if before.metadata.consolidated_metadata is None:
            continue
        group = zarr.open_group(store / name, mode="r+", use_consolidated=False)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*not recognized as a component of a Zarr")
            warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
            zarr.consolidate_metadata(group.store)
