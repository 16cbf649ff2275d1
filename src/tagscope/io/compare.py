"""Whether two tables hold the same, slot by slot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

if TYPE_CHECKING:
    from anndata import AnnData

_MAPPINGS = ("layers", "obsm", "varm", "obsp", "varp")


def first_difference(one: AnnData, other: AnnData) -> str | None:
    """The first slot in which two tables differ, None where they are the same."""
    return next(_differences(one, other), None)


def _differences(one: AnnData, other: AnnData) -> Iterator[str]:
    for name in ("obs", "var"):
        yield from _frames(name, getattr(one, name), getattr(other, name))
    if not _same(one.X, other.X):
        yield "X"
    for name in _MAPPINGS:
        yield from _mappings(name, getattr(one, name), getattr(other, name))
    yield from _mappings("uns", one.uns, other.uns)
    raws = (one.raw, other.raw)
    if (raws[0] is None) != (raws[1] is None) or (raws[0] and not _same(raws[0].X, raws[1].X)):
        yield "raw"


def _frames(name: str, one: pd.DataFrame, other: pd.DataFrame) -> Iterator[str]:
    if list(map(str, one.index)) != list(map(str, other.index)):
        yield f"{name}_names"
    if list(one.columns) != list(other.columns):
        yield f"columns of {name}"
        return
    for column in one.columns:
        if not _same(one[column], other[column]):
            yield f"{name}[{column!r}]"


def _mappings(name: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    if set(map(str, one)) != set(map(str, other)):
        yield name
        return
    for key in one:
        if not _same(one[key], other[str(key)]):
            yield f"{name}[{key!r}]"


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return next(_mappings("", one, other), None) is None
    if isinstance(one, pd.DataFrame) and isinstance(other, pd.DataFrame):
        return next(_frames("", one, other), None) is None
    if sp.issparse(one) and sp.issparse(other):
        return _same_sparse(one, other)
    if _is_categorical(one) and _is_categorical(other):
        return np.array_equal(one.cat.codes, other.cat.codes) and _same_arrays(
            one.cat.categories, other.cat.categories
        )
    return _same_arrays(one, other)


def _same_sparse(one: Any, other: Any) -> bool:
    return (
        one.format == other.format
        and one.shape == other.shape
        and all(
            np.array_equal(getattr(one, part), getattr(other, part))
            for part in ("indptr", "indices")
        )
        and _same_arrays(one.data, other.data)
    )


def _same_arrays(one: Any, other: Any) -> bool:
    """Equal values, missing ones equal to each other; texts equal whatever their storage."""
    first, second = np.asarray(one), np.asarray(other)
    if first.shape != second.shape:
        return False
    if first.dtype.kind in "fc" and second.dtype.kind in "fc":
        return bool(np.array_equal(first, second, equal_nan=True))
    if first.dtype.kind in "biuSV" or first.dtype.fields:
        return bool(np.array_equal(first, second))
    first, second = first.astype(object), second.astype(object)
    missing = pd.isna(first)
    if not np.array_equal(missing, pd.isna(second)):
        return False
    return bool((first[~missing] == second[~missing]).all())


def _is_categorical(values: Any) -> bool:
    return isinstance(values, pd.Series) and isinstance(values.dtype, pd.CategoricalDtype)
