"""CosMx: flat files of NanoString's CosMx SMI, as public releases and AtoMx (to 1.3) have them.

Cells are numbered anew in every field of view (FOV): an id is ``FOV_CELL``; cell 0 is no cell.
Places are pixels of the whole slide. Label images and pictures are stored upside down, one a FOV.
spatialdata-io's reader demands every file and folder, so that everything is read here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from tagscope.io.findings import Finding, listed
from tagscope.io.vendors import cells as found
from tagscope.io.vendors.cells import Counts, VendorFolder, VendorSection
from tagscope.io.vendors.files import find, find_all, need_columns, read_frame, read_wide
from tagscope.io.vendors.images import Plane, image_of, labels_of, transcripts_of

PIXEL = 0.120280945
"""µm, that of the instrument; the releases of 2022 (NSCLC) have 0.18."""

_OLD_PIXEL = 0.18
_FOV_SIDE = 4256  # pixels of a FOV at 0.12 µm; FOVs of 0.18 µm a pixel have 5472 × 3648
_CENTRE = ["CenterX_global_px", "CenterY_global_px"]
_LOCAL = ["CenterX_local_px", "CenterY_local_px"]
_GLOBAL = ["x_global_px", "y_global_px"]
_SPOT_LOCAL = ["x_local_px", "y_local_px"]
_ID_COLUMNS = ("fov", "cell_ID", "cell", "cell_id")
_CONTROLS = ("NegPrb", "Negative", "SystemControl", "FalseCode")
_NEW_NAMES = {"FOV": "fov", "cellID": "cell_ID"}
_FOV_NUMBER = re.compile(r"_F(?:OV)?0*(\d+)\.\w+$")
_FITS = 0.5


def read(path: Path, table: str | None = None) -> VendorFolder:  # noqa: ARG001 - one table
    """A folder of flat files as far as it is there, pixels of the slide brought to µm."""
    reader = _Reader(path)
    section = reader.section()
    return VendorFolder(section.store(), tuple(reader.findings))


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.findings: list[Finding] = []
        self.spots = find(path, "*tx_file.csv", "*tx_file.csv.gz")
        self.cells = self._frame("*metadata_file.csv", ["cell_ID", *_CENTRE])
        self.fovs = self._frame("*fov_positions_file.csv", [])
        self.places = self._transcripts() if self.cells is None else None
        self.pixel = self._pixel()

    def section(self) -> VendorSection:
        counts = self._counts()
        outlines = self._outlines()
        counts, obs, xy = found.placed(counts, *self._centres(counts), self.findings)
        section = VendorSection("CosMx", counts, obs, xy, outlines)
        if outlines is None:
            self.findings.append(
                found.missing("polygons file", "Cells are drawn as discs; label images are kept.")
            )
            if "Area" in obs:
                area = obs["Area"].to_numpy(dtype=np.float64)
                section.radius = np.sqrt(area / np.pi) * self.pixel
        if self.spots is not None:
            section.points["transcripts"] = self._points(self.spots, counts)
        self._add_pictures(section)
        return section

    def _frame(self, pattern: str, needed: list[str]) -> pd.DataFrame | None:
        """A table with ids ``FOV_CELL`` where it is one of cells."""
        path = find(self.path, pattern, f"{pattern}.gz")
        if path is None:
            return None
        frame = found.rename(read_frame(path), _NEW_NAMES)
        need_columns(frame, path, ["fov", *needed])
        return frame if not needed else _with_ids(frame)

    def _transcripts(self) -> pd.DataFrame | None:
        """Transcripts in cells, where nothing else tells what is in a cell, or where it is."""
        if self.spots is None:
            return None
        columns = ["fov", "FOV", "cell_ID", "target", *_GLOBAL, *_SPOT_LOCAL]
        spots = found.rename(read_frame(self.spots, columns, ids=["target"]), _NEW_NAMES)
        need_columns(spots, self.spots, ["fov", "cell_ID", "target", *_GLOBAL])
        return _with_ids(spots)

    def _pixel(self) -> float:
        """µm a pixel: by the files where two of them tell one length in both units."""
        um, told, severity = _told_pixel(self.fovs, self.cells, self.places)
        finding = Finding(
            severity,
            "converted",
            f"Coordinates were converted at {um:.6g} µm per pixel ({told}).",
        )
        self.findings.append(finding)
        return um

    def _counts(self) -> Counts:
        path = find(self.path, "*exprMat_file.csv", "*exprMat_file.csv.gz")
        if path is not None:
            cells, values, names = read_wide(path, _ID_COLUMNS)
            need_columns(cells, path, ["fov", "cell_ID"])
            inside = _with_ids(cells.assign(row=np.arange(len(cells))))
            features = pd.DataFrame({"gene": _are_genes(names)}, index=names)
            ids = pd.Index(inside["id"], dtype=object)
            return Counts(sp.csr_matrix(values[inside["row"].to_numpy()]), ids, features)
        spots = self.places if self.places is not None else self._transcripts()
        none = pd.Index([])
        needed = "The exprMat file, or the tx file with cell_ID, is needed."
        if spots is None:
            found.refuse_without_cells(self.path, none, "there are no counts", needed)
        assert spots is not None
        known = none.astype(object) if self.cells is None else pd.Index(self.cells["id"])
        counts = found.count(spots["id"], spots["target"], known, _are_genes)
        found.refuse_without_cells(self.path, counts.cells, "no transcript is in a cell", needed)
        self.findings.append(
            found.missing(
                "exprMat file",
                "Counts are made of the transcripts that the tx file gives to cells; genes without "
                "any are not in the panel.",
            )
        )
        return counts

    def _centres(self, counts: Counts) -> tuple[pd.DataFrame, npt.NDArray[np.float64]]:
        """``obs`` and centres in µm: by the metadata, else by the transcripts' mean."""
        if self.cells is not None:
            obs = found.rows_for(self.cells, self.cells["id"], counts.cells).drop(columns="id")
            return obs, obs[_CENTRE].to_numpy(dtype=np.float64) * self.pixel
        there = counts.cells if self.places is not None else counts.cells[:0]
        found.refuse_without_cells(
            self.path,
            there,
            "no file tells where cells are",
            "The metadata file, or the tx file, is needed.",
        )
        assert self.places is not None
        self.findings.append(
            found.missing("metadata file", "Cells are placed at the mean of their transcripts.")
        )
        xy = self.places[_GLOBAL].to_numpy(dtype=np.float64) * self.pixel
        fov = counts.cells.str.split("_").str[0].astype(np.int64)
        return pd.DataFrame({"fov": fov}, index=counts.cells), found.means_of(
            self.places["id"], xy, counts.cells
        )

    def _outlines(self) -> gpd.GeoDataFrame | None:
        path = find(self.path, "*polygons.csv", "*polygons.csv.gz")
        if path is None:
            return None
        vertices = found.rename(read_frame(path), _NEW_NAMES)
        need_columns(vertices, path, ["fov", "cell_ID", *_GLOBAL])
        vertices = _with_ids(vertices)
        xy = vertices[_GLOBAL].to_numpy(dtype=np.float64) * self.pixel
        return found.polygons(vertices["id"], xy)

    def _points(self, path: Path, counts: Counts) -> Any:
        from spatialdata.transformations import Scale

        columns = {"x": "x_global_px", "y": "y_global_px", "feature": "target", "cell": "cell_ID"}
        scale = Scale([self.pixel, self.pixel], axes=("x", "y"))
        return transcripts_of(path, columns, counts.features.index, scale)

    def _add_pictures(self, section: VendorSection) -> None:
        """Label images and composite pictures of the FOVs whose place is known."""
        labels, images = (_by_fov(self.path / n) for n in ("CellLabels", "CellComposite"))
        if not images:
            self.findings.append(
                found.missing("CellComposite folder", "No image is shown.", severity="info")
            )
        lost = []
        for fov in sorted({*labels, *images}):
            place = self._place(fov, labels.get(fov))
            if place is None:
                lost.append(fov)
                continue
            if fov in labels:
                section.labels[f"fov_{fov}_labels"] = labels_of(labels[fov], place, flipped=True)
            if fov in images:
                section.images[f"fov_{fov}"] = image_of([images[fov]], [], place, flipped=True)
        if lost:
            self.findings.append(_misfit(lost))

    def _place(self, fov: int, labels: Path | None) -> Any | None:
        """From pixels of a FOV's picture, turned over, to µm."""
        from spatialdata.transformations import Affine

        to_slide = None if self.cells is None else _fit(self.cells[self.cells["fov"] == fov])
        if to_slide is None:
            to_slide = self._corner(fov)
            if to_slide is None or labels is None or not self._agrees(labels, to_slide):
                return None
        to_microns = np.diag([self.pixel, self.pixel, 1.0]) @ to_slide
        return Affine(to_microns, input_axes=("x", "y"), output_axes=("x", "y"))

    def _corner(self, fov: int) -> npt.NDArray[np.float64] | None:
        if self.fovs is None or fov not in set(self.fovs["fov"]):
            return None
        moved = np.eye(3)
        moved[:2, 2] = self.fovs.set_index("fov").loc[fov, _GLOBAL].to_numpy(dtype=np.float64)
        return moved

    def _agrees(self, labels: Path, to_slide: npt.NDArray[np.float64]) -> bool:
        """Whether transcripts lie on the label of their own cell."""
        if self.places is None:
            return False
        plane = Plane(labels)
        image = np.asarray(plane[:, :])[::-1]
        at = self.places[_GLOBAL].to_numpy() - to_slide[:2, 2]
        column, row = np.floor(at).astype(np.int64).T
        inside = (column >= 0) & (row >= 0) & (row < image.shape[0]) & (column < image.shape[1])
        own = self.places["cell_ID"].to_numpy()[inside] == image[row[inside], column[inside]]
        return bool(len(own)) and float(own.mean()) > _FITS


def _told_pixel(
    fovs: pd.DataFrame | None, cells: pd.DataFrame | None, spots: pd.DataFrame | None
) -> tuple[float, str, Any]:
    if fovs is not None and {"x_global_mm", "y_global_mm", *_GLOBAL} <= set(fovs):
        across = np.ptp(fovs[_GLOBAL].to_numpy(), axis=0).sum()
        if across > 0:
            along = np.ptp(fovs[["x_global_mm", "y_global_mm"]].to_numpy(), axis=0).sum()
            return 1e3 * along / across, "mm and px in the FOV positions", "info"
    if cells is not None and {"Area", "Area.um2"} <= set(cells):
        ratio = np.nanmedian(cells["Area.um2"] / cells["Area"])
        return float(np.sqrt(ratio)), "Area and Area.um2 in the metadata", "info"
    local, corners = _local(cells, spots)
    if local.size and (local.max() > _FOV_SIDE or _whole_at(_OLD_PIXEL, corners)):
        told = "by the size and the places of its FOVs a release of 2022"
        return _OLD_PIXEL, told, "info"
    told = "NanoString's, for the files do not tell; in the releases of 2022 it is 0.18"
    return PIXEL, told, "warning"


def _local(
    cells: pd.DataFrame | None, spots: pd.DataFrame | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Places in their FOV and, from these to the slide, the FOVs' corners, in pixels."""
    for frame, local, slide in ((cells, _LOCAL, _CENTRE), (spots, _SPOT_LOCAL, _GLOBAL)):
        if frame is not None and set(local) <= set(frame):
            own = frame[local].to_numpy(dtype=np.float64)
            corners = (frame[slide].to_numpy(dtype=np.float64) - own).round(3)
            return own, np.unique(corners)
    return np.empty(0), np.empty(0)


def _whole_at(pixel: float, corners: npt.NDArray[np.float64]) -> bool:
    """Whether corners that are no whole pixels are whole µm: stages move by these."""
    fractions = np.abs(corners - np.rint(corners))
    lengths = corners * pixel
    return bool(fractions.max() > 0.1) and bool(np.abs(lengths - np.rint(lengths)).max() < 0.01)


def _with_ids(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows in cells, with ``FOV_CELL`` as the column ``id``."""
    cells = frame["cell_ID"]
    if not pd.api.types.is_integer_dtype(cells):
        cells = pd.to_numeric(cells, errors="coerce").fillna(0).astype(np.int64)
    kept = frame[found.in_a_cell(cells.astype(str))]
    ids = kept["fov"].astype(str) + "_" + cells[kept.index].astype(str)
    return kept.assign(cell_ID=cells[kept.index], id=ids.astype(object)).reset_index(drop=True)


def _are_genes(names: pd.Index) -> list[bool]:
    return [not name.startswith(_CONTROLS) for name in names]


def _by_fov(folder: Path) -> dict[int, Path]:
    told = {path: _FOV_NUMBER.search(path.name) for path in find_all(folder, "*_F*")}
    return {int(number[1]): path for path, number in told.items() if number}


def _fit(cells: pd.DataFrame) -> npt.NDArray[np.float64] | None:
    """(3, 3) from local to slide pixels, each axis by itself, for exports mirror some of them."""
    if len(cells) < 2 or not set(_LOCAL) <= set(cells):
        return None
    made = np.eye(3)
    for axis, (local, slide) in enumerate(zip(_LOCAL, _CENTRE, strict=True)):
        slope = cells[local].cov(cells[slide])
        sign = -1.0 if slope < 0 else 1.0
        made[axis, axis] = sign
        made[axis, 2] = float((cells[slide] - sign * cells[local]).median())
    return made


def _misfit(fovs: list[int]) -> Finding:
    return Finding(
        "warning",
        "misplaced-labels",
        f"The pictures of FOVs {listed(fovs)} do not fit the cells in them.",
        "They are left out; cells, counts and places do not depend on them.",
        "Check that CellLabels belongs to this section.",
    )
