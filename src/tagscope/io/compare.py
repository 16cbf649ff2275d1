"""Whether a value is what lies on disk, block by block: neither side is held in memory twice."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from tagscope.io.h5ad import quietly

BLOCK = 1 << 24  # bytes that are compared or written at a time
SPARSE_PARTS = ("data", "indices", "indptr")

Step = Callable[[int], None]
"""Hears of every block, by its bytes; may raise to stop."""

Same = Callable[[Any, Any, Step], bool]
"""Whether two arrays are the same."""


def is_stored(value: Any, node: Any, step: Step) -> bool:
    """Whether a zarr or HDF5 ``node`` holds ``value``, which is in memory.

    Numbers are equal where their types are equal too, missing values are equal to each other, and
    texts are equal whatever their storage.
    """
    from anndata import Raw
    from anndata.io import read_elem

    if sp.issparse(value):
        return _is_stored_sparse(value, node, step)
    if is_numeric(value):
        return hasattr(node, "shape") and same_blocks(value, node, step)
    if isinstance(value, Raw):
        return is_stored(value.X, node["X"], step) and is_stored(value.var, node["var"], step)
    with quietly():
        return _same(value, read_elem(node))


def is_numeric(value: Any) -> bool:
    """Whether a value is a plain array of numbers."""
    return type(value) is np.ndarray and value.dtype.kind in "biufc"


def first_unlike_copy(
    source: Any, target: Any, skipped: Collection[str], step: Step, same: Same
) -> str | None:
    """The first path of a group whose array is not the same in its copy, but for ``skipped``."""
    for name in source:
        node = source[name]
        if node.name in skipped:
            continue
        if name not in target:
            return str(node.name)
        if hasattr(node, "shape"):
            if not same(node, target[name], step):
                return str(node.name)
        elif unlike := first_unlike_copy(node, target[name], skipped, step, same):
            return unlike
    return None


def nbytes_of(node: Any) -> int:
    """Bytes of all arrays under a zarr or HDF5 node, unpacked."""
    if hasattr(node, "shape"):
        return int(node.nbytes) if node.shape else 0
    sizes: list[int] = [nbytes_of(node[name]) for name in node]
    return sum(sizes)


def same_blocks(one: Any, other: Any, step: Step) -> bool:
    """Whether two arrays, in memory or on disk, hold the same."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not one.shape:
        return _same_arrays(one[()], other[()])
    for block in blocks(one):
        if not _same_arrays(one[block], other[block]):
            return False
        step(_bytes_in(one, block))
    return True


def blocks(array: Any, chunk: int = 1) -> Iterator[slice]:
    """Slices of rows of about :data:`BLOCK` bytes, and of whole chunks of so many rows."""
    rows = max(1, BLOCK // row_bytes(array) // chunk) * chunk
    for start in range(0, array.shape[0], rows):
        yield slice(start, min(start + rows, array.shape[0]))


def row_bytes(array: Any) -> int:
    """Bytes in a row of an array, at least 1."""
    size: int = math.prod(array.shape[1:]) * array.dtype.itemsize
    return max(1, size)


def _bytes_in(array: Any, block: slice) -> int:
    rows: int = block.stop - block.start
    return rows * row_bytes(array)


def _is_stored_sparse(value: Any, node: Any, step: Step) -> bool:
    return (
        node.attrs.get("encoding-type") == f"{value.format}_matrix"
        and tuple(node.attrs["shape"]) == value.shape
        and all(same_blocks(getattr(value, part), node[part], step) for part in SPARSE_PARTS)
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return set(map(str, one)) == set(map(str, other)) and all(
            _same(one[key], other[str(key)]) for key in one
        )
    if isinstance(one, pd.DataFrame) and isinstance(other, pd.DataFrame):
        return _same_frames(one, other)
    if sp.issparse(one) and sp.issparse(other):
        return one.format == other.format and all(
            _same_arrays(getattr(one, part), getattr(other, part)) for part in SPARSE_PARTS
        )
    if isinstance(one, pd.Categorical) and isinstance(other, pd.Categorical):
        return (
            one.ordered == other.ordered
            and np.array_equal(one.codes, other.codes)
            and _same_arrays(one.categories, other.categories)
        )
    return _same_arrays(one, other)


def _same_frames(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    return (
        list(map(str, one.index)) == list(map(str, other.index))
        and list(one.columns) == list(other.columns)
        and all(_same(one[name].values, other[name].values) for name in one.columns)
    )


def _same_arrays(one: Any, other: Any) -> bool:
    first, second = np.asarray(one), np.asarray(other)
    if first.shape != second.shape:
        return False
    kinds = first.dtype.kind + second.dtype.kind
    if set(kinds) <= set("biufc"):
        missing = kinds in ("ff", "cc")
        return first.dtype == second.dtype and bool(
            np.array_equal(first, second, equal_nan=missing)
        )
    if first.dtype.names and second.dtype.names:
        return first.dtype.names == second.dtype.names and all(
            _same_arrays(first[name], second[name]) for name in first.dtype.names
        )
    first, second = first.astype(object), second.astype(object)
    missing = pd.isna(first)
    if not np.array_equal(missing, pd.isna(second)):
        return False
    return bool(np.all(first[~missing] == second[~missing]))
