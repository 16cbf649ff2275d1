"""Which range of a painted quantity its colours span."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SAMPLE = 200_000  # cells that tell percentiles
USUAL_PERCENTILE = 98.0
LOWEST_PERCENTILE = 90.0


def limits_of(
    values: npt.NDArray[np.float32], percentile: float = USUAL_PERCENTILE
) -> tuple[float, float] | None:
    """From 0 to a percentile of the values above 0, (N,).

    Values of both signs, such as z-scores, go from as far below to that percentile of all. None
    where that is no range: no value differs from 0.
    """
    sample = values[:: max(1, len(values) // SAMPLE)]
    sample = sample[np.isfinite(sample)]
    if np.fmin.reduce(values, initial=0.0) < 0:
        low, high = (float(v) for v in np.percentile(sample, [100 - percentile, percentile]))
        return (low, high) if low < high else None
    above = sample[sample > 0]
    return (0.0, float(np.percentile(above, percentile))) if len(above) else None
