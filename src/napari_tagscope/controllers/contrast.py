"""Which range of a painted quantity its colours span."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from napari_tagscope.controllers.painter import Painter

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
    sample = _sample(values)
    if np.fmin.reduce(values, initial=0.0) < 0:
        return _between(sample, percentile)
    above = sample[sample > 0]
    return (0.0, float(np.percentile(above, percentile))) if len(above) else None


def spread_of(values: npt.NDArray[np.float32]) -> tuple[float, float] | None:
    """Between two percentiles of all values, (N,), for what is never near 0; None where alike."""
    return _between(_sample(values), USUAL_PERCENTILE)


def paint_spread(
    painter: Painter, name: str, title: str, values: npt.NDArray[np.float32], **look: Any
) -> None:
    """Paint values that are never near 0 over their own spread; ``look`` is the painter's."""
    painter.paint_values(name, title, values, **look)
    limits = spread_of(values)
    if limits is not None:
        painter.set_limits(name, *limits)


def _between(sample: npt.NDArray[np.float32], percentile: float) -> tuple[float, float] | None:
    if not len(sample):
        return None
    low, high = (float(v) for v in np.percentile(sample, [100 - percentile, percentile]))
    return (low, high) if low < high else None


def _sample(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    sample = values[:: max(1, len(values) // SAMPLE)]
    return sample[np.isfinite(sample)]
