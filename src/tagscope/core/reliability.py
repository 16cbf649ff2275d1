"""Whether a confidence of 0.8 means being right in eight cases of ten."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

BINS = 15


def reliability_curve(
    confidence: npt.NDArray[np.floating[Any]], right: npt.NDArray[np.bool_], bins: int = BINS
) -> pd.DataFrame:
    """The reliability diagram of N cells as a table (Guo et al. 2017, section 2).

    One row per bin of equal width that has cells: ``low`` and ``high`` (its bounds), ``cells``,
    mean ``confidence``, ``accuracy`` (the share that is ``right``).
    """
    sure = confidence.astype(np.float64)
    of_cell = np.minimum((sure * bins).astype(np.int64), bins - 1)
    cells = np.bincount(of_cell, minlength=bins)
    filled = np.flatnonzero(cells)
    count = cells[filled]
    return pd.DataFrame(
        {
            "low": filled / bins,
            "high": (filled + 1) / bins,
            "cells": count,
            "confidence": np.bincount(of_cell, sure, minlength=bins)[filled] / count,
            "accuracy": np.bincount(of_cell, right, minlength=bins)[filled] / count,
        }
    )


def expected_calibration_error(curve: pd.DataFrame) -> float:
    """Mean gap between confidence and accuracy over the cells of a :func:`reliability_curve`.

    Guo et al. 2017, eq. 3.
    """
    gaps = (curve["accuracy"] - curve["confidence"]).abs()
    return float((gaps * curve["cells"]).sum() / curve["cells"].sum())
