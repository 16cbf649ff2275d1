"""Which part of a store is damaged, named so that one knows what to copy again."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from tagscope.errors import InputError
from tagscope.io.compare import blocks
from tagscope.io.findings import Finding, listed
from tagscope.io.h5ad import READ_ERRORS, quietly
from tagscope.io.masks import levels_of

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

_PICTURES = ("images", "labels")
_QUICK = 1 << 22  # pixels of a picture that are read while a section is opened
_BLOSC_HEADER = 16  # bytes; the last four are the chunk's length
_FEW = 64  # chunks of a picture's level that are looked at
_NEEDED = "A complete SpatialData store is needed."
_COPY = "Copy or download it again."


def missing_pieces(path: Path, name: str) -> tuple[Finding, ...]:
    """Chunks of a table that are not on disk and should be.

    zarr reads a missing chunk as zeros and says nothing. In a sparse matrix none is all zero, so
    that each must be there; of other numbers it may be, and only a fraction is worth a warning:
    coordinates, embeddings and measurements are hardly ever zero for so many cells on end.
    """
    import zarr

    group = zarr.open_group(path / "tables" / name, mode="r")
    matrices = ("X", *_names(group, "layers"), "raw/X")
    lost = [matrix for matrix in matrices if _lacks_chunks(group, matrix)]
    doubtful = [
        place
        for place in (*_names(group, "obs"), *_names(group, "obsm"))
        if _is_measured(group[place]) and _lacks(group[place])
    ]
    return (*_lost(path, name, lost), *_doubtful(name, doubtful))


def refuse_broken_matrices(table: AnnData, path: Path) -> None:
    """Refuse sparse matrices whose parts contradict each other: scipy would crash or guess.

    Raises
    ------
    InputError
        If there is one.
    """
    raw = {} if table.raw is None else {"raw": table.raw.X}
    layers = {f"layers[{name!r}]": matrix for name, matrix in table.layers.items()}
    for name, matrix in {"X": table.X, **layers, **raw}.items():
        if sp.issparse(matrix) and (problem := _contradiction(matrix)):
            raise InputError(
                f"{name} in {path} contradicts itself ({problem}).",
                "A matrix that is whole is needed: its metadata or a piece of it is damaged.",
                _COPY,
            )


def unreadable_array(group: Any) -> str | None:
    """The first array under a zarr group that cannot be read to its end, and why."""
    for name in group:
        try:
            node = group[name]
            if not hasattr(node, "shape"):
                if found := unreadable_array(node):
                    return found
            elif node.shape:
                for block in blocks(node):
                    node[block]
        except READ_ERRORS as error:
            return f"{group.name.strip('/')}/{name}".strip("/") + f": {error}"
    return None


def short_chunk(folder: Path, most: float = math.inf) -> str | None:
    """The first array under a zarr group of which a chunk is shorter than its header says.

    Only arrays of at most ``most`` chunks are looked at. Blosc, with which zarr 2 compresses,
    reads on behind the end of such a chunk and says nothing.
    """
    import zarr

    with quietly(), suppress(*READ_ERRORS):
        group = zarr.open_group(folder, mode="r", use_consolidated=False)
        for path, node in group.members(max_depth=None):
            if _is_blosc(node, most) and _is_cut(folder / path):
                return str(path)
    return None


def drop_unreadable_pictures(store: SpatialData, path: Path) -> tuple[Finding, ...]:
    """Leave images and labels out whose smallest level cannot be read; larger ones are lazy."""
    found = []
    for kind in _PICTURES:
        elements = getattr(store, kind)
        for name in list(elements):
            short = short_chunk(path / kind / name, _FEW)
            why = f"a piece of level {short} is cut short" if short else ""
            if why := why or _why_unreadable(elements[name]):
                with quietly():
                    del elements[name]
                found.append(unreadable(f"{kind}/{name}", why))
    return tuple(found)


def unreadable(place: str, why: str) -> Finding:
    """An element that is left out."""
    return Finding(
        "warning",
        "damaged-element",
        f"{place} cannot be read ({why}).",
        "It is left out.",
        "Copy the store again if you need it.",
    )


def _is_blosc(node: Any, most: float) -> bool:
    if not hasattr(node, "shape") or node.shards is not None or node.nchunks > most:
        return False
    return any("blosc" in str(compressor).lower() for compressor in node.compressors)


def _is_cut(folder: Path) -> bool:
    for place, _, names in os.walk(folder):
        for name in names:
            if not name.startswith(".z") and name != "zarr.json":
                with open(os.path.join(place, name), "rb") as chunk:
                    head = chunk.read(_BLOSC_HEADER)
                    size = os.fstat(chunk.fileno()).st_size
                if len(head) < _BLOSC_HEADER or size < int.from_bytes(head[-4:], "little"):
                    return True
    return False


def _lost(path: Path, table: str, places: list[str]) -> Iterator[Finding]:
    if places:
        what = f"pieces of {listed(places)} are missing"
        found = f"The table {table!r} in {path} is incomplete: {what}."
        yield Finding("error", "damaged-table", found, _NEEDED, _COPY)


def _doubtful(table: str, places: list[str]) -> Iterator[Finding]:
    if places:
        yield Finding(
            "warning",
            "missing-chunks",
            f"Pieces of {listed(places)} in the table {table!r} are not on disk.",
            "They are read as zeros, which is right only if all values there are zero.",
            "Look at the values; copy or download the store again if they should not be zero.",
        )


def _lacks_chunks(group: Any, matrix: str) -> bool:
    if any(f"{matrix}/{part}" not in group for part in ("data", "indices", "indptr")):
        return False
    several = group[f"{matrix}/indices"].shape[0] > group[matrix].attrs["shape"][0]
    parts = ("data", "indices", "indptr") if several else ("data", "indptr")
    return any(_lacks(group[f"{matrix}/{part}"]) for part in parts)


def _lacks(array: Any) -> bool:
    return bool(array.nchunks_initialized < array.nchunks)


def _is_measured(node: Any) -> bool:
    return hasattr(node, "shape") and bool(node.shape) and node.dtype.kind == "f"


def _names(group: Any, place: str) -> tuple[str, ...]:
    return tuple(f"{place}/{name}" for name in group[place]) if place in group else ()


def _contradiction(matrix: Any) -> str:
    kinds = matrix.data.dtype.kind, matrix.indices.dtype.kind, matrix.indptr.dtype.kind
    if kinds[0] not in "biufc" or not {*kinds[1:]} <= set("iu"):
        return f"values, columns and row starts are {matrix.data.dtype}, " + (
            f"{matrix.indices.dtype} and {matrix.indptr.dtype}"
        )
    try:
        matrix.check_format(full_check=True)
    except ValueError as error:
        return str(error)
    return ""


def _why_unreadable(element: Any) -> str:
    level = levels_of(element)[-1]
    if level.size > _QUICK:
        return ""
    try:
        np.asarray(level.data)
    except READ_ERRORS as error:
        return f"{type(error).__name__}: {error}"
    return ""
