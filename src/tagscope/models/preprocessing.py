"""How counts become the values that a network reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tagscope.core.section import Cells
from tagscope.errors import InputError


@dataclass(frozen=True)
class Preprocessing:
    """How counts become the values a network was trained on.

    Counts of the vocabulary's genes are scaled to ``target_sum`` a cell, then log(1 + x). Cells
    that come normalised are taken as they are.
    """

    target_sum: float = 1e4

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"target_sum": self.target_sum, "transform": "log1p"}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Preprocessing:
        """Inverse of :meth:`to_dict`."""
        return cls(float(data["target_sum"]))

    def apply(self, cells: Cells) -> sp.csr_matrix:
        """Values as the network was trained on, (N, G) CSR float32, zeros not stored."""
        return self.logged(stored_values(cells), cells.normalised)

    def logged(
        self,
        values: sp.csr_matrix,
        normalised: bool,
        totals: npt.NDArray[np.float64] | None = None,
    ) -> sp.csr_matrix:
        """As :meth:`apply`, of what :func:`stored_values` gave; ``totals`` (N,) of the cells, where
        these are other than the sums of the values."""
        if normalised:
            return values
        sums = _row_sums(values) if totals is None else np.where(totals > 0, totals, 1.0)
        per_count = np.repeat(self.target_sum / sums, np.diff(values.indptr))
        logged = np.log1p(values.data * per_count).astype(np.float32)
        return sp.csr_matrix((logged, values.indices, values.indptr), values.shape)


def stored_values(cells: Cells) -> sp.csr_matrix:
    """The cells' values, each gene of a cell once, zeros not stored.

    Raises
    ------
    InputError
        If a value is negative or missing.
    """
    values = sp.csr_matrix(cells.values, dtype=np.float32, copy=True)
    values.sum_duplicates()
    values.eliminate_zeros()
    if not np.isfinite(values.data).all() or (values.data < 0).any():
        raise InputError(
            "The expression values hold negative or missing numbers.",
            "Counts are needed, or log-normalised values, which are never negative.",
            "Name the layer with counts; z-scores cannot be read.",
            {"layer": None},
        )
    return values


def _row_sums(values: sp.csr_matrix) -> npt.NDArray[np.float64]:
    """Sum of every row in float64; 1 for a row without values."""
    sums = np.asarray(values.sum(axis=1, dtype=np.float64)).ravel()
    return np.where(sums > 0, sums, 1.0)
