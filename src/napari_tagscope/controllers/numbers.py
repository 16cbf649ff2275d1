"""How numbers are written for people."""

from __future__ import annotations

import math


def percent(share: float, digits: int = 0) -> str:
    """A share of 1, such as ``16 %``."""
    return f"{100 * share:.{digits}f} %"


def number(value: float) -> str:
    """Counts or their mean as people read them, a dash where there are none."""
    if math.isnan(value):
        return "–"
    if value == round(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
