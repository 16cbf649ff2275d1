"""Expression of one gene at a time, as it is painted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

if TYPE_CHECKING:
    from tagscope.core.section import Cells

UNIT = "ln(1 + counts per 10,000)"
UNIT_AT_BAR = "ln(1 + CP10k)"  # there is little room
AS_GIVEN = "normalised, as in the file"


class Expression:
    """One gene's expression at a time: ln(1 + counts per 10,000), or values as they are."""

    def __init__(self, cells: Cells) -> None:
        self._columns = sp.csc_matrix(cells.values)
        self._totals = None if cells.normalised else np.maximum(cells.totals, 1.0)
        self.unit = AS_GIVEN if cells.normalised else UNIT
        self.unit_at_bar = "normalised" if cells.normalised else UNIT_AT_BAR

    def of(self, column: int) -> npt.NDArray[np.float32]:
        """Values of one gene, (N,)."""
        values = self._columns[:, [column]].toarray().ravel()
        if self._totals is None:
            return np.asarray(values, dtype=np.float32)
        return np.asarray(np.log1p(values / self._totals * 1e4), dtype=np.float32)
