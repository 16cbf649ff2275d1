"""Where the cells of a store are: centroids and outlines in µm."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from tagscope.core.section import CellOutlines, LabelImage, SideBySide
from tagscope.io import h5ad, masks, outlines
from tagscope.io.findings import Finding
from tagscope.io.spatialdata_store import affine_to, link_of, pick_coordinate_system
from tagscope.io.units import (
    SHAPES_IN_MICROMETRES,
    Unit,
    declared_unit,
    names_micrometres,
)

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

_IDENTITY = np.eye(3)
_ENOUGH = 0.9
_SAMPLE = 2000  # shapes that tell where all lie
_INSIDE = 0.5
_OF_UNITS = ("unknown-unit", "converted")


@dataclass(frozen=True)
class Placement:
    """Where cells are: ``xy`` (N, 2) in ``unit``, None where nothing tells.

    ``um_per_unit``: µm per unit of ``coordinate_system``, None where not known; all else here is
    already multiplied by it. ``pieces``: where several sections were laid side by side, by
    which offsets.
    """

    xy: npt.NDArray[np.float64] | None
    unit: str = "unknown"
    um_per_unit: float | None = None
    outlines: CellOutlines | None = None
    coordinate_system: str | None = None
    findings: tuple[Finding, ...] = ()
    labels: LabelImage | None = None
    spot_diameter: float | None = None
    pieces: SideBySide | None = None


@dataclass
class _Placing:
    """What is known while a store's cells are placed."""

    store: SpatialData
    table: AnnData
    technology: str
    findings: list[Finding] = field(default_factory=list)

    def place(self, region: str | None, system: str | None) -> Placement:
        element = _element(self.store, region)
        if element is None:
            return self._without_element(region)
        assert region is not None
        system = pick_coordinate_system(element, system, region)
        unit = self._unit(system)
        scale = 1.0 if unit.um is None else unit.um
        to_um = np.diag([scale, scale, 1.0]) @ affine_to(element, system)
        instances = self._instances()
        rings, width = None, None
        if region in self.store.shapes:
            xy, rings, width = self._from_shapes(region, system, instances, to_um, scale)
            labels = self._twin_labels(system, instances, xy, scale)
        else:
            labels = self._label_image(region, instances, to_um)
            xy = self._from_labels(element, labels, to_um)
        if unit.um is None:
            self.findings.append(h5ad.unknown_unit(unit.told))
        elif unit.um != 1.0:
            self.findings.append(h5ad.converted(unit.um, unit.told))
        name = "unknown" if unit.um is None else "µm"
        found = tuple(self.findings)
        return Placement(xy, name, unit.um, rings, system, found, labels, width)

    def _instances(self) -> pd.Series:
        link = link_of(self.table)
        assert link is not None
        return self.table.obs[link.instance_key]

    def _without_element(self, region: str | None) -> Placement:
        xy, unit, um, findings = h5ad.place_h5ad(self.table)
        if region is not None:
            severity = "warning" if xy is not None else "error"
            self.findings.append(_no_element(region, severity))
            findings = [f for f in findings if f.code != "no-coordinates"]
        declared = declared_unit(self.store.attrs)
        if xy is not None and um is None and declared.um is not None:
            findings = [h5ad.converted(declared.um, declared.told)] if declared.um != 1 else []
            xy, unit, um = xy * declared.um, "µm", declared.um
        return Placement(xy, unit, um, None, None, (*self.findings, *findings))

    def _unit(self, system: str) -> Unit:
        """µm per unit of a coordinate system: declared, in its name, or by the vendor's rule."""
        unit = declared_unit(self.store.attrs, self.table.uns)
        if unit.um is not None or names_micrometres(system):
            return unit if unit.um is not None else Unit(1.0, f"coordinate system {system}")
        if self.technology in SHAPES_IN_MICROMETRES:
            for name in self.store.shapes:
                scale = _scale(self.store.shapes[name], system)
                if scale is not None:
                    return Unit(1.0 / scale, f"{self.technology} keeps shapes in µm")
        return unit

    def _from_shapes(
        self,
        region: str,
        system: str,
        instances: pd.Series,
        to_um: npt.NDArray[np.float64],
        scale: float,
    ) -> tuple[npt.NDArray[np.float64], CellOutlines | None, float | None]:
        """Centroids, polygons, and the width of circles that have none."""
        frame = self.store.shapes[region]
        rows = outlines.rows_in(frame.index, instances)
        shapes = outlines.geometries(frame, rows)
        radius = _typical_radius(frame, shapes) * np.sqrt(abs(np.linalg.det(to_um[:2, :2])))
        told = h5ad.coordinates_of(self.table)
        agreed = None if told is None else _consistent(told, shapes, to_um, scale, radius)
        if told is not None and agreed is None:
            self.findings.append(_inconsistent(region))
        xy = outlines.moved(outlines.centroids(shapes), to_um) if agreed is None else agreed
        missing = int((rows < 0).sum())
        if missing:
            self.findings.append(_rows_without_shapes(missing, region, bool(np.isnan(xy).any())))
        rings = outlines.outlines_of(shapes, to_um)
        width = None if rings is not None or radius <= 0 else 2 * radius
        return xy, rings or self._twin_outlines(region, system, instances, scale), width

    def _twin_outlines(
        self, region: str, system: str, instances: pd.Series, scale: float
    ) -> CellOutlines | None:
        """Polygons of the same cells, where the table is tied to circles as Xenium's may be."""
        for name, frame in self.store.shapes.items():
            if name == region or "nucle" in name.lower():
                continue
            rows = outlines.rows_in(frame.index, instances)
            if not len(rows) or (rows >= 0).mean() < _ENOUGH or _scale(frame, system) is None:
                continue
            to_um = np.diag([scale, scale, 1.0]) @ affine_to(frame, system)
            rings = outlines.outlines_of(outlines.geometries(frame, rows), to_um)
            if rings is not None:
                self.findings.append(
                    Finding("info", "outlines", f"Outlines are taken from {name!r}.")
                )
                return rings
        return None

    def _label_image(
        self, name: str, instances: pd.Series, to_um: npt.NDArray[np.float64]
    ) -> LabelImage:
        ids = pd.to_numeric(instances, errors="coerce").fillna(0).to_numpy(dtype=np.int64)
        return masks.label_image(self.store.labels[name], to_um, ids, _identity(self.store, name))

    def _twin_labels(
        self, system: str, instances: pd.Series, xy: npt.NDArray[np.float64], scale: float
    ) -> LabelImage | None:
        """A label image of the same cells, where the table is tied to shapes."""
        for name, element in self.store.labels.items():
            ids = self.table.obs.get(name, instances)  # Xenium's labels have a column of their own
            plain = "nucle" not in name.lower() and masks.levels_of(element)[0].ndim == 2
            if not plain or _scale(element, system) is None:
                continue
            to_um = np.diag([scale, scale, 1.0]) @ affine_to(element, system)
            image = self._label_image(name, ids, to_um)
            if masks.share_inside(image, xy) > _INSIDE:
                return image
        return None

    def _from_labels(
        self, element: Any, image: LabelImage, to_um: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        told = h5ad.coordinates_of(self.table)
        if told is not None and not np.isnan(told).any():
            there = outlines.moved(told, to_um)
            if masks.share_inside(image, there) > _INSIDE:
                return there
        xy = masks.label_centroids(element, image.ids)
        missing = int(np.isnan(xy).any(axis=1).sum())
        if missing:
            self.findings.append(_rows_without_shapes(missing, "the label image", True))
        return outlines.moved(xy, to_um)


def place_in_store(
    store: SpatialData, table: AnnData, region: str | None, system: str | None, technology: str
) -> Placement:
    """Place the rows of ``table`` by the element that ``region`` names.

    ``obsm["spatial"]`` is used where it agrees with the element, in the element's own coordinates
    or in the coordinate system's; the element's centroids otherwise.
    """
    return _Placing(store, table, technology).place(region, system)


def in_micrometres(placement: Placement, um: float) -> Placement:
    """The same places where a coordinate unit is ``um`` µm, whatever the file says of it."""
    if placement.xy is None:
        return placement
    factor = um / (placement.um_per_unit or 1.0)
    rings, image, width = placement.outlines, placement.labels, placement.spot_diameter
    if rings is not None:
        rings = replace(rings, vertices=(rings.vertices * factor).astype(np.float32))
    if image is not None:
        scale = np.diag([factor, factor, 1.0])
        image = replace(image, affines=tuple(scale @ affine for affine in image.affines))
    told = h5ad.converted(um, "as given")
    findings = (*(f for f in placement.findings if f.code not in _OF_UNITS), told)
    return replace(
        placement,
        xy=placement.xy * factor,
        unit="µm",
        um_per_unit=um,
        outlines=rings,
        labels=image,
        spot_diameter=None if width is None else width * factor,
        findings=findings,
    )


def _element(store: SpatialData, region: str | None) -> Any | None:
    if region in store.shapes:
        return store.shapes[region]
    return store.labels.get(region)


def _identity(store: SpatialData, name: str) -> str:
    """Where a label image is on disk and when it was written, "" where it is not."""
    if store.path is None:
        return ""
    folder = Path(store.path) / "labels" / name
    written = max((part.stat().st_mtime_ns for part in folder.glob("*")), default=0)
    return f"{folder.resolve()} {written}"


def _scale(element: Any, system: str) -> float | None:
    """Units of a coordinate system per unit of the element, None unless alike in x and y."""
    from spatialdata.transformations import get_transformation

    if system not in get_transformation(element, get_all=True):
        return None
    stretch = np.linalg.svd(affine_to(element, system)[:2, :2], compute_uv=False)
    return float(stretch.mean()) if stretch[1] > 0.99 * stretch[0] else None


def _typical_radius(frame: Any, shapes: npt.NDArray[np.object_]) -> float:
    """Median radius of the cells in the element's units."""
    if outlines.are_polygons(shapes):
        there = shapes[shapes != None]  # noqa: E711 - elementwise
        return float(np.sqrt(np.median(shapely.area(_sample(there))) / np.pi))
    return float(frame["radius"].median()) if "radius" in frame else 0.0


def _consistent(
    told: npt.NDArray[np.float64],
    shapes: npt.NDArray[np.object_],
    to_um: npt.NDArray[np.float64],
    scale: float,
    radius: float,
) -> npt.NDArray[np.float64] | None:
    """``told`` in µm, if a sample lies within two radii of the shapes' centroids."""
    sample = _sample(np.flatnonzero(shapes != None))  # noqa: E711 - elementwise
    xy = outlines.moved(outlines.centroids(shapes[sample]), to_um)
    best, nearest = None, 2 * radius if radius > 0 else np.inf
    for candidate in (outlines.moved(told, to_um), told * scale):
        apart = np.hypot(*(candidate[sample] - xy).T)
        known = apart[~np.isnan(apart)]
        if len(known) and float(np.median(known)) <= nearest:
            best, nearest = candidate, float(np.median(known))
    return best


def _sample(items: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """At most some thousands of them, evenly drawn."""
    return items[:: max(1, len(items) // _SAMPLE)]


def _no_element(region: str, severity: Any) -> Finding:
    fix = "Write the element into the store, or correct uns['spatialdata_attrs']['region']."
    needed = "An element of shapes or labels of that name is needed."
    if severity == "warning":
        needed = "obsm['spatial'] is used as it is; there are no outlines."
    found = f"The table annotates {region!r}, which is not among the store's shapes and labels."
    return Finding(severity, "region-missing", found, needed, fix)


def _inconsistent(region: str) -> Finding:
    return Finding(
        "warning",
        "inconsistent-coordinates",
        f"obsm['spatial'] lies elsewhere than the cells of {region!r}.",
        "The centroids of the element are used.",
        "Check which of the two is right.",
    )


def _rows_without_shapes(missing: int, region: str, lost: bool) -> Finding:
    needed = "Every cell needs a position." if lost else "obsm['spatial'] is used for them."
    return Finding(
        "error" if lost else "warning",
        "rows-without-shapes",
        f"{missing} cells of the table have no shape in {region}.",
        needed,
        "Remove these rows from the table, or add the shapes.",
    )
