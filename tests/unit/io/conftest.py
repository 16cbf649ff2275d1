"""Tiny stores and tables for the tests of reading and writing."""

import json
from types import SimpleNamespace

import anndata as ad
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import shapely

CELLS, GENES = 12, 5
SYMBOLS = ("ACTB", "CD3E", "MS4A1", "EPCAM", "PTPRC")


def counts(cells=CELLS, genes=GENES, seed=0):
    return sp.csr_matrix(np.random.default_rng(seed).poisson(2.0, (cells, genes)), dtype=np.float32)


def table(cells=CELLS, coordinates=True, **slots):
    """An AnnData with ids, symbols, and coordinates in µm."""
    obs = pd.DataFrame(
        {"cell_type": pd.Categorical((["T", "B", "tumour"] * cells)[:cells])},
        index=pd.Index([f"cell-{i}" for i in range(cells)], dtype=object),
    )
    made = ad.AnnData(counts(cells), obs=obs, var=pd.DataFrame(index=list(SYMBOLS)))
    if coordinates:
        made.obsm["spatial"] = centres(cells)
        made.uns["source"] = {"spatial_unit": "um"}
    for name, value in slots.items():
        setattr(made, name, value)
    return made


def centres(cells=CELLS):
    return np.column_stack([np.arange(cells) % 4, np.arange(cells) // 4]).astype(float) * 10 + 5


def squares(cells=CELLS, half=4.0, ids=None):
    """Square cells around the centres, the last of them in two parts."""
    shapes = [shapely.box(x - half, y - half, x + half, y + half) for x, y in centres(cells)]
    x, y = centres(cells)[-1]
    shapes[-1] = shapely.MultiPolygon([shapely.box(x + 5, y, x + 6, y + 1), shapes[-1]])
    return gpd.GeoDataFrame(geometry=shapes, index=ids if ids is not None else np.arange(cells))


def store(
    path,
    *,
    regions=("cells",),
    scale=1.0,
    system="global",
    attrs=None,
    zarr_format=3,
    cells=CELLS,
    sharded=False,
    edit=lambda whole: None,
):
    """A store whose table annotates one polygon element per region, squares of 8 units."""
    from spatialdata import SpatialData
    from spatialdata.models import Image2DModel, ShapesModel, TableModel
    from spatialdata.transformations import Scale

    parts = []
    for region in regions:
        part = table(cells, coordinates=False)
        part.obs_names = pd.Index([f"{region}-{i}" for i in range(cells)], dtype=object)
        part.obs["region"] = region
        part.obs["instance"] = np.arange(cells)
        part.uns.clear()
        parts.append(part)
    whole = ad.concat(parts)
    edit(whole)
    whole.obs["region"] = pd.Categorical(whole.obs["region"])
    whole = TableModel.parse(
        whole, region=list(regions), region_key="region", instance_key="instance"
    )
    moved = {system: Scale([scale, scale], axes=("x", "y"))}
    made = SpatialData(
        images={"image": Image2DModel.parse(np.zeros((1, 40, 50), np.uint8), dims=("c", "y", "x"))},
        shapes={r: ShapesModel.parse(squares(cells), transformations=dict(moved)) for r in regions},
        tables={"table": whole},
        attrs=attrs,
    )
    with ad.settings.override(auto_shard_zarr_v3=sharded):
        if zarr_format == 2:
            from spatialdata._io.format import SpatialDataContainerFormatV01

            made.write(path, sdata_formats=SpatialDataContainerFormatV01())
        else:
            made.write(path)
    return path


def label_store(path, with_obsm=False, instances=range(100, 112)):
    """Squares of 8 × 8 pixels in a label image that a scale of 2 maps to "microns"."""
    from spatialdata import SpatialData
    from spatialdata.models import Labels2DModel, TableModel
    from spatialdata.transformations import Scale

    image = np.zeros((60, 80), np.int32)
    for number, (x, y) in enumerate(centres().astype(int)):
        image[y - 4 : y + 4, x - 4 : x + 4] = 100 + number
    moved = {"microns": Scale([2.0, 2.0], axes=("x", "y"))}
    cells = table(coordinates=with_obsm)
    cells.obs["region"] = pd.Categorical(["cells"] * 12)
    cells.obs["instance"] = list(instances)
    cells.uns.clear()
    cells = TableModel.parse(cells, region="cells", region_key="region", instance_key="instance")
    labels = Labels2DModel.parse(
        image, dims=("y", "x"), transformations=moved, scale_factors=None if with_obsm else [2]
    )
    store = SpatialData(labels={"cells": labels}, tables={"table": cells})
    with ad.settings.override(auto_shard_zarr_v3=False):
        store.write(path)
    return path


def forget_consolidated(path):
    """Remove a store's list of its own metadata, which not every writer makes."""
    (path / ".zmetadata").unlink(missing_ok=True)
    root = path / "zarr.json"
    if root.exists():
        metadata = json.loads(root.read_text())
        metadata.pop("consolidated_metadata", None)
        root.write_text(json.dumps(metadata))


@pytest.fixture(scope="session")
def tiny():
    """Makers of tiny tables and stores."""
    return SimpleNamespace(
        table=table,
        store=store,
        label_store=label_store,
        squares=squares,
        centres=centres,
        counts=counts,
        symbols=SYMBOLS,
        forget_consolidated=forget_consolidated,
    )
