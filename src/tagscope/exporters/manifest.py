"""``manifest.json``: how the files beside it came to be."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagscope.core.keys import PROVENANCE
from tagscope.core.provenance import installed_versions
from tagscope.errors import OutputError
from tagscope.io.atomic import written_whole

if TYPE_CHECKING:
    from anndata import AnnData

NAME = "manifest.json"
_FORMAT = "tagscope-manifest"


def sha256_of(path: Path) -> str:
    """sha256 of a file's content, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder, or a fresh one.

    Raises
    ------
    OutputError
        If a ``manifest.json`` of something else lies there: it is not ours to change.
    """
    path = folder / NAME
    if not path.exists():
        return {"format": _FORMAT, "format_version": 1, "files": {}}
    try:
        found = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError):
        found = None
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        raise OutputError(
            f"{path} is there and was not written by TAGscope.",
            "A manifest is written beside every exported file.",
            "Choose a folder of its own for the export.",
        )
    return found


def write_manifest(
    out: Path, kind: str, source: Path, table: AnnData, options: dict[str, Any]
) -> None:
    """Add the file ``out`` to the manifest of its folder; other exports there stay listed.

    The entry holds the file's sha256 and size, the format and its options, the store it was made
    from, and every provenance record that the table carries.
    """
    manifest = read_manifest(out.parent)
    records = dict(table.uns.get(PROVENANCE, {}))
    manifest["files"][out.name] = {
        "sha256": sha256_of(out),
        "bytes": out.stat().st_size,
        "format": kind,
        "options": options,
        "source": str(source),
        "cells": table.n_obs,
        "versions": installed_versions(),
        "provenance": {key: json.loads(str(record)) for key, record in records.items()},
    }
    with written_whole(out.parent / NAME, overwrite=True) as beside:
        beside.write_text(json.dumps(manifest, indent=2, sort_keys=True, default=str) + "\n")
