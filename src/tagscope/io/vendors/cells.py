"""Cells of a vendor's folder as a SpatialData: counts, positions, outlines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
import shapely

from tagscope.errors import InputError
from tagscope.io.findings import Finding
from tagscope.io.outlines import free_radius

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

MICRONS = "microns"
"""The coordinate system of all that is read here."""

BOUNDARIES = "cell_boundaries"
CIRCLES = "cell_circles"
CONTROLS = "controls"
"""``obsm`` with the counts of features that are no genes, and ``uns`` with their names."""

_NO_CELL = frozenset({"0", "-1", "", "nan", "None", "UNASSIGNED"})


@dataclass(frozen=True)
class Counts:
    """What was counted in every cell: ``values`` (N, F) CSR float32 over all features.

    ``cells`` N ids as text; ``features`` F rows by name: ``gene`` tells genes from controls,
    ``gene_ids`` are Ensembl ids where the folder has them.
    """

    values: sp.csr_matrix
    cells: pd.Index
    features: pd.DataFrame


@dataclass
class VendorSection:
    """What a folder holds, as it is found; :meth:`store` puts it together.

    ``obs`` and ``xy`` (N, 2) µm have the rows of ``counts``; ``outlines`` are polygons in µm by
    cell id. Where there are none, ``discs`` of ``radius`` µm are drawn, half the distance to the
    nearest cell if None. ``images``, ``labels``, ``points`` and ``shapes`` are elements in
    ``"microns"``.
    """

    technology: str
    counts: Counts
    obs: pd.DataFrame
    xy: npt.NDArray[np.float64]
    outlines: gpd.GeoDataFrame | None = None
    radius: npt.NDArray[np.float64] | float | None = None
    discs: str = CIRCLES
    images: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)
    points: dict[str, Any] = field(default_factory=dict)
    shapes: dict[str, Any] = field(default_factory=dict)

    def store(self, table: str = "table") -> SpatialData:
        """The section with its table tied to the cells' polygons, or to discs without any."""
        from spatialdata import SpatialData
        from spatialdata.models import ShapesModel
        from spatialdata.transformations import Identity

        region = self.discs if self.outlines is None else BOUNDARIES
        frame = self._discs() if self.outlines is None else self.outlines
        cells = ShapesModel.parse(frame, transformations={MICRONS: Identity()})
        return SpatialData(
            images=self.images,
            labels=self.labels,
            points=self.points,
            shapes={region: cells, **self.shapes},
            tables={table: self._table(region)},
            attrs={"source": {"technology": self.technology, "spatial_unit": "um"}},
        )

    def _table(self, region: str) -> AnnData:
        from anndata import AnnData
        from spatialdata.models import TableModel

        counts, genes = self.counts, self.counts.features["gene"].to_numpy(dtype=bool)
        obs = _with_plain_names(self.obs).set_axis(counts.cells)
        obs = obs.assign(cell_id=counts.cells, region=pd.Categorical([region] * len(obs)))
        var = counts.features.loc[genes].drop(columns="gene")
        table = AnnData(sp.csr_matrix(counts.values[:, genes]), obs=obs, var=var)
        table.obsm["spatial"] = self.xy
        if not genes.all():
            table.obsm[CONTROLS] = sp.csr_matrix(counts.values[:, ~genes])
            table.uns[CONTROLS] = counts.features.index[~genes].to_numpy(dtype=np.str_)
        return TableModel.parse(table, region=region, region_key="region", instance_key="cell_id")

    def _discs(self) -> gpd.GeoDataFrame:
        radius = free_radius(self.xy) if self.radius is None else self.radius
        points = gpd.points_from_xy(self.xy[:, 0], self.xy[:, 1])
        return gpd.GeoDataFrame({"radius": radius}, geometry=points, index=self.counts.cells)


@dataclass(frozen=True)
class VendorFolder:
    """A folder as a SpatialData with lazy images and transcripts, and what is notable about it."""

    store: SpatialData
    findings: tuple[Finding, ...]


def in_a_cell(ids: pd.Series) -> npt.NDArray[np.bool_]:
    """Which ids (as text) name a cell: 0, −1 and UNASSIGNED mean none, (M,) bool."""
    return np.asarray(~ids.isin(_NO_CELL))


def count(cells: pd.Series, features: pd.Series, known: pd.Index, are_genes: Any) -> Counts:
    """Count transcripts by cell and feature, one row each; ``known`` cells come first.

    ``are_genes`` tells, of an index of names, which are genes.
    """
    every = known.append(pd.Index(cells.unique(), dtype=object).difference(known))
    names = pd.Index(sorted(features.astype(str).unique()), dtype=object)
    where = (every.get_indexer(cells), names.get_indexer(features.astype(str)))
    ones = np.ones(len(cells), np.float32)
    values = sp.csr_matrix((ones, where), shape=(len(every), len(names)), dtype=np.float32)
    return Counts(values, every, pd.DataFrame({"gene": are_genes(names)}, index=names))


def polygons(
    ids: pd.Series, xy: npt.NDArray[np.float64], ring: pd.Series | None = None
) -> gpd.GeoDataFrame:
    """Polygons by cell id from vertices in order, (V,) ids and (V, 2) coordinates.

    ``ring`` tells the rings of a cell apart, where it may have several. Rings of fewer than three
    vertices are none; of several rings the largest stays.
    """
    codes, _ = pd.factorize(ids if ring is None else ids + "/" + ring.astype(str))
    order = np.argsort(codes, kind="stable")
    order = order[np.bincount(codes)[codes[order]] >= 3]
    _, first, owner = np.unique(codes[order], return_index=True, return_inverse=True)
    made = shapely.polygons(shapely.linearrings(xy[order], indices=owner))
    cells = pd.Index(ids.to_numpy()[order[first]], dtype=object)
    frame = frame_of(made, cells)
    if cells.is_unique:
        return frame
    largest = frame.iloc[np.argsort(-shapely.area(made), kind="stable")]
    return largest[~largest.index.duplicated()]


def frame_of(shapes: npt.NDArray[np.object_], cells: pd.Index) -> gpd.GeoDataFrame:
    """Shapes by cell id."""
    return gpd.GeoDataFrame(geometry=shapes, index=cells)


def centroids_of(frame: gpd.GeoDataFrame, cells: pd.Index) -> npt.NDArray[np.float64]:
    """Centroids of polygons in the order of ``cells``, (N, 2), NaN for a cell without."""
    points = frame.geometry.centroid.reindex(cells)
    return np.column_stack([points.x, points.y]).astype(np.float64)


def means_of(cells: pd.Series, xy: npt.NDArray[np.float64], every: pd.Index) -> Any:
    """Mean place of every cell's transcripts, (N, 2), NaN for a cell without."""
    frame = pd.DataFrame(xy, columns=["x", "y"]).groupby(cells.to_numpy()).mean()
    return frame.reindex(every).to_numpy(dtype=np.float64)


def rows_for(frame: pd.DataFrame, ids: pd.Series, cells: pd.Index) -> pd.DataFrame:
    """Rows of a table of cells in the order of ``cells``."""
    found = frame.set_axis(pd.Index(ids.astype(str), dtype=object))
    return found[~found.index.duplicated()].reindex(cells)


def placed(
    counts: Counts, obs: pd.DataFrame, xy: npt.NDArray[np.float64], findings: list[Finding]
) -> tuple[Counts, pd.DataFrame, npt.NDArray[np.float64]]:
    """The cells that have a place; how many have none is added to ``findings``."""
    known = np.asarray(np.isfinite(xy).all(axis=1))
    if known.all():
        return counts, obs, xy
    findings.append(
        Finding(
            "warning",
            "cells-without-place",
            f"{int((~known).sum())} of {len(known)} cells with counts have no place in any file.",
            "They are left out.",
        )
    )
    return take(counts, counts.cells[known]), obs[known], xy[known]


def take(counts: Counts, cells: pd.Index) -> Counts:
    """The counts of some cells, in their order."""
    rows = counts.cells.get_indexer(cells)
    return Counts(counts.values[rows], cells, counts.features)


def _with_plain_names(obs: pd.DataFrame) -> pd.DataFrame:
    """Columns under names that SpatialData takes, which differ by more than their case."""
    plain = obs.rename(columns=lambda name: re.sub(r"[^\w.-]", "_", str(name)))
    lower = plain.columns.str.lower()
    return plain.loc[:, ~lower.duplicated() & ~lower.isin(["cell_id", "region"])]


def refuse_without_cells(path: Any, cells: pd.Index, found: str, needed: str) -> None:
    """Raise an InputError where a folder has no cells."""
    if not len(cells):
        raise InputError(f"{path} holds no cells: {found}.", needed, "Check the folder.")


def missing(what: str, cost: str, fix: str = "", severity: Any = "warning") -> Finding:
    """Something that a complete folder has is not there, and what that costs."""
    return Finding(severity, "missing-file", f"There is no {what}.", cost, fix)


def in_micrometres(what: str, told: str) -> Finding:
    """How lengths came to be µm."""
    return Finding("info", "converted", f"{what} ({told}).")


def rename(frame: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Columns under the names that newer versions of the vendor's software give them."""
    return frame.rename(columns={k: v for k, v in names.items() if v not in frame})
