"""Which part of a store is damaged, named so that one knows what to copy again."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from tagscope.errors import InputError
from tagscope.io.compare import blocks
from tagscope.io.findings import Finding, listed
from tagscope.io.h5ad import READ_ERRORS, quietly
from tagscope.io.masks import levels_of
from tagscope.io.slots import ALL_CHUNKS

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

_PICTURES = ("images", "labels")
_QUICK = 1 << 22  # pixels of a picture that are read while a section is opened
_BLOSC_HEADER = 16  # bytes; the last four are the chunk's length
_FEW = 64  # chunks of a picture's level that are looked at
_NEEDED = "A complete SpatialData store or .h5ad is needed."
_COPY = "Copy or download it again."


def missing_pieces(path: Path, name: str | None) -> tuple[Finding, ...]:
    """Chunks of a store's table, or of an ``.h5ad``, that are not on disk and should be.

    They are read as zeros, and nothing is said. In a sparse matrix none is all zero, so that each
    must be there; and so must those of a slot that was written with all of them. Of other numbers
    they may be left out, and only of measurements it is worth a warning: coordinates, embeddings
    and counts are hardly ever zero for so many cells on end.
    """
    with _opened(path, name) as group:
        matrices = ("X", *_names(group, "layers"), "raw/X")
        lost = [matrix for matrix in matrices if _lacks_chunks(group, matrix)]
        slots = [*_names(group, "obs"), *_names(group, "obsm"), *_names(group, "layers"), "X"]
        others = [slot for slot in slots if slot in group and slot not in lost]
        broken = [slot for slot in others if _is_incomplete(group[slot])]
        doubtful = [
            slot
            for slot in others
            if slot not in broken and _is_measured(group[slot]) and _lacks(group[slot])
        ]
    place = str(path) if name is None else f"the table {name!r}"
    whole = place if name is None else f"{place} in {path}"
    return (*_lost(whole, lost), *_broken(place, broken), *_doubtful(place, doubtful))


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


@contextmanager
def _opened(path: Path, name: str | None) -> Iterator[Any]:
    """The group of a store's table, or that of an ``.h5ad``."""
    import h5py  # type: ignore[import-untyped]
    import zarr

    if name is None:
        with h5py.File(path, "r") as file:
            yield file
    else:
        yield zarr.open_group(path / "tables" / name, mode="r")


def _lost(whole: str, places: list[str]) -> Iterator[Finding]:
    if places:
        what = f"pieces of {listed(places)} are missing"
        found = f"{whole[0].upper()}{whole[1:]} is incomplete: {what}."
        yield Finding("error", "damaged-table", found, _NEEDED, _COPY)


def _broken(place: str, places: list[str]) -> Iterator[Finding]:
    if places:
        yield Finding(
            "warning",
            "missing-chunks",
            f"Pieces of {listed(places)} in {place} are missing.",
            "They are read as zeros, and the first label, which is wrong.",
            "Copy or download it again, or annotate again.",
        )


def _doubtful(place: str, places: list[str]) -> Iterator[Finding]:
    if places:
        yield Finding(
            "warning",
            "missing-chunks",
            f"Pieces of {listed(places)} in {place} are not on disk.",
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
    if hasattr(array, "nchunks_initialized"):
        return bool(array.nchunks_initialized < array.nchunks)
    if not array.chunks:
        return False
    sides = zip(array.shape, array.chunks, strict=True)
    return bool(array.id.get_num_chunks() < math.prod(-(-side // chunk) for side, chunk in sides))


def _is_incomplete(node: Any) -> bool:
    """Whether a slot that was written with all its chunks lacks one."""
    if not node.attrs.get(ALL_CHUNKS):
        return False
    arrays = [node] if hasattr(node, "shape") else [part for _, part in node.members(None)]
    return any(_lacks(array) for array in arrays if hasattr(array, "shape"))


def _is_measured(node: Any) -> bool:
    return hasattr(node, "shape") and (node.dtype.kind == "f" or len(node.shape) > 1)


def _names(group: Any, place: str) -> tuple[str, ...]:
    slots = group.get(place)
    return tuple(f"{place}/{name}" for name in slots) if hasattr(slots, "keys") else ()


def _contradiction(matrix: Any) -> str:
    kinds = matrix.data.dtype.kind, matrix.indices.dtype.kind, matrix.indptr.dtype.kind
    if kinds[0] not in "biufc" or not {*kinds[1:]} <= set("iu"):
        return f"values, columns and row starts are {matrix.data.dtype}, " + (
            f"{matrix.indices.dtype} and {matrix.indptr.dtype}"
        )
    if matrix.indptr[0] != 0 or (np.diff(matrix.indptr) < 0).any():  # scipy lets some of this pass
        return "row starts do not rise from 0 on"
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
