"""Visium and Visium HD: output folders of 10x's Space Ranger, versions 1 to 4.

Places are pixels of the full-resolution image. A Visium HD folder holds one matrix a size of bins
in ``binned_outputs``; bins of 8 µm are read unless another is asked for. spatialdata-io's readers
want a name for the data set, every file, and all bins at once, so that the folder is read here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from tagscope.errors import ArgumentError
from tagscope.io.findings import Finding, listed
from tagscope.io.vendors import cells as found
from tagscope.io.vendors.cells import VendorFolder, VendorSection
from tagscope.io.vendors.files import find, find_all, need_columns, read_10x, read_frame, reading
from tagscope.io.vendors.images import image_of

_BINS = ("binned_outputs/square_*um", "square_*um")
_DEFAULT_BIN = "square_008um"
_SPOT = 55.0  # µm, diameter
_PITCH = 100.0  # µm between the centres of neighbouring spots
_DRAWN_SPOT = 65.0  # µm, of the spot that spot_diameter_fullres means
_PLACE = ["pxl_col_in_fullres", "pxl_row_in_fullres"]
_POSITIONS = ["barcode", "in_tissue", "array_row", "array_col", _PLACE[1], _PLACE[0]]


@dataclass(frozen=True)
class _Array:
    """How the array lies on the image: pixels by which a step of column and of row moves."""

    column: npt.NDArray[np.float64]
    row: npt.NDArray[np.float64]


def read(path: Path, table: str | None = None) -> VendorFolder:
    """A folder of Space Ranger, spots or one size of bins, pixels brought to µm."""
    bins = {bin_.name: bin_ for pattern in _BINS for bin_ in find_all(path, pattern)}
    findings: list[Finding] = []
    if bins:
        table = _pick_bin(bins, table, findings)
        path = bins[table]
    reader = _Reader(path, findings)
    section = reader.section()
    return VendorFolder(section.store(table or "table"), tuple(findings))


def _pick_bin(bins: dict[str, Path], asked: str | None, findings: list[Finding]) -> str:
    """The size asked for, else 8 µm, else the coarsest."""
    names = sorted(bins)
    if asked is not None and asked not in bins:
        raise ArgumentError(
            f"The folder has no bins {asked!r}; it has {listed(names)}.",
            "The table must be one of the folder's sizes of bins.",
            "Choose one of these.",
            {"table": None},
        )
    chosen = asked or (_DEFAULT_BIN if _DEFAULT_BIN in bins else names[-1])
    others = [name for name in names if name != chosen]
    if others and asked is None:
        findings.append(
            Finding(
                "info",
                "other-bins",
                f"Bins {chosen!r} are read; {listed(others)} are there too.",
                "One size is read at a time.",
                "Choose another.",
                {"table": others[-1]},
            )
        )
    return chosen


class _Reader:
    def __init__(self, path: Path, findings: list[Finding]) -> None:
        self.path = path
        self.findings = findings
        self.scales = self._scales()

    def section(self) -> VendorSection:
        places = self._places()
        matrix = find(self.path, *(f"*{kind}_feature_bc_matrix.h5" for kind in ("filtered", "raw")))
        if matrix is None:
            needed = "filtered_feature_bc_matrix.h5 is needed."
            found.refuse_without_cells(self.path, pd.Index([]), "there are no counts", needed)
        assert matrix is not None
        counts = read_10x(matrix)
        obs = found.rows_for(places, places["barcode"], counts.cells).drop(columns="barcode")
        inside = (obs["in_tissue"] == 1).to_numpy()
        if matrix.name.endswith("raw_feature_bc_matrix.h5"):
            cost = "Spots in tissue are taken of the raw matrix."
            self.findings.append(found.missing("filtered_feature_bc_matrix.h5", cost))
            counts, obs = found.take(counts, counts.cells[inside]), obs[inside]
        array = _fit(places)
        um = self._um_per_pixel(array)
        xy = obs[_PLACE].to_numpy(dtype=np.float64) * um
        size = self.scales.get("bin_size_um")
        section = VendorSection("Visium" if size is None else "Visium HD", counts, obs, xy)
        section.radius, section.discs = _SPOT / 2, "spots"
        if size is not None and array is not None:
            section.outlines = _squares(xy, array, um, counts.cells)
        self._add_images(section, um)
        return section

    def _scales(self) -> dict[str, float]:
        path = find(self.path, "spatial/*scalefactors_json.json", "*scalefactors_json.json")
        if path is None:
            cost = "Images have no place and are not shown."
            self.findings.append(found.missing("scalefactors_json.json", cost))
            return {}
        with reading(path):
            return {str(k): float(v) for k, v in json.loads(path.read_text("utf-8")).items()}

    def _places(self) -> pd.DataFrame:
        path = find(self.path, *(f"{at}*tissue_positions*.{kind}" for at in ("spatial/", "")
                                 for kind in ("parquet", "csv")))  # fmt: skip
        if path is None:
            needed = "spatial/tissue_positions.csv (or .parquet) is needed."
            none = "no file tells where spots are; a dissociated sample is a reference"
            found.refuse_without_cells(self.path, pd.Index([]), none, needed)
        assert path is not None
        if path.stem.endswith("_list"):
            with reading(path):
                frame = pd.read_csv(path, header=None, names=_POSITIONS)
            # Space Ranger 1 writes no header; some who copy the file add one
            frame = frame[frame["barcode"] != "barcode"].reset_index(drop=True)
            with reading(path):
                frame = frame.astype(dict.fromkeys(_POSITIONS[1:], np.float64))
        else:
            frame = read_frame(path)
        need_columns(frame, path, _POSITIONS)
        return frame

    def _um_per_pixel(self, array: _Array | None) -> float:
        """By what Space Ranger says (HD), by the array's pitch, or by the size of a spot."""
        um, told = self.scales.get("microns_per_pixel", 0.0), "microns_per_pixel in scalefactors"
        if not um and array is not None:
            um = _PITCH / (2 * float(np.hypot(*array.column)))
            told = "spots are 100 µm apart"
        if not um and "spot_diameter_fullres" in self.scales:
            um = _DRAWN_SPOT / self.scales["spot_diameter_fullres"]
            told = "spot_diameter_fullres in scalefactors means 65 µm"
        if not um:
            needed = "scalefactors_json.json, or spots in several rows and columns, are needed."
            none = pd.Index([])
            found.refuse_without_cells(self.path, none, "nothing tells how large they are", needed)
        self.findings.append(
            found.in_micrometres(f"Coordinates were converted at {um:.6g} µm per pixel", told)
        )
        return um

    def _add_images(self, section: VendorSection, um: float) -> None:
        from spatialdata.transformations import Scale

        for size in ("hires", "lowres"):
            path = find(self.path, f"spatial/tissue_{size}_image.png")
            scale = self.scales.get(f"tissue_{size}_scalef")
            if path is not None and scale:
                to_microns = Scale([um / scale] * 2, axes=("x", "y"))
                section.images[f"{size}_image"] = image_of([path], ["r", "g", "b"], to_microns)
        if not section.images:
            cost = "No image is shown."
            self.findings.append(found.missing("tissue_hires_image.png", cost, severity="info"))


def _fit(places: pd.DataFrame) -> _Array | None:
    """The array's steps in pixels, None where spots are too few to tell."""
    at = places[["array_col", "array_row"]].to_numpy(dtype=np.float64)
    terms = np.column_stack([at, np.ones(len(at))])
    steps, _, rank, _ = np.linalg.lstsq(
        terms, places[_PLACE].to_numpy(dtype=np.float64), rcond=None
    )
    return _Array(steps[0], steps[1]) if rank == 3 else None


def _squares(
    xy: npt.NDArray[np.float64], array: _Array, um: float, cells: pd.Index
) -> gpd.GeoDataFrame:
    """Bins as squares that lie as the array does on the image."""
    column, row = array.column * um / 2, array.row * um / 2
    corners: list[Any] = [-column - row, column - row, column + row, row - column]
    rings = xy[:, None] + np.array(corners)
    return found.frame_of(shapely.polygons(rings), cells)
