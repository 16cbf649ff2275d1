"""Shapes that a result brings: polygons in the section's own unit, as elements of a store."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shapely

from tagscope.core.results import refuse_existing
from tagscope.errors import ArgumentError, OutputError
from tagscope.io.h5ad import quietly
from tagscope.io.readers import OpenedSection
from tagscope.io.spatialdata_store import ALL_REGIONS

if TYPE_CHECKING:
    from geopandas import GeoDataFrame
    from spatialdata import SpatialData

_GROUP = "shapes"
_APART = ".shapes"  # within the store that is being written
_OTHERS = ("images", "labels", "points", "tables")


def has_one_place(opened: OpenedSection) -> bool:
    """Whether one transformation takes the section's own coordinates into the store's."""
    source = opened.source
    if source.kind == "h5ad":
        return True
    known = opened.um_per_unit is not None or opened.section.unit != "µm"
    return source.region != ALL_REGIONS or (source.coordinate_system is not None and known)


def placed(frame: GeoDataFrame, opened: OpenedSection) -> GeoDataFrame:
    """Polygons in the unit of ``section.own_xy`` as an element that lies where the cells lie."""
    from spatialdata.models import ShapesModel
    from spatialdata.transformations import Scale

    units = 1.0 / (opened.um_per_unit or 1.0)
    system = opened.source.coordinate_system or "global"
    return ShapesModel.parse(frame, transformations={system: Scale([units, units], ("x", "y"))})


def refuse_shapes(store: SpatialData, name: str, overwrite: bool) -> None:
    """Refuse a name that is taken in a store.

    Raises
    ------
    ArgumentError
        If shapes of that name exist and ``overwrite`` is not set, or another element has it.
    """
    refuse_existing(name in store.shapes, _GROUP, name, overwrite)
    for group in _OTHERS:
        if name in getattr(store, group):
            _refuse_other(group, name)


def write_shapes(store: Path, elements: Mapping[str, GeoDataFrame]) -> None:
    """Add elements to a store that is being written, in its own version of zarr.

    They are written apart and read back before they become a part of it.

    Raises
    ------
    OutputError
        If they are not read back as they were written.
    """
    import spatialdata
    import zarr

    version = zarr.open_group(store, mode="r", use_consolidated=False).metadata.zarr_format
    apart = store / _APART
    with quietly():
        made = spatialdata.SpatialData(shapes=dict(elements))
        made.write(apart, consolidate_metadata=False, sdata_formats=_format(version))
        read = spatialdata.read_zarr(apart)
    for name, element in elements.items():
        _refuse_unlike(name, element, read.shapes[name])
    (store / _GROUP).mkdir(exist_ok=True)
    for entry in (apart / _GROUP).iterdir():
        if entry.is_dir() or not (store / _GROUP / entry.name).exists():
            entry.rename(store / _GROUP / entry.name)
    shutil.rmtree(apart)


def refuse_stored(store: Path, names: Mapping[str, Any], overwrite: bool) -> None:
    """As :func:`refuse_shapes`, of what lies on disk by now."""
    for name in names:
        refuse_existing((store / _GROUP / name).exists(), _GROUP, name, overwrite)
        for group in _OTHERS:
            if (store / group / name).exists():
                _refuse_other(group, name)


def _format(version: int) -> Any:
    """spatialdata's format for a version of zarr; that of version 2 has no public name."""
    from spatialdata._io.format import SpatialDataContainerFormatV01

    return SpatialDataContainerFormatV01() if version == 2 else None


def _refuse_other(group: str, name: str) -> None:
    raise ArgumentError(
        f"The store has {group}[{name!r}].",
        "Outlines of that name would take its place.",
        "Choose another key.",
        {"key": None},
    )


def _refuse_unlike(name: str, written: GeoDataFrame, read: GeoDataFrame) -> None:
    pairs = written.geometry.to_numpy(), read.geometry.to_numpy()
    if len(read) != len(written) or not shapely.equals_exact(*pairs).all():
        raise OutputError(
            f"What was written was not read back the same: shapes/{name} differs.",
            "Nothing that was on disk has been changed.",
            "Check the disk, or write elsewhere.",
        )
