"""The unit of a section's world coordinates, as napari writes it at the scale bar."""

from __future__ import annotations

from typing import Any

import pint

UNKNOWN = "section_unit"  # of coordinates whose size no file tells: "50 units", not "50 pixels"


def axis_units(unit: str) -> tuple[str, str]:
    """Units of the axes y and x for a section's ``unit``."""
    if unit == "µm":
        return "um", "um"
    registry: Any = pint.get_application_registry()  # type: ignore[no-untyped-call]
    if UNKNOWN not in registry:
        # a pure number: pint puts no prefix before it, as in "2 kunits"
        registry.define(f"{UNKNOWN} = 1 = units")
    return UNKNOWN, UNKNOWN
