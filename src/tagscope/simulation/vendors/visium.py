"""Visium and Visium HD folders, as Space Ranger 3.0 lays them out.

A spot counts the transcripts under it, a bin those in its square. The full-resolution image, raw
matrices and analysis results are left out.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from scipy.spatial import KDTree

from tagscope.jobs import JobContext
from tagscope.simulation.tissue import Tissue
from tagscope.simulation.vendors import parts

PIXEL = 0.5  # µm of the full-resolution image
PITCH = 100.0  # µm between spots
SPOT = 55.0  # µm, diameter
BINS = (2, 8, 16)  # µm
_DRAWN_SPOT = 65.0  # µm, of the spot that spot_diameter_fullres means
_FIDUCIAL = 105.0
_ROWS, _COLUMNS = 78, 128  # of a capture area of 6.5 mm
_HIRES, _LOWRES = 2000, 600  # pixels of the longer side
_IN_TISSUE = 30.0  # µm from the nearest cell


def spots(tissue: Tissue) -> pd.DataFrame:
    """All spots of the capture area: barcode, array place, centre in µm, whether in tissue."""
    rows, columns = np.divmod(np.arange(_ROWS * _COLUMNS), _COLUMNS)
    kept = (rows + columns) % 2 == 0
    rows, columns = rows[kept], columns[kept]
    x, y = PITCH / 2 * (columns + 1), PITCH * np.sqrt(3) / 2 * rows + PITCH / 2
    return _with_tissue(tissue, _barcodes(len(rows)), rows, columns, x, y)


def spot_counts(tissue: Tissue, frame: pd.DataFrame) -> sp.csr_matrix:
    """Transcripts of genes under every spot, (spots, G) CSR int32."""
    places = tissue.transcripts.xy
    away, nearest = KDTree(frame[["x", "y"]].to_numpy()).query(places)
    return _counted(tissue, np.where(away <= SPOT / 2, nearest, -1), len(frame))


def bins(tissue: Tissue, size: int) -> pd.DataFrame:
    """All bins over the tissue: barcode, array place, centre in µm, whether in tissue."""
    columns, rows = (int(np.ceil(side / size)) for side in parts.extent_of(tissue))
    row, column = np.divmod(np.arange(rows * columns), columns)
    pairs = zip(row, column, strict=True)
    names = np.array([f"s_{size:03}um_{r:05}_{c:05}-1" for r, c in pairs], dtype=object)
    return _with_tissue(tissue, names, row, column, (column + 0.5) * size, (row + 0.5) * size)


def bin_counts(tissue: Tissue, frame: pd.DataFrame, size: int) -> sp.csr_matrix:
    """Transcripts of genes in every bin, (bins, G) CSR int32."""
    at = np.floor(tissue.transcripts.xy / size).astype(np.int64)
    columns = int(frame["array_col"].max()) + 1
    rows = int(frame["array_row"].max()) + 1
    within = ((at >= 0) & (at < [columns, rows])).all(axis=1)
    return _counted(tissue, np.where(within, at[:, 0] + columns * at[:, 1], -1), len(frame))


def write(tissue: Tissue, folder: Path, context: JobContext) -> None:
    """The folder of a Visium capture area."""
    frame = spots(tissue)
    inside = frame["in_tissue"].to_numpy() == 1
    counts = sp.csr_matrix(spot_counts(tissue, frame)[inside])
    name = "filtered_feature_bc_matrix.h5"
    library = {"library_ids": np.array(["section"], dtype="S"), "software_version": "3.0.0"}
    kept = frame["barcode"][inside].tolist()
    parts.write_10x(folder / name, counts, kept, tissue, attributes=library)
    scales = _write_images(tissue, folder / "spatial", context)
    scales |= {
        "spot_diameter_fullres": _DRAWN_SPOT / PIXEL,
        "fiducial_diameter_fullres": _FIDUCIAL / PIXEL,
    }
    _write_scales(folder / "spatial", scales)
    positions = _positions(frame).round().astype({"pxl_row_in_fullres": int})
    positions = positions.astype({"pxl_col_in_fullres": int})
    parts.write_csv(positions, folder / "spatial" / "tissue_positions.csv")


def write_hd(tissue: Tissue, folder: Path, context: JobContext) -> None:
    """The folder of a Visium HD capture area, with bins of 2, 8 and 16 µm."""
    _write_slices(folder / "feature_slice.h5")
    scales = _write_images(tissue, folder / "spatial", context)
    for size in BINS:
        frame = bins(tissue, size)
        inside = frame["in_tissue"].to_numpy() == 1
        place = folder / "binned_outputs" / f"square_{size:03}um"
        (place / "spatial").mkdir(parents=True)
        counts = sp.csr_matrix(bin_counts(tissue, frame, size)[inside])
        kept = frame["barcode"][inside].tolist()
        parts.write_10x(place / "filtered_feature_bc_matrix.h5", counts, kept, tissue)
        own = {
            "spot_diameter_fullres": size / PIXEL,
            "bin_size_um": float(size),
            "microns_per_pixel": PIXEL,
            "fiducial_diameter_fullres": _FIDUCIAL / PIXEL,
        }
        _write_scales(place / "spatial", {**scales, **own})
        _positions(frame).to_parquet(place / "spatial" / "tissue_positions.parquet", index=False)
        for picture in (folder / "spatial").glob("*.png"):
            (place / "spatial" / picture.name).write_bytes(picture.read_bytes())


def _with_tissue(
    tissue: Tissue,
    barcodes: npt.NDArray[np.object_],
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
) -> pd.DataFrame:
    away, _ = KDTree(tissue.outlines.seeds).query(np.column_stack([x, y]))
    return pd.DataFrame(
        {
            "barcode": barcodes,
            "in_tissue": (away < _IN_TISSUE).astype(np.int64),
            "array_row": rows,
            "array_col": columns,
            "x": x,
            "y": y,
        }
    )


def _barcodes(count: int) -> npt.NDArray[np.object_]:
    """Sixteen letters of DNA, a dash and 1; no two alike."""
    digits = np.arange(count)[:, None] // 4 ** np.arange(7, -1, -1) % 4
    letters = np.array(list("ACGT"))[np.hstack([digits, digits[:, ::-1]])]
    return np.array(["".join(row) + "-1" for row in letters], dtype=object)


def _counted(tissue: Tissue, owner: npt.NDArray[np.int64], count: int) -> sp.csr_matrix:
    feature = tissue.transcripts.feature
    kept = (owner >= 0) & (feature < len(tissue.genes))
    ones = np.ones(int(kept.sum()), np.int32)
    where = (owner[kept], feature[kept].astype(np.int64))
    return sp.csr_matrix((ones, where), shape=(count, len(tissue.genes)))


def _positions(frame: pd.DataFrame) -> pd.DataFrame:
    places = frame[["y", "x"]].to_numpy() / PIXEL
    named = frame.drop(columns=["x", "y"])
    return named.assign(pxl_row_in_fullres=places[:, 0], pxl_col_in_fullres=places[:, 1])


def _write_images(tissue: Tissue, folder: Path, context: JobContext) -> dict[str, float]:
    """Two small copies of the full image, light as a stained section; their scales."""
    from imageio.v3 import imwrite

    folder.mkdir()
    scales = {}
    full = max(parts.extent_of(tissue)) / PIXEL
    for name, side in (("hires", _HIRES), ("lowres", _LOWRES)):
        scale = min(1.0, side / full)
        grey = parts.picture(tissue, PIXEL / scale, context)
        stained = 255 - np.stack([grey[0], grey.max(axis=0), grey[0] // 3], axis=-1)
        imwrite(folder / f"tissue_{name}_image.png", stained)
        scales[f"tissue_{name}_scalef"] = scale
    return scales


def _write_scales(folder: Path, scales: dict[str, float]) -> None:
    (folder / "scalefactors_json.json").write_text(json.dumps(scales), encoding="utf-8")


def _write_slices(path: Path) -> None:
    """The metadata of feature_slice.h5: how the array lies on the image."""
    import h5py  # type: ignore[import-untyped]

    size = BINS[0] / PIXEL
    to_spot = np.diag([1 / size, 1 / size, 1]).ravel().tolist()
    to_image = np.diag([size, size, 1]).ravel().tolist()
    matrices = {
        f"{one}_colrow_to_{other}_colrow": to_spot if other == "spot" else to_image
        for image in ("cytassist", "microscope")
        for one, other in ((image, "spot"), ("spot", image))
    }
    layout = {"file_format": "1.0", "transform": to_image}
    metadata = {"hd_layout_json": json.dumps(layout), "transform_matrices": matrices}
    with h5py.File(path, "w") as file:
        file.attrs["metadata_json"] = json.dumps(metadata)
