"""Cells of different lengths, laid side by side in flat arrays, as rows of a batch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def laid_out(offsets: Ints, rows: Ints, width: int) -> tuple[npt.NDArray[np.bool_], Ints]:
    """Where the entries of some cells go in a batch, and where they are taken from.

    Cell i owns the flat entries ``offsets[i]`` to ``offsets[i + 1]``. Returns which places of a
    batch (B, width) are filled, and the flat entries that fill them, row by row.
    """
    starts, lengths = offsets[rows], offsets[rows + 1] - offsets[rows]
    steps = np.arange(width)
    present = steps < lengths[:, None]
    return present, (starts[:, None] + steps)[present]
