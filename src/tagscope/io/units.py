"""Micrometres per coordinate unit, where a file tells; never assumed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

_MICROMETRE = re.compile(r"^(um|µm|μm|microns?|micromet(er|re)s?)\b", re.IGNORECASE)
_LENGTHS = {"nm": 1e-3, "nanometer": 1e-3, "mm": 1e3, "millimeter": 1e3}
_SOURCE_SLOTS = ("source", "tagscope_source", "spatial_metadata")

# Column names by which a vendor's table is recognised, as spatialdata-io and scanpy write them.
_TECHNOLOGIES: tuple[tuple[str, frozenset[str]], ...] = (
    ("Xenium", frozenset({"transcript_counts", "control_probe_counts", "cell_area"})),
    ("Xenium", frozenset({"control_probe_counts", "control_codeword_counts"})),
    ("MERSCOPE", frozenset({"fov", "volume", "min_x", "max_x"})),
    ("MERSCOPE", frozenset({"volume", "center_x", "center_y"})),
    ("CosMx", frozenset({"fov", "AspectRatio", "CenterX_global_px"})),
    ("Visium", frozenset({"in_tissue", "array_row", "array_col"})),
    ("Visium", frozenset({"array_row", "array_col"})),
)
_FILE_WORDS = {
    "xenium": "Xenium", "merscope": "MERSCOPE", "merfish": "MERFISH", "cosmx": "CosMx",
    "visium": "Visium", "seqfishplus": "seqFISH+", "seqfish": "seqFISH", "osmfish": "osmFISH",
    "starmap": "STARmap", "molcart": "Molecular Cartography", "stereo": "Stereo-seq",
}  # fmt: skip

# Vendors whose shapes spatialdata-io keeps in µm, whatever the coordinate system they map to.
SHAPES_IN_MICROMETRES = frozenset({"Xenium", "MERSCOPE"})


@dataclass(frozen=True)
class Unit:
    """``um``: µm per coordinate unit, None where the file does not tell; ``told``: by what."""

    um: float | None
    told: str


def names_micrometres(name: str) -> bool:
    """Whether the name of a unit or coordinate system says micrometres."""
    return _MICROMETRE.match(name.strip()) is not None


def declared_unit(*records: Mapping[str, Any]) -> Unit:
    """What ``spatial_unit`` and ``um_per_unit`` say, in ``uns``/``attrs`` or a record in them."""
    said = ""
    for record in _with_sources(records):
        unit = str(record.get("spatial_unit", "")).strip()
        factor = _number(record.get("um_per_unit"))
        if factor:
            return Unit(factor, f"um_per_unit = {factor:g}")
        if names_micrometres(unit):
            return Unit(1.0, f"spatial_unit = {unit}")
        if unit.lower().rstrip("s") in _LENGTHS:
            return Unit(_LENGTHS[unit.lower().rstrip("s")], f"spatial_unit = {unit}")
        said = said or unit
    return Unit(None, f"spatial_unit = {said}" if said else "")


def technology_of(obs: pd.DataFrame, name: str, *records: Mapping[str, Any]) -> str:
    """The technology, told by the file, its columns or its name; ``"unknown"`` otherwise."""
    for record in _with_sources(records):
        if record.get("technology"):
            return str(record["technology"])
    columns = {str(column) for column in obs.columns}
    for technology, needed in _TECHNOLOGIES:
        if needed <= columns:
            return technology
    words = name.lower()
    return next((tech for word, tech in _FILE_WORDS.items() if word in words), "unknown")


def _with_sources(records: tuple[Mapping[str, Any], ...]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for record in records:
        found.append(record)
        found.extend(record[s] for s in _SOURCE_SLOTS if isinstance(record.get(s), Mapping))
    return found


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 < number < float("inf") else None
