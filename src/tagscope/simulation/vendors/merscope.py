"""A MERSCOPE region folder, as Vizgen's instrument software 233 and vpt 1 lay it out.

Outlines are the same in all seven z planes; of the mosaics only those of the middle plane, which is
the one that readers take, are written.
"""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from tagscope.jobs import JobContext
from tagscope.simulation.celltypes import CONTROLS
from tagscope.simulation.tissue import Tissue
from tagscope.simulation.transcripts import FEATURES
from tagscope.simulation.vendors import parts

PIXEL = 0.108  # µm
MARGIN = 64  # pixels of the mosaic left of and above the tissue
_PLANES = 7
_MIDDLE = 3
_STEP = 1.5  # µm between planes
_FIRST_ID = 3_048_300_000_001_000_000


def cell_ids(tissue: Tissue) -> list[str]:
    """EntityID of every cell: nineteen digits, an int64."""
    return [str(_FIRST_ID + 13 * row) for row in range(len(tissue))]


def features(tissue: Tissue) -> list[str]:
    """Columns of the counts: genes, then blank barcodes."""
    return [*tissue.genes, *(f"Blank-{index}" for index in range(1, len(CONTROLS) + 1))]


def write(tissue: Tissue, folder: Path, context: JobContext) -> None:
    """The folder of one region."""
    ids = cell_ids(tissue)
    counts = pd.DataFrame(parts.feature_counts(tissue).toarray(), columns=features(tissue))
    counts.insert(0, "cell", ids)
    parts.write_csv(counts, folder / "cell_by_gene.csv")
    parts.write_csv(_metadata(tissue, ids), folder / "cell_metadata.csv")
    _outlines(tissue, ids).to_parquet(folder / "cell_boundaries.parquet")
    _transcripts(tissue, ids).to_csv(folder / "detected_transcripts.csv")
    _write_images(tissue, folder / "images", context)


def _metadata(tissue: Tissue, ids: list[str]) -> pd.DataFrame:
    centres, vertices = tissue.outlines.centroids, tissue.outlines.vertices
    low, high = vertices.min(axis=1), vertices.max(axis=1)
    counts = np.asarray(parts.feature_counts(tissue).sum(axis=1)).ravel()
    return pd.DataFrame(
        {
            "EntityID": ids,
            "fov": 0,
            "volume": tissue.outlines.areas * _STEP * _PLANES,
            "center_x": centres[:, 0],
            "center_y": centres[:, 1],
            "min_x": low[:, 0],
            "min_y": low[:, 1],
            "max_x": high[:, 0],
            "max_y": high[:, 1],
            "transcript_count": counts,
        }
    )


def _outlines(tissue: Tissue, ids: list[str]) -> gpd.GeoDataFrame:
    rings = shapely.polygons(tissue.outlines.vertices)
    shapes = np.repeat(shapely.multipolygons(rings[:, None]), _PLANES)
    planes = np.tile(np.arange(_PLANES), len(ids))
    return gpd.GeoDataFrame(
        {
            "ID": np.arange(len(shapes)),
            "EntityID": np.repeat(np.array(ids, dtype=np.int64), _PLANES),
            "ZIndex": planes,
            "Geometry": shapes,
            "Type": "cell",
            "ZLevel": (planes + 1) * _STEP,
        },
        geometry="Geometry",
    )


def _transcripts(tissue: Tissue, ids: list[str]) -> pd.DataFrame:
    spots = tissue.transcripts
    names = features(tissue)
    cells = np.append(np.array(ids, dtype=np.int64), -1)
    pixels = spots.xy / PIXEL + MARGIN
    return pd.DataFrame(
        {
            "barcode_id": spots.feature,
            "global_x": spots.xy[:, 0],
            "global_y": spots.xy[:, 1],
            "global_z": np.float32(_MIDDLE),
            "x": pixels[:, 0],
            "y": pixels[:, 1],
            "fov": 0,
            "gene": np.array(names, dtype=object)[spots.feature],
            "transcript_id": np.array([f"{n}-201" for n in FEATURES], dtype=object)[spots.feature],
            "cell_id": cells[spots.cell],
        }
    )


def _write_images(tissue: Tissue, folder: Path, context: JobContext) -> None:
    import tifffile

    folder.mkdir()
    image = np.pad(parts.picture(tissue, PIXEL, context), ((0, 0), (MARGIN, 0), (MARGIN, 0)))
    for stain, plane in zip(("DAPI", "PolyT"), image, strict=True):
        tifffile.imwrite(
            folder / f"mosaic_{stain}_z{_MIDDLE}.tif",
            plane.astype(np.uint16),
            tile=(1024, 1024),
            compression="zlib",
        )
    matrix = np.array([[1 / PIXEL, 0, MARGIN], [0, 1 / PIXEL, MARGIN], [0, 0, 1]])
    np.savetxt(folder / "micron_to_mosaic_pixel_transform.csv", matrix)
    manifest = {
        "microns_per_pixel": PIXEL,
        "mosaic_width_pixels": image.shape[2],
        "mosaic_height_pixels": image.shape[1],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
