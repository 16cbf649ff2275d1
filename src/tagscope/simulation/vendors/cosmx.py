"""A folder of CosMx flat files, as NanoString's public releases of 2023 and AtoMx 1.3 have them.

Counts of cell 0 are those outside all cells. Label images and composite pictures are stored upside
down, one a field of view (FOV); a cell belongs to the FOV of its centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from tagscope.jobs import JobContext
from tagscope.simulation.celltypes import CONTROLS
from tagscope.simulation.tissue import Tissue
from tagscope.simulation.vendors import parts

PIXEL = 0.120280945  # µm
SIDE = 4256  # pixels of a FOV
_PREFIX = "Section_"
_CORNER = np.array([2000, 150_000])  # of the tissue on the slide, pixels
ORIGIN = _CORNER * PIXEL
"""µm of the tissue's corner on the slide."""
_COMPARTMENT = "Cytoplasm"


@dataclass(frozen=True)
class _Grid:
    """FOV (N,) from 1 and number in it (N,) from 1 of every cell; ``corners`` (FOVs, 2) pixels."""

    fov: npt.NDArray[np.int64]
    number: npt.NDArray[np.int64]
    corners: npt.NDArray[np.int64]


def cell_ids(tissue: Tissue, side: int = SIDE) -> list[str]:
    """``FOV_CELL`` of every cell."""
    grid = _grid(tissue, side)
    return [f"{fov}_{number}" for fov, number in zip(grid.fov, grid.number, strict=True)]


def write(tissue: Tissue, folder: Path, context: JobContext, side: int = SIDE) -> None:
    """The folder of one slide, FOVs of ``side`` pixels."""
    grid = _grid(tissue, side)
    frames = {
        "exprMat_file": _counts(tissue, grid),
        "metadata_file": _metadata(tissue, grid),
        "fov_positions_file": _positions(grid),
        "tx_file": _transcripts(tissue, grid, side),
    }
    for name, frame in frames.items():
        parts.write_csv(frame, folder / f"{_PREFIX}{name}.csv")
    parts.write_csv(_polygons(tissue, grid), folder / f"{_PREFIX[:-1]}-polygons.csv")
    _write_pictures(tissue, grid, folder, side, context)


def _names(tissue: Tissue) -> list[str]:
    return [*tissue.genes, *(f"Negative{index}" for index in range(1, len(CONTROLS) + 1))]


def _grid(tissue: Tissue, side: int) -> _Grid:
    width, height = parts.extent_of(tissue)
    across = int(np.ceil(width / PIXEL / side))
    down = int(np.ceil(height / PIXEL / side))
    place = np.floor(tissue.outlines.centroids / PIXEL / side).astype(np.int64)
    fov = 1 + place[:, 0] + across * place[:, 1]
    number = pd.Series(fov).groupby(fov).cumcount().to_numpy() + 1
    rows, columns = np.divmod(np.arange(across * down), across)
    return _Grid(fov, number, np.column_stack([columns, rows]) * side)


def _in_pixels(xy: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.asarray(xy / PIXEL, dtype=np.float64)


def _places(xy: npt.NDArray[np.float64], fov: npt.NDArray[np.int64], grid: _Grid) -> pd.DataFrame:
    """Local and global pixels of places given in µm."""
    pixels = _in_pixels(xy)
    local, slide = pixels - grid.corners[fov - 1], pixels + _CORNER
    return pd.DataFrame(
        {
            "x_local_px": local[:, 0],
            "y_local_px": local[:, 1],
            "x_global_px": slide[:, 0],
            "y_global_px": slide[:, 1],
        }
    )


def _counts(tissue: Tissue, grid: _Grid) -> pd.DataFrame:
    outside = sp.csr_matrix((len(grid.corners), len(_names(tissue))), dtype=np.int32)
    whole = sp.vstack([parts.feature_counts(tissue), outside]).toarray()
    frame = pd.DataFrame(whole, columns=_names(tissue))
    every = np.arange(1, len(grid.corners) + 1)
    frame.insert(0, "fov", np.concatenate([grid.fov, every]))
    frame.insert(1, "cell_ID", np.concatenate([grid.number, np.zeros(len(every), np.int64)]))
    return frame


def _metadata(tissue: Tissue, grid: _Grid) -> pd.DataFrame:
    at = _places(tissue.outlines.centroids, grid.fov, grid)
    area = tissue.outlines.areas
    return pd.DataFrame(
        {
            "fov": grid.fov,
            "cell_ID": grid.number,
            "Area": area / PIXEL**2,
            "AspectRatio": 1.0,
            "CenterX_local_px": at["x_local_px"],
            "CenterY_local_px": at["y_local_px"],
            "CenterX_global_px": at["x_global_px"],
            "CenterY_global_px": at["y_global_px"],
            "cell": [f"c_1_{f}_{n}" for f, n in zip(grid.fov, grid.number, strict=True)],
            "Area.um2": area,
        }
    )


def _positions(grid: _Grid) -> pd.DataFrame:
    slide = grid.corners + _CORNER
    return pd.DataFrame(
        {
            "FOV": np.arange(1, len(slide) + 1),
            "x_global_px": slide[:, 0],
            "y_global_px": slide[:, 1],
            "x_global_mm": slide[:, 0] * PIXEL / 1000,
            "y_global_mm": slide[:, 1] * PIXEL / 1000,
        }
    )


def _transcripts(tissue: Tissue, grid: _Grid, side: int) -> pd.DataFrame:
    """A transcript in a cell is in the cell's FOV, any other in that of its own place."""
    spots = tissue.transcripts
    across = int(grid.corners[:, 0].max() // side) + 1
    place = np.floor(_in_pixels(spots.xy) / side).astype(np.int64)
    own = 1 + np.clip(place[:, 0], 0, across - 1) + across * np.maximum(place[:, 1], 0)
    own = np.clip(own, 1, len(grid.corners))
    fov = np.where(spots.cell >= 0, grid.fov[spots.cell], own)
    number = np.where(spots.cell >= 0, grid.number[spots.cell], 0)
    frame = _places(spots.xy.astype(np.float64), fov, grid)
    frame.insert(0, "fov", fov)
    frame.insert(1, "cell_ID", number)
    target = np.array(_names(tissue), dtype=object)[spots.feature]
    where = np.where(spots.cell >= 0, _COMPARTMENT, "None")
    return frame.assign(z=4, target=target, CellComp=where)


def _polygons(tissue: Tissue, grid: _Grid) -> pd.DataFrame:
    owner, xy = parts.vertex_rows(tissue.outlines.vertices, closed=False)
    frame = _places(xy, grid.fov[owner], grid)
    frame.insert(0, "fov", grid.fov[owner])
    frame.insert(1, "cellID", grid.number[owner])
    return frame


def _write_pictures(
    tissue: Tissue, grid: _Grid, folder: Path, side: int, context: JobContext
) -> None:
    import tifffile
    from imageio.v3 import imwrite

    for name in ("CellLabels", "CellComposite"):
        (folder / name).mkdir()
    whole = _padded(parts.picture(tissue, PIXEL, context), grid, side)
    cells = parts.label_image(tissue.outlines.vertices, PIXEL, whole.shape[1:])
    numbers = np.append(0, grid.number).astype(np.uint16)
    owners = np.append(0, grid.fov)
    for fov, (left, top) in enumerate(grid.corners, start=1):
        window = (slice(top, top + side), slice(left, left + side))
        part = cells[window]
        labels = np.where(owners[part] == fov, numbers[part], 0).astype(np.uint16)
        path = folder / "CellLabels" / f"CellLabels_F{fov:03}.tif"
        tifffile.imwrite(path, labels[::-1], compression="zlib")
        dapi, membrane = whole[(slice(None), *window)]
        colours = np.stack([membrane, membrane // 2, dapi], axis=-1)[::-1]
        imwrite(folder / "CellComposite" / f"CellComposite_F{fov:03}.jpg", colours)


def _padded(image: npt.NDArray[np.uint8], grid: _Grid, side: int) -> npt.NDArray[np.uint8]:
    columns, rows = grid.corners.max(axis=0) + side
    room = np.zeros((len(image), rows, columns), np.uint8)
    height, width = min(rows, image.shape[1]), min(columns, image.shape[2])
    room[:, :height, :width] = image[:, :height, :width]
    return room
