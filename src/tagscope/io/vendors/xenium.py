"""Xenium: output folders of 10x's Xenium Onboard Analysis (XOA), versions 1 to 4.

Tables may be Parquet or CSV, plain or gzip. Segmentation masks, and images aligned later, are read
by spatialdata-io; counts, positions and polygons here, for it reads them only where the folder is
complete, and the focus images, for it reads whole planes at a time.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zipfile import BadZipFile

import geopandas as gpd
import numpy as np
import pandas as pd

from tagscope.io.findings import Finding
from tagscope.io.h5ad import READ_ERRORS, quietly
from tagscope.io.vendors import cells as found
from tagscope.io.vendors.cells import Counts, VendorFolder, VendorSection
from tagscope.io.vendors.files import find, find_all, need_columns, read_10x, read_frame, reading
from tagscope.io.vendors.images import image_of, transcripts_of

_PIXEL = 0.2125  # µm, that of every Xenium Analyzer
_LOWEST_QV = 20  # below, XOA itself counts no transcript
_CONTROLS = (
    "NegControl", "BLANK", "antisense", "UnassignedCodeword", "DeprecatedCodeword", "Intergenic",
)  # fmt: skip
_SPOTS = ["cell_id", "feature_name", "x_location", "y_location", "qv"]


def read(path: Path, table: str | None = None) -> VendorFolder:  # noqa: ARG001 - one table
    """A folder of XOA as far as it is there; all in µm, as XOA has it."""
    reader = _Reader(path)
    section = reader.section()
    return VendorFolder(section.store(), tuple(reader.findings))


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.findings: list[Finding] = []
        self.pixel = self._pixel()
        self.spots = _table(path, "transcripts")

    def section(self) -> VendorSection:
        cells = self._cells()
        outlines = self._outlines("cell_boundaries")
        counts = self._counts(cells, outlines)
        counts, obs, xy = found.placed(
            counts, *self._places(cells, outlines, counts), self.findings
        )
        radius = np.sqrt(obs["cell_area"].to_numpy() / np.pi) if "cell_area" in obs else None
        section = VendorSection("Xenium", counts, obs, xy, outlines, radius)
        if outlines is None:
            self.findings.append(
                found.missing("cell_boundaries file", "Cells are drawn as discs of their area.")
            )
        self._add_elements(section)
        return section

    def _pixel(self) -> float:
        specs = find(self.path, "experiment.xenium")
        if specs is None:
            self.findings.append(
                found.missing("experiment.xenium", f"Pictures are taken to be {_PIXEL} µm a pixel.")
            )
            return _PIXEL
        with reading(specs):
            pixel = float(json.loads(specs.read_text("utf-8"))["pixel_size"])
        told = f"pixel_size = {pixel:g} µm in experiment.xenium"
        self.findings.append(
            found.in_micrometres("Coordinates are µm; pictures are brought to them", told)
        )
        return pixel

    def _cells(self) -> pd.DataFrame | None:
        path = _table(self.path, "cells")
        if path is None:
            return None
        cells = read_frame(path, ids=["cell_id"])
        need_columns(cells, path, ["cell_id", "x_centroid", "y_centroid"])
        return cells

    def _outlines(self, name: str) -> gpd.GeoDataFrame | None:
        """Polygons of cells, or of nuclei: of a cell with several nuclei the largest."""
        path = _table(self.path, name)
        if path is None:
            return None
        columns = ["cell_id", "vertex_x", "vertex_y", "label_id"]
        vertices = read_frame(path, columns, ids=["cell_id"])
        need_columns(vertices, path, columns[:3])
        xy = vertices[["vertex_x", "vertex_y"]].to_numpy(dtype=np.float64)
        return found.polygons(vertices["cell_id"], xy, vertices.get("label_id"))

    def _counts(self, cells: pd.DataFrame | None, outlines: gpd.GeoDataFrame | None) -> Counts:
        matrix = find(self.path, "cell_feature_matrix.h5")
        if matrix is not None:
            return read_10x(matrix)
        needed = "cell_feature_matrix.h5, or transcripts with cell_id, is needed."
        if self.spots is None:
            found.refuse_without_cells(self.path, pd.Index([]), "there are no counts", needed)
        assert self.spots is not None
        known = pd.Index([], dtype=object) if outlines is None else outlines.index
        known = known if cells is None else pd.Index(cells["cell_id"], dtype=object)
        counts = _count(self.spots, known)
        found.refuse_without_cells(self.path, counts.cells, "no transcript is in a cell", needed)
        self.findings.append(
            found.missing(
                "cell_feature_matrix.h5",
                f"Counts are made of the transcripts in cells with quality {_LOWEST_QV} or more; "
                "genes without any are not in the panel.",
            )
        )
        return counts

    def _places(
        self, cells: pd.DataFrame | None, outlines: gpd.GeoDataFrame | None, counts: Counts
    ) -> tuple[pd.DataFrame, Any]:
        """``obs`` and centroids in µm, by the cells table, the polygons or the transcripts."""
        if cells is not None:
            obs = found.rows_for(cells, cells["cell_id"], counts.cells)
            return obs, obs[["x_centroid", "y_centroid"]].to_numpy(dtype=np.float64)
        obs = pd.DataFrame(index=counts.cells)
        by = "the polygons" if outlines is not None else "the transcripts"
        self.findings.append(
            found.missing("cells table", f"Cells are placed by {by}; areas are not known.")
        )
        if outlines is not None:
            return obs, found.centroids_of(outlines, counts.cells)
        needed = "A cells table, cell boundaries or transcripts are needed."
        cells_there = counts.cells if self.spots is not None else counts.cells[:0]
        found.refuse_without_cells(self.path, cells_there, "no file tells where cells are", needed)
        assert self.spots is not None
        spots = read_frame(self.spots, _SPOTS, ids=["cell_id"])
        return obs, found.means_of(
            spots["cell_id"], spots[["x_location", "y_location"]].to_numpy(), counts.cells
        )

    def _add_elements(self, section: VendorSection) -> None:
        from spatialdata.models import ShapesModel
        from spatialdata.transformations import Identity

        nuclei = self._outlines("nucleus_boundaries")
        if nuclei is not None:
            moved = {found.MICRONS: Identity()}
            section.shapes["nucleus_boundaries"] = ShapesModel.parse(nuclei, transformations=moved)
        if self.spots is not None:
            axes = {"x": "x_location", "y": "y_location", "z": "z_location"}
            columns = {**axes, "feature": "feature_name", "cell": "cell_id"}
            names = section.counts.features.index
            section.points["transcripts"] = transcripts_of(self.spots, columns, names)
        else:
            self.findings.append(
                found.missing("transcripts file", "No transcripts can be shown.", severity="info")
            )
        self._add_pictures(section)

    def _add_pictures(self, section: VendorSection) -> None:
        """The focus images, and what spatialdata-io reads of masks and images aligned later."""
        from spatialdata.transformations import Scale

        planes = _focus_images(self.path)
        if planes:
            names = _channels(planes[0], len(planes))
            scale = Scale([self.pixel, self.pixel], axes=("x", "y"))
            section.images["morphology_focus"] = image_of(planes, names, scale)
        else:
            self.findings.append(
                found.missing("morphology_focus image", "There is no image.", severity="info")
            )
        if not all((self.path / n).is_file() for n in ("cells.zarr.zip", "experiment.xenium")):
            self.findings.append(
                found.missing("cells.zarr.zip", "Masks are not shown.", severity="info")
            )
            return
        try:
            store = _masks(self.path)
        except (*READ_ERRORS, AssertionError, BadZipFile) as error:
            self.findings.append(_unreadable(error))
            return
        for group, elements in ((section.images, store.images), (section.labels, store.labels)):
            group.update({name: _in_microns(e, self.pixel) for name, e in elements.items()})


def _focus_images(path: Path) -> list[Path]:
    """One file a stain since XOA 2, one file before."""
    several = find_all(path, "morphology_focus/*.ome.tif")
    return several or find_all(path, "morphology_focus.ome.tif")


def _channels(path: Path, count: int) -> list[str]:
    """Names of the stains, as the first file tells them for all."""
    import tifffile

    with reading(path), tifffile.TiffFile(path) as file:
        told = ElementTree.fromstring(file.ome_metadata or "<OME/>")
    names = [
        str(e.get("Name")) for e in told.iter() if e.tag.endswith("}Channel") and e.get("Name")
    ]
    return names if len(names) == count else [f"channel {index}" for index in range(count)]


def _masks(path: Path) -> Any:
    from spatialdata_io import xenium

    with quietly(), warnings.catch_warnings():
        # of a version that is not known yet: the newest layout is then tried
        warnings.filterwarnings("ignore", message="Could not parse the version of the Xenium")
        return xenium(
            path,
            cells_boundaries=False,
            nucleus_boundaries=False,
            transcripts=False,
            cells_table=False,
            morphology_mip=False,
            morphology_focus=False,
        )


def _in_microns(element: Any, pixel: float) -> Any:
    """The element with a transformation to µm in place of that to pixels."""
    from spatialdata.transformations import Scale, Sequence, get_transformation, set_transformation

    before = get_transformation(element, to_coordinate_system="global")
    scale = Scale([pixel, pixel], axes=("x", "y"))
    moved = {found.MICRONS: Sequence([before, scale])}
    set_transformation(element, moved, set_all=True)
    return element


def _table(path: Path, name: str) -> Path | None:
    return find(path, f"{name}.parquet", f"{name}.csv.gz", f"{name}.csv")


def _count(path: Path, known: pd.Index) -> Counts:
    spots = read_frame(path, _SPOTS, ids=["cell_id", "feature_name"])
    need_columns(spots, path, ["cell_id", "feature_name", "qv"])
    spots = spots[(spots["qv"] >= _LOWEST_QV) & found.in_a_cell(spots["cell_id"])]
    return found.count(spots["cell_id"], spots["feature_name"], known, _are_genes)


def _are_genes(names: pd.Index) -> list[bool]:
    return [not name.startswith(_CONTROLS) for name in names]


def _unreadable(error: BaseException) -> Finding:
    return Finding(
        "warning",
        "damaged-element",
        f"Masks cannot be read ({type(error).__name__}: {error}).",
        "They are left out.",
        "Copy the folder again if you need them.",
    )
