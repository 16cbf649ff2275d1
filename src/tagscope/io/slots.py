"""A table on disk, slot by slot: opened without its matrices, and written where it has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import scipy.sparse as sp

from tagscope.io import hdf5
from tagscope.io.compare import (
    SPARSE_PARTS,
    Step,
    blocks,
    is_numeric,
    is_stored,
    row_bytes,
)
from tagscope.io.h5ad import quietly

if TYPE_CHECKING:
    from anndata import AnnData

Slot = tuple[str, str]
"""A group of a table ("obs", "layers", …; "" for the table itself) and a name in it."""

ALL_CHUNKS = "tagscope_all_chunks"
"""Attribute of a zarr node of which no chunk was left out, as zarr else does where all are zero."""

_FRAMES = ("obs", "var")
_MAPPINGS = ("layers", "obsm", "varm", "obsp", "varp", "uns")
_SPARSE = ("csr_matrix", "csc_matrix")
_CURRENT = {"": ("anndata", "0.1.0"), "obs": ("dataframe", "0.2.0"), "var": ("dataframe", "0.2.0")}
_CHUNK = 1 << 20  # bytes of a chunk before compression
_WHOLE = 1 << 22  # bytes of a value that is written in one go


@dataclass(frozen=True)
class Changes:
    """What a table holds that is not on disk, and what is on disk that it no longer holds."""

    written: dict[Slot, Any]
    removed: tuple[Slot, ...]

    @property
    def slots(self) -> frozenset[Slot]:
        """All that is not the same on disk."""
        return frozenset((*self.written, *self.removed))

    @property
    def size(self) -> int:
        """Bytes to write."""
        return sum(_size(value) for value in self.written.values())


def is_current(group: Any) -> bool:
    """Whether a table is stored the way anndata stores tables since version 0.8."""
    nodes = {name: group[name] if name else group for name in _CURRENT if not name or name in group}
    return all(
        (node.attrs.get("encoding-type"), node.attrs.get("encoding-version")) == _CURRENT[name]
        for name, node in nodes.items()
    )


def open_table(group: Any) -> AnnData:
    """A table with ``obs``, ``var`` and ``uns`` in memory and its matrices on disk, without raw."""
    from anndata import AnnData
    from anndata.io import read_elem

    with quietly():
        frames = {name: read_elem(group[name]) for name in (*_FRAMES, "uns") if name in group}
        matrices = {
            name: {key: _opened(group[name][key]) for key in group[name]}
            for name in _MAPPINGS
            if name != "uns" and name in group
        }
        values = _opened(group["X"]) if "X" in group else None
        return AnnData(values, **frames, **matrices)


def untouched(table: AnnData) -> dict[Slot, Any]:
    """What of a table just opened cannot be edited, only replaced: matrices on disk, and ids."""
    ids = {("obs", _index_name(table.obs)), ("var", _index_name(table.var))}
    return {slot: value for slot, value in _slots(table) if slot in ids or _is_on_disk(value)}


def slots_of(table: AnnData) -> dict[Slot, Any]:
    """Everything in a table by its slot; indices of frames under the name they are stored by."""
    return dict(_slots(table))


def changes(table: AnnData, group: Any, kept: Mapping[Slot, Any], step: Step) -> Changes:
    """How a table differs from a stored one.

    ``kept`` is what was :func:`untouched` when the table was opened from ``group``: while a slot
    holds the very same object it has not changed. All others are compared with what is stored.
    """
    held = slots_of(table)
    written = {
        slot: _in_memory(value)
        for slot, value in held.items()
        if not (slot in kept and kept[slot] is value) and not _is_in(group, slot, value, step)
    }
    return Changes(written, tuple(sorted(set(_stored(group)) - held.keys())))


def write_changes(group: Any, table: AnnData, changed: Changes, step: Step) -> None:
    """Add to a stored table what has changed and is not there; an empty group becomes a table."""
    _require_groups(group, table)
    for (place, name), value in changed.written.items():
        parent = group[place] if place else group
        with _all_chunks(parent, name):
            _write_slot(parent, name, value, step)
    for place in {place for place, _ in changed.slots} & set(_FRAMES):
        _describe_frame(group[place], getattr(table, place))


@contextmanager
def _all_chunks(parent: Any, name: str) -> Iterator[None]:
    """Have every chunk of a zarr node written, so that a missing one can be told."""
    if hdf5.is_group(parent):
        yield
        return
    import zarr

    with zarr.config.set({"array.write_empty_chunks": True}):
        yield
    parent[name].attrs[ALL_CHUNKS] = True


def _write_slot(parent: Any, name: str, value: Any, step: Step) -> None:
    from anndata.io import write_elem

    if _size(value) > _WHOLE and (sp.issparse(value) or is_numeric(value)):
        _write_in_blocks(parent, name, value, step)
        return
    packing = hdf5.PACKING if hdf5.is_group(parent) else {}  # zarr compresses by itself
    with quietly():
        write_elem(parent, name, value, dataset_kwargs=packing)
    step(_size(value))


def first_unlike(group: Any, changed: Changes, step: Step) -> str | None:
    """The first of the changes that cannot be read back from a stored table."""
    for slot, value in changed.written.items():
        if not _is_in(group, slot, value, step):
            return name_of(slot)
    return next((name_of(slot) for slot in changed.removed if _node(group, slot) is not None), None)


def name_of(slot: Slot) -> str:
    """A slot as one writes it in Python."""
    place, name = slot
    return f"{place}[{name!r}]" if place else name


def _slots(table: AnnData) -> Iterator[tuple[Slot, Any]]:
    if table.X is not None:
        yield ("", "X"), table.X
    for place in _FRAMES:
        frame = getattr(table, place)
        yield (place, _index_name(frame)), frame.index.values
        for column in frame.columns:
            yield (place, column), frame[column].values
    for place in _MAPPINGS:
        for name, value in getattr(table, place).items():
            yield (place, name), value
    if table.raw is not None:
        yield ("", "raw"), table.raw


def _stored(group: Any) -> Iterator[Slot]:
    for place in (*_FRAMES, *_MAPPINGS):
        for name in group.get(place, ()):
            if name != "__categories":
                yield place, name
    if "X" in group:
        yield "", "X"


def _node(group: Any, slot: Slot) -> Any:
    place, name = slot
    parent = group.get(place) if place else group
    return None if parent is None or name not in parent else parent[name]


def _is_in(group: Any, slot: Slot, value: Any, step: Step) -> bool:
    node = _node(group, slot)
    return node is not None and is_stored(_in_memory(value), node, step)


def _opened(node: Any) -> Any:
    from anndata.io import read_elem, sparse_dataset

    encoding = node.attrs.get("encoding-type")
    if encoding in _SPARSE:
        return sparse_dataset(node)
    return node if encoding == "array" else read_elem(node)


def _is_on_disk(value: Any) -> bool:
    from anndata.abc import CSCDataset, CSRDataset

    return (
        isinstance(value, CSCDataset | CSRDataset)
        or hasattr(value, "read_direct")
        or (hasattr(value, "store_path"))
    )


def _in_memory(value: Any) -> Any:
    if not _is_on_disk(value):
        return value
    return value.to_memory() if hasattr(value, "to_memory") else value[...]


def _index_name(frame: pd.DataFrame) -> str:
    return "_index" if frame.index.name is None else str(frame.index.name)


def _require_groups(group: Any, table: AnnData) -> None:
    """What every table has, as anndata makes it."""
    from anndata.io import write_elem

    group.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    with quietly():
        for place in _FRAMES:
            if place not in group:
                write_elem(group, place, getattr(table, place).iloc[:, :0])
        for place in _MAPPINGS:
            if place not in group:
                write_elem(group, place, {})


def _describe_frame(group: Any, frame: pd.DataFrame) -> None:
    group.attrs["column-order"] = [str(column) for column in frame.columns]
    group.attrs["_index"] = _index_name(frame)


def _write_in_blocks(parent: Any, name: str, value: Any, step: Step) -> None:
    """A large matrix in anndata's encoding, with a step after every block."""
    if sp.issparse(value):
        group = parent.create_group(name)
        group.attrs.update(
            {
                "encoding-type": f"{value.format}_matrix",
                "encoding-version": "0.1.0",
                "shape": list(value.shape),
            }
        )
        for part in SPARSE_PARTS:
            _write_array(group, part, getattr(value, part), step)
    else:
        array = _write_array(parent, name, value, step)
        array.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})


def _write_array(parent: Any, name: str, values: Any, step: Step) -> Any:
    rows = min(len(values), max(1, _CHUNK // row_bytes(values))) or 1
    if hdf5.is_group(parent):
        return hdf5.write_array(parent, name, values, rows, step)
    chunks = (rows, *values.shape[1:])
    array = parent.create_array(name, shape=values.shape, dtype=values.dtype, chunks=chunks)
    for block in blocks(values, rows):
        array[block] = values[block]
        step(values[block].nbytes)
    return array


def _size(value: Any) -> int:
    if sp.issparse(value):
        return sum(int(getattr(value, part).nbytes) for part in SPARSE_PARTS)
    return int(getattr(value, "nbytes", 0))
