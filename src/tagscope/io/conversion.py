"""What a table needs to go from a store into an ``.h5ad``, or the other way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tagscope.io.h5ad import place_h5ad
from tagscope.io.outlines import free_radius
from tagscope.io.spatialdata_store import ATTRS

if TYPE_CHECKING:
    from anndata import AnnData

_REGION = "cells"


def keep_coordinates(
    table: AnnData, xy: npt.NDArray[np.float64], unit: str, technology: str
) -> None:
    """Give an ``.h5ad`` the coordinates that a store keeps in other elements, and their unit."""
    if "spatial" not in table.obsm:
        table.obsm["spatial"] = xy
    same = np.allclose(np.asarray(table.obsm["spatial"])[:, :2], xy, equal_nan=True)
    if same and unit == "µm" and "source" not in table.uns:
        table.uns["source"] = {"spatial_unit": "um", "technology": technology}


def tie_to_circles(table: AnnData) -> dict[str, Any]:
    """Circles of half the distance to the nearest cell, and the table tied to them."""
    import geopandas
    from spatialdata.models import ShapesModel, TableModel

    xy, _, um, _ = place_h5ad(table)
    if xy is None:
        return {}
    points = xy / (um or 1.0)
    circles = geopandas.GeoDataFrame(
        {"radius": np.full(len(points), free_radius(points))},
        geometry=geopandas.points_from_xy(points[:, 0], points[:, 1]),
        index=pd.Index(table.obs_names.astype(object)),
    )
    region_key = _free_name(table, "region")
    instance_key = _free_name(table, "instance_id")
    table.obs[region_key] = pd.Categorical([_REGION] * table.n_obs)
    table.obs[instance_key] = table.obs_names.astype(object)
    table.uns.pop(ATTRS, None)
    TableModel.parse(table, region=_REGION, region_key=region_key, instance_key=instance_key)
    return {_REGION: ShapesModel.parse(circles)}


def _free_name(table: AnnData, name: str) -> str:
    while name in table.obs:
        name = f"_{name}"
    return name
