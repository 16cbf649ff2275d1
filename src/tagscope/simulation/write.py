"""The tissue on disk: a SpatialData store, a reference ``.h5ad`` and ``truth.json``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet as parquet
import scipy.sparse as sp
import shapely
from dask.dataframe import from_delayed
from dask.delayed import delayed
from spatialdata import SpatialData
from spatialdata.models import Image2DModel, PointsModel, ShapesModel, TableModel
from spatialdata.transformations import Identity, Scale

from tagscope.io.atomic import written_whole
from tagscope.jobs import JobContext
from tagscope.simulation.celltypes import TYPE_NAMES, ensembl_ids
from tagscope.simulation.config import Layout
from tagscope.simulation.image import CHANNELS, NUCLEUS
from tagscope.simulation.reference import BATCHES
from tagscope.simulation.tissue import Tissue
from tagscope.simulation.transcripts import FEATURES
from tagscope.simulation.vendors import cosmx, merscope, stereoseq, visium, xenium

OUTLINES = "cell_boundaries"
UNASSIGNED_CELL = "UNASSIGNED"
"""``cell_id`` of a transcript outside all cells, as Xenium writes it."""

_MULTISCALE = 4096  # pixels a side above which the image gets smaller copies
_CHUNK = 4096
_ROWS_A_PARTITION = 1_000_000
_STAGES = 3
_WRITERS: dict[str, Callable[[Tissue, Path, JobContext], None]] = {
    "xenium": xenium.write,
    "xenium-2": xenium.write_version_2,
    "merscope": merscope.write,
    "cosmx": cosmx.write,
    "visium": visium.write,
    "visium-hd": visium.write_hd,
    "stereo-seq": stereoseq.write,
}


def write_folder(
    tissue: Tissue, out: Path, layout: Layout, *, overwrite: bool, context: JobContext
) -> None:
    """Write everything beside ``out`` and put it there at once."""
    with written_whole(out, overwrite=overwrite) as partial:
        partial.mkdir()
        context.step("writing", 0, _STAGES)
        if layout == "spatialdata":
            _write_store(tissue, partial / "section.zarr")
        else:
            (partial / "section").mkdir()
            _WRITERS[layout](tissue, partial / "section", context)
        context.step("writing", 1, _STAGES)
        reference_table(tissue).write_h5ad(partial / "reference.h5ad", compression="gzip")
        context.step("writing", 2, _STAGES)
        truth = json.dumps(tissue.truth(), separators=(",", ":"), ensure_ascii=False)
        (partial / "truth.json").write_text(truth, encoding="utf-8")
        context.step("writing", _STAGES, _STAGES)


def _write_store(tissue: Tissue, path: Path) -> None:
    with ad.settings.override(auto_shard_zarr_v3=False):
        section_store(tissue).write(path)
    _pack_points(path / "points")


def section_store(tissue: Tissue) -> SpatialData:
    """The section as a SpatialData object, everything in µm of the system ``"global"``."""
    return SpatialData(
        images={"morphology": _image(tissue)},
        points={"transcripts": _points(tissue)},
        shapes={OUTLINES: _shapes(tissue)},
        tables={"table": section_table(tissue)},
        attrs={"source": {"technology": "simulated", "spatial_unit": "um"}},
    )


def section_table(tissue: Tissue) -> ad.AnnData:
    """Counts and what a machine would know of every cell; the truth is not in it."""
    counts = tissue.counts.seen
    transcripts = np.asarray(counts.sum(axis=1), dtype=np.int64).ravel()
    controls = _control_counts(tissue)
    areas = tissue.outlines.areas
    obs = pd.DataFrame(
        {
            "cell_id": tissue.ids.astype(object),
            "region": pd.Categorical([OUTLINES] * len(tissue)),
            "transcript_counts": transcripts,
            "control_probe_counts": controls,
            "total_counts": transcripts + controls,
            "cell_area": areas.astype(np.float32),
            "nucleus_area": (NUCLEUS**2 * areas).astype(np.float32),
        },
        index=pd.Index(tissue.ids.astype(object)),
    )
    table = ad.AnnData(counts, obs=obs, var=_var(tissue.genes))
    table.obsm["spatial"] = tissue.outlines.centroids
    return TableModel.parse(table, region=OUTLINES, region_key="region", instance_key="cell_id")


def reference_table(tissue: Tissue) -> ad.AnnData:
    """The labelled reference: raw counts in ``X``, ``cell_type`` and ``batch``."""
    reference = tissue.reference
    names = [name for name in TYPE_NAMES if name != tissue.config.unseen]
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical(np.array(TYPE_NAMES)[reference.types], categories=names),
            "batch": pd.Categorical(np.array(BATCHES)[reference.batches], categories=BATCHES),
        },
        index=pd.Index([f"ref-{index:06d}" for index in range(len(reference.types))], dtype=object),
    )
    return ad.AnnData(sp.csr_matrix(reference.counts), obs=obs, var=_var(reference.genes))


def _var(genes: tuple[str, ...]) -> pd.DataFrame:
    ids = pd.Series(list(ensembl_ids(genes)), dtype=object).to_numpy()
    return pd.DataFrame({"gene_ids": ids}, index=pd.Index(list(genes), dtype=object))


def _control_counts(tissue: Tissue) -> np.ndarray:
    spots = tissue.transcripts
    held = spots.cell[(spots.feature >= len(tissue.genes)) & (spots.cell >= 0)]
    return np.bincount(held, minlength=len(tissue)).astype(np.int64)


def _shapes(tissue: Tissue) -> gpd.GeoDataFrame:
    # 1/64 µm: nothing is lost to the eye, and the file packs to half its size
    vertices = np.round(tissue.outlines.vertices * 64) / 64
    closed = np.concatenate([vertices, vertices[:, :1]], axis=1)
    frame = gpd.GeoDataFrame(
        geometry=shapely.polygons(closed), index=pd.Index(tissue.ids.astype(object))
    )
    return ShapesModel.parse(frame, transformations={"global": Identity()})


def _points(tissue: Tissue) -> object:
    """Transcripts as a dask frame whose parts are made when they are written: a large section has
    more of them than fit in memory several times."""
    starts = range(0, len(tissue.transcripts.cell), _ROWS_A_PARTITION)
    names = pd.Index([*tissue.ids.tolist(), UNASSIGNED_CELL], dtype=object)
    parts = [delayed(_rows_from, pure=False)(tissue, names, start) for start in starts]
    return PointsModel.parse(
        from_delayed(parts, meta=_rows_from(tissue, names, 0).iloc[:0], verify_meta=False),
        feature_key="feature_name",
        instance_key="cell_id",
        transformations={"global": Identity()},
        sort=True,
    )


def _rows_from(tissue: Tissue, names: pd.Index, start: int) -> pd.DataFrame:
    rows = slice(start, start + _ROWS_A_PARTITION)
    spots = tissue.transcripts
    feature, cell = spots.feature[rows], spots.cell[rows]
    cell = np.where(cell < 0, len(tissue), cell)
    return pd.DataFrame(
        {
            "x": spots.xy[rows, 0],
            "y": spots.xy[rows, 1],
            "feature_name": pd.Categorical.from_codes(feature, categories=list(FEATURES)),
            "cell_id": pd.Categorical.from_codes(cell, categories=names),
            "qv": spots.qv[rows],
            "is_gene": feature < len(tissue.genes),
        },
        index=pd.RangeIndex(start, start + len(cell)),
    )


def _pack_points(folder: Path) -> None:
    """Write the transcripts again with encodings that suit them: 40 % of dask's size."""
    for path in sorted(folder.rglob("*.parquet")):
        if path.is_file():
            rows = parquet.read_table(path)
            names = rows.column_names
            encoding = dict.fromkeys(("x", "y"), "BYTE_STREAM_SPLIT")
            encoding |= {name: "DELTA_BINARY_PACKED" for name in names if "index" in name}
            parquet.write_table(
                rows,
                path,
                compression="zstd",
                compression_level=9,
                use_dictionary=[name for name in names if name not in encoding],
                column_encoding=encoding,
            )


def _image(tissue: Tissue) -> object:
    size = tissue.config.pixel_size
    large = max(tissue.image.shape) > _MULTISCALE
    return Image2DModel.parse(
        tissue.image,
        dims=("c", "y", "x"),
        c_coords=list(CHANNELS),
        scale_factors=[2, 2, 2] if large else None,
        chunks=(1, _CHUNK, _CHUNK),
        transformations={"global": Scale([size, size], axes=("x", "y"))},
    )
