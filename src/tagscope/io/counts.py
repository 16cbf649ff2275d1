"""Where a table's counts are, and the proof that they are counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from tagscope.errors import ArgumentError
from tagscope.io.findings import Finding, listed

if TYPE_CHECKING:
    from anndata import AnnData

_BLOCK = 1 << 22
_MOST = 1e7
# log1p of ten thousand counts is 9.2; log2 of larger ones stays below this too
_LARGEST_LOG = 25.0
_MEND_MISSING = "Remove the cells or genes they are in, or set them to 0 if nothing was detected."


@dataclass(frozen=True)
class Judgement:
    """What the values of a matrix are: every one is looked at.

    ``smallest`` and ``largest`` over all values that are not NaN.
    """

    smallest: float
    largest: float
    whole: bool
    finite: bool

    @property
    def are_counts(self) -> bool:
        """Finite, whole, not negative."""
        return self.finite and self.whole and self.smallest >= 0

    def __str__(self) -> str:
        if not self.finite:
            return "values that are NaN or infinite"
        if self.smallest < 0:
            return f"negative values (smallest {self.smallest:.3g}; z-scored?)"
        if self.are_counts:
            return f"counts (largest {self.largest:.0f})"
        guess = "log-normalised?" if self.largest < _LARGEST_LOG else "normalised?"
        return f"values that are not whole numbers ({guess} largest {self.largest:.3g})"


@dataclass(frozen=True)
class Values:
    """The matrix that was chosen: ``matrix`` (N, G) CSR float32, None where unusable.

    ``place``: ``"X"``, ``"raw"`` or a layer's name; ``var``: the genes of its columns.
    """

    matrix: sp.csr_matrix | None
    place: str
    var: pd.DataFrame
    judgement: Judgement
    findings: tuple[Finding, ...] = ()


def find_values(table: AnnData, layer: str | None = None, *, normalised: bool = False) -> Values:
    """The table's counts, or its log-normalised values where ``normalised``.

    Raises
    ------
    ArgumentError
        If the layer does not exist.
    """
    place = layer or "X"
    matrix, var = _matrix(table, place)
    judgement = judge(matrix)
    problem = _problem(table, place, judgement, normalised)
    findings = [problem] if problem else []
    usable = problem is None or problem.severity != "error"
    values = as_csr(matrix) if usable and matrix is not None else None
    if judgement.are_counts and judgement.largest > _MOST and usable:
        findings.append(_implausible(place, judgement.largest))
    if values is not None and values.nnz == 0 and values.shape[0]:
        findings.append(_all_zero(place))
    elif values is not None:
        empty = int((np.diff(values.indptr) == 0).sum())
        if empty:
            findings.append(_empty_cells(empty))
    return Values(values, place, var, judgement, tuple(findings))


def judge(matrix: Any) -> Judgement:
    """Look at every value of a dense or sparse matrix, a block at a time."""
    values = _values_of(matrix)
    smallest, largest, whole, finite = np.inf, -np.inf, True, True
    for start in range(0, len(values), _BLOCK):
        block = values[start : start + _BLOCK]
        if block.dtype.kind == "f":
            finite = finite and bool(np.isfinite(block).all())
            whole = whole and bool((block == np.rint(block)).all())
        smallest = min(smallest, float(np.nanmin(block)))
        largest = max(largest, float(np.nanmax(block)))
    if sp.issparse(matrix) or not len(values):
        smallest, largest = min(smallest, 0.0), max(largest, 0.0)
    return Judgement(smallest, largest, whole, finite)


def as_csr(matrix: Any) -> sp.csr_matrix:
    """CSR float32 with sorted columns and no stored zeros; shares memory where it can."""
    values = sp.csr_matrix(matrix, dtype=np.float32)
    canonical = values.has_sorted_indices and values.has_canonical_format
    if not canonical or (values.data == 0).any():
        values = values.copy()
        values.sum_duplicates()
        values.eliminate_zeros()
    return values


def places(table: AnnData) -> list[str]:
    """Where a table keeps matrices: ``X``, its layers, ``raw``."""
    found = ["X"] if table.X is not None else []
    found.extend(str(name) for name in table.layers)
    return found + (["raw"] if table.raw is not None else [])


def _matrix(table: AnnData, place: str) -> tuple[Any, pd.DataFrame]:
    if place in table.layers:
        return table.layers[place], table.var
    if place in ("raw", "raw.X") and table.raw is not None:
        return table.raw.X, table.raw.var
    if place == "X":
        return table.X, table.var
    raise ArgumentError(
        f"The table has no layer {place!r}; it has {listed(places(table))}.",
        "The layer must be one of the table's.",
        "Choose one of these.",
        {"layer": None},
    )


def _values_of(matrix: Any) -> npt.NDArray[Any]:
    if matrix is None:
        return np.empty(0)
    values = matrix.data if sp.issparse(matrix) else np.asarray(matrix)
    return np.ravel(values)


def _problem(table: AnnData, place: str, judgement: Judgement, normalised: bool) -> Finding | None:
    if place == "X" and table.X is None:
        return _not_counts(table, place, "no values at all")
    if normalised:
        return _normalised_problem(place, judgement)
    return None if judgement.are_counts else _not_counts(table, place, str(judgement), judgement)


def _normalised_problem(place: str, judgement: Judgement) -> Finding | None:
    if not judgement.finite or judgement.smallest < 0:
        return Finding(
            "error",
            "not-log-normalised",
            f"{place} holds {judgement}.",
            "Log-normalised values that are not negative are needed.",
            "Give the values before scaling, or counts." if judgement.finite else _MEND_MISSING,
        )
    if judgement.are_counts and judgement.largest > 0:
        return Finding(
            "warning",
            "counts-called-normalised",
            f"{place} holds {judgement}, but was said to be log-normalised.",
            "Counts are normalised by the model itself.",
            "Use them as counts.",
            {"normalised": False},
        )
    return None


def _not_counts(
    table: AnnData, place: str, what: str, judgement: Judgement | None = None
) -> Finding:
    """The message for values that are not counts, pointing to counts where the table has some."""
    others = [p for p in places(table) if p != place and judge(_matrix(table, p)[0]).are_counts]
    offer: dict[str, Any] = {}
    fix = "Give a table with raw counts."
    if others:
        offer = {"layer": others[0]}
        where = "X" if others[0] == "X" else f"the layer {others[0]!r}"
        fix = f"Counts are in {where}: take them from there."
    elif judgement is not None and not judgement.finite:
        fix = _MEND_MISSING
    elif judgement is not None and judgement.smallest >= 0:
        offer = {"normalised": True}
        fix = "Give raw counts, or say that they are log-normalised: models take such values too."
    return Finding(
        "error",
        "not-counts",
        f"{place} holds {what}.",
        "Raw counts (whole numbers, none negative) are needed.",
        fix,
        offer,
        among=tuple(others),
    )


def _implausible(place: str, largest: float) -> Finding:
    return Finding(
        "warning",
        "implausible-counts",
        f"{place} holds counts up to {largest:,.0f}.",
        "No cell has so many molecules of a gene.",
        "Check how the file was written: values may have been stored as numbers of another type.",
    )


def _all_zero(place: str) -> Finding:
    return Finding(
        "error",
        "no-counts",
        f"{place} is all zero.",
        "Cells with counts are needed.",
        "Check the layer, or the rows that were chosen.",
    )


def _empty_cells(empty: int) -> Finding:
    cells = "1 cell has" if empty == 1 else f"{empty} cells have"
    return Finding("info", "empty-cells", f"{cells} no counts.", "They get a label nevertheless.")
