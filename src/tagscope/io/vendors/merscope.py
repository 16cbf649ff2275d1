"""MERSCOPE: region folders of Vizgen's MERSCOPE instrument software and of vpt, its post-processor.

Two layouts of boundaries: ``cell_boundaries.parquet`` (since 2022), and before it one HDF5 file a
field of view in ``cell_boundaries/``. Each cell has an outline in every z plane; that of the middle
plane is read. spatialdata-io's reader demands the images' transformation, and files that a shared
folder often lacks, so that everything is read here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from tagscope.io.findings import Finding
from tagscope.io.vendors import cells as found
from tagscope.io.vendors.cells import Counts, VendorFolder, VendorSection
from tagscope.io.vendors.files import find, find_all, need_columns, read_frame, read_wide, reading
from tagscope.io.vendors.images import image_of, transcripts_of

_BOUNDARIES = (
    "cell_boundaries.parquet",
    "*cell_boundaries.parquet",
    "*_micron_space.parquet",
)
_TRANSFORM = "micron_to_mosaic_pixel_transform.csv"
_MOSAIC = re.compile(r"^mosaic_(?P<stain>.+)_z(?P<plane>\d+)\.tiff?$")
_CENTRE = ["center_x", "center_y"]


def read(path: Path, table: str | None = None) -> VendorFolder:  # noqa: ARG001 - one table
    """A region's folder as far as it is there; all in µm, as MERSCOPE has it."""
    reader = _Reader(path)
    section = reader.section()
    return VendorFolder(section.store(), tuple(reader.findings))


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.findings: list[Finding] = []
        self.spots = find(path, "*detected_transcripts.csv", "*detected_transcripts.csv.gz")

    def section(self) -> VendorSection:
        cells, outlines = self._cells(), self._outlines()
        counts = self._counts(outlines)
        counts, obs, xy = found.placed(
            counts, *self._places(cells, outlines, counts), self.findings
        )
        self.findings.append(
            found.in_micrometres("Coordinates are µm", "as MERSCOPE writes centres and outlines")
        )
        section = VendorSection("MERSCOPE", counts, obs, xy, outlines)
        if outlines is None:
            self.findings.append(
                found.missing("cell_boundaries", "Cells are drawn as discs of the same size.")
            )
        if self.spots is not None:
            axes = {"x": "global_x", "y": "global_y", "z": "global_z"}
            columns = {**axes, "feature": "gene"}
            names = counts.features.index
            section.points["transcripts"] = transcripts_of(self.spots, columns, names)
        self._add_images(section)
        return section

    def _cells(self) -> pd.DataFrame | None:
        """Metadata with ids as the index: the first column, whatever it is called."""
        path = find(self.path, "*cell_metadata.csv", "*cell_metadata.csv.gz")
        return None if path is None else _by_first_column(path)

    def _outlines(self) -> gpd.GeoDataFrame | None:
        path = find(self.path, *_BOUNDARIES)
        if path is not None:
            return _from_parquet(path)
        files = find_all(self.path, "cell_boundaries/*.hdf5")
        return _from_hdf5(files) if files else None

    def _counts(self, outlines: gpd.GeoDataFrame | None) -> Counts:
        path = find(self.path, "*cell_by_gene.csv", "*cell_by_gene.csv.gz")
        if path is not None:
            cells, values, names = read_wide(path)
            features = pd.DataFrame({"gene": _are_genes(names)}, index=names)
            return Counts(values, pd.Index(cells.iloc[:, 0], dtype=object), features)
        needed = "cell_by_gene.csv, or cell boundaries and detected_transcripts.csv, are needed."
        none = pd.Index([])
        if outlines is None or not len(outlines):
            found.refuse_without_cells(self.path, none, "no counts and no boundaries", needed)
        if self.spots is None:
            found.refuse_without_cells(self.path, none, "no counts and no transcripts", needed)
        assert self.spots is not None
        assert outlines is not None
        self.findings.append(
            found.missing(
                "cell_by_gene.csv",
                "Counts are made of the transcripts that lie in a cell's outline of the middle z "
                "plane; genes without any are not in the panel.",
            )
        )
        return _count(self.spots, outlines)

    def _places(
        self, cells: pd.DataFrame | None, outlines: gpd.GeoDataFrame | None, counts: Counts
    ) -> tuple[pd.DataFrame, npt.NDArray[np.float64]]:
        """``obs`` and centres in µm: by the metadata, else by the polygons."""
        if cells is not None and set(_CENTRE) <= set(cells):
            obs = found.rows_for(cells, cells.index.to_series(), counts.cells)
            return obs, obs[_CENTRE].to_numpy(dtype=np.float64)
        there = counts.cells if outlines is not None else counts.cells[:0]
        found.refuse_without_cells(
            self.path,
            there,
            "no file tells where cells are",
            "cell_metadata.csv, or cell boundaries, are needed.",
        )
        assert outlines is not None
        self.findings.append(
            found.missing("cell_metadata.csv", "Cells are placed by the polygons; volumes unknown.")
        )
        return pd.DataFrame(index=counts.cells), found.centroids_of(outlines, counts.cells)

    def _add_images(self, section: VendorSection) -> None:
        """The mosaics of the middle z plane, where their place is known."""
        from spatialdata.transformations import Affine

        folder = self.path / "images"
        planes = _mosaics(folder)
        transform = find(folder, _TRANSFORM) if folder.is_dir() else None
        if not planes or transform is None:
            what = "images" if not planes else f"{_TRANSFORM}, so that images have no place"
            self.findings.append(found.missing(what, "No image is shown.", severity="info"))
            return
        with reading(transform):
            to_pixels = np.loadtxt(transform).reshape(3, 3)
            to_microns = np.linalg.inv(to_pixels)
        affine = Affine(to_microns, input_axes=("x", "y"), output_axes=("x", "y"))
        plane = sorted(planes)[len(planes) // 2]
        stains = planes[plane]
        section.images[f"mosaic_z{plane}"] = image_of(list(stains.values()), list(stains), affine)
        self.findings.append(
            found.in_micrometres(
                f"Images are brought to µm at {to_microns[0, 0]:.6g} µm per pixel", _TRANSFORM
            )
        )


def _by_first_column(path: Path) -> pd.DataFrame:
    """A table whose first column, named or not, holds the cells' ids; these stay text."""
    with reading(path):
        frame = pd.read_csv(path, dtype={0: str}, index_col=0, low_memory=False)
    frame.index = pd.Index(frame.index.astype(str), dtype=object)
    if "EntityID" in frame:  # some versions put a row number before it
        frame.index = pd.Index(read_frame(path, ["EntityID"], ids=["EntityID"])["EntityID"])
    return frame


def _from_parquet(path: Path) -> gpd.GeoDataFrame:
    with reading(path):
        frame = gpd.read_parquet(path)
    need_columns(frame, path, ["EntityID", "ZIndex"])
    ids = pd.Index(frame["EntityID"].astype(str), dtype=object)
    outlines = gpd.GeoDataFrame(geometry=frame.geometry.to_numpy(), index=ids)
    return _middle(outlines, frame["ZIndex"].to_numpy())


def _from_hdf5(files: list[Path]) -> gpd.GeoDataFrame:
    import h5py  # type: ignore[import-untyped]

    ids: list[str] = []
    planes: list[int] = []
    parts: list[Any] = []
    for path in files:
        with reading(path), h5py.File(path, "r") as file:
            for cell, group in file["featuredata"].items():
                for name in (n for n in group if n.startswith("zIndex_")):
                    for ring in group[name].values():
                        ids.append(cell)
                        planes.append(int(name.removeprefix("zIndex_")))
                        parts.append(shapely.Polygon(ring["coordinates"][0]))
    outlines = gpd.GeoDataFrame(geometry=parts, index=pd.Index(ids, dtype=object))
    return _middle(outlines, np.array(planes, dtype=np.int64))


def _middle(outlines: gpd.GeoDataFrame, planes: npt.NDArray[Any]) -> gpd.GeoDataFrame:
    """Of every cell the outline nearest to the middle plane, the largest where it has several."""
    kept = np.array([shape is not None and not shape.is_empty for shape in outlines.geometry])
    outlines, planes = outlines[kept], planes[kept]
    if not len(outlines):
        return outlines
    distance = np.abs(planes - np.median(np.unique(planes)))
    order = np.lexsort((-outlines.area.to_numpy(), planes, distance))
    nearest = outlines.iloc[order]
    first = ~nearest.index.duplicated()
    return nearest[first].loc[outlines.index.unique()]


def _count(path: Path, outlines: gpd.GeoDataFrame) -> Counts:
    """Transcripts in polygons; where cells overlap, each counts once, for the first."""
    spots = read_frame(path, ["global_x", "global_y", "gene"], ids=["gene"])
    need_columns(spots, path, ["global_x", "global_y", "gene"])
    tree = shapely.STRtree(outlines.geometry.to_numpy())
    points = shapely.points(spots[["global_x", "global_y"]].to_numpy(dtype=np.float64))
    spot, cell = tree.query(points, predicate="within")
    spot, first = np.unique(spot, return_index=True)
    ids = pd.Series(outlines.index.to_numpy()[cell[first]], dtype=object)
    genes = spots["gene"].iloc[spot].reset_index(drop=True)
    return found.count(ids, genes, outlines.index, _are_genes)


def _are_genes(names: pd.Index) -> list[bool]:
    return [not name.lower().startswith("blank") for name in names]


def _mosaics(folder: Path) -> dict[int, dict[str, Path]]:
    """z plane → stain → file, DAPI first."""
    planes: dict[int, dict[str, Path]] = {}
    for path in find_all(folder, "mosaic_*"):
        told = _MOSAIC.match(path.name)
        if told:
            planes.setdefault(int(told["plane"]), {})[told["stain"]] = path
    return planes
