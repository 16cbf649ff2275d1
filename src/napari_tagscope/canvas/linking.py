"""Side by side with napari-spatialdata, which reads a layer's metadata to know its table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer

if TYPE_CHECKING:
    from tagscope.api import OpenedSection

METADATA_KEY = "tagscope"  # of what only we read
SYSTEM = "_current_cs"  # napari-spatialdata's: the coordinate system a layer is shown in
SDATA, NAME, ACTIVE_IN = "sdata", "name", "_active_in_cs"  # napari-spatialdata's


def cells_metadata(opened: OpenedSection) -> dict[str, Any]:
    """Metadata of a layer that shows a section's cells.

    The store itself is named only where its element lies in the viewer as it lies in itself:
    napari-spatialdata moves such a layer by the element's own transformation.
    """
    metadata: dict[str, Any] = {"adata": opened.table}
    attrs = opened.table.uns.get("spatialdata_attrs")
    if opened.sdata is None or not attrs or opened.source.region is None:
        return metadata
    instances = str(attrs["instance_key"])
    metadata |= {
        "region_key": str(attrs["region_key"]),
        "instance_key": instances,
        "table_names": [opened.source.table],
        "indices": opened.table.obs[instances].array,  # a list of a million ids is slow
    }
    store = store_metadata(opened)
    if store and _lies_as_in_itself(opened):
        metadata |= {**store, NAME: opened.source.region}
    return metadata


def store_metadata(opened: OpenedSection) -> dict[str, Any]:
    """The store and its coordinate system, nothing where the viewer's units are others."""
    system = opened.source.coordinate_system
    if opened.sdata is None or system is None or opened.um_per_unit not in (None, 1.0):
        return {}
    return {SDATA: opened.sdata, SYSTEM: system, ACTIVE_IN: {system}}


def without_store(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """``metadata`` of a layer that shows a number per cell.

    An image that names its store and a table is taken for channels by napari-spatialdata, which
    then asks its numbers for what dask's arrays alone can do.
    """
    return {key: value for key, value in metadata.items() if key != SDATA}


def add_layer(viewer: ViewerModel, layer: Layer, index: int | None = None) -> None:
    """Put a layer into a viewer, on top or at ``index``; the active layer stays so.

    Where napari-spatialdata listens it keeps books of the names of layers that come with a store,
    and fails when such a layer is renamed before it is removed: it sees no store at first.
    """
    active = viewer.layers.selection.active
    store = layer.metadata.pop(SDATA, None)
    viewer.layers.insert(len(viewer.layers) if index is None else index, layer)
    if store is not None:
        layer.metadata.update({SDATA: store, ACTIVE_IN: set(layer.metadata[ACTIVE_IN])})
    if active is not None:
        viewer.layers.selection.active = active


def take_units(layer: Layer, own: Mapping[str, Any], units: tuple[str, str] | None) -> None:
    """Give a layer of our store and coordinate system our unit, where it came in pixels.

    napari shows no scale bar in µm while layers have several units.
    """
    store = own.get(SDATA)
    same = store is not None and layer.metadata.get(SDATA) is store
    placed = layer.metadata.get(SYSTEM) == own.get(SYSTEM)
    if same and placed and units is not None and METADATA_KEY not in layer.metadata:
        layer.units = (*layer.units[:-2], *units)


def before_removal(layer: Layer) -> None:
    """Take out of a layer by what napari-spatialdata would look for it in its books."""
    layer.metadata.pop(NAME, None)


def _lies_as_in_itself(opened: OpenedSection) -> bool:
    from spatialdata.transformations import get_transformation

    region, system = opened.source.region, opened.source.coordinate_system
    assert opened.sdata is not None
    if region not in opened.sdata:
        return False
    moved = get_transformation(opened.sdata[region], to_coordinate_system=system)
    matrix = moved.to_affine_matrix(input_axes=("x", "y"), output_axes=("x", "y"))
    return bool(np.allclose(matrix, np.eye(3)))
