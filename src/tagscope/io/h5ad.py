"""AnnData files and the coordinates in them."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tagscope.errors import ArgumentError, InputError
from tagscope.io.findings import Finding, listed
from tagscope.io.meters import Meter
from tagscope.io.units import declared_unit
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from anndata import AnnData

# What a damaged file makes h5py, zarr, pyarrow and anndata raise.
READ_ERRORS = (
    OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, IndexError, EOFError,
)  # fmt: skip

_OTHER_COORDINATES = ("X_spatial", "spatial_coords", "spatial_coordinates", "X_coords")
_OTHER_COLUMNS = (
    ("x", "y"), ("X", "Y"), ("x_centroid", "y_centroid"), ("center_x", "center_y"),
    ("CenterX_global_px", "CenterY_global_px"), ("x_location", "y_location"),
)  # fmt: skip
_VISIUM_SPOT = 55.0  # µm
_PIECE = 1 << 24  # bytes that are read between two reports


@contextmanager
def quietly() -> Iterator[None]:
    """Keep back what third-party readers and writers say of matters we report on ourselves."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Transforming to str index")
        warnings.filterwarnings("ignore", message="Observation names are not unique")
        warnings.filterwarnings("ignore", message="Variable names are not unique")
        warnings.filterwarnings("ignore", message="SpatialData is not stored in the most current")
        warnings.filterwarnings("ignore", message=".*not recognized as a component of a Zarr")
        warnings.filterwarnings("ignore", message="Call to deprecated class Scaler")
        warnings.filterwarnings("ignore", message="Moving element from .uns")
        warnings.filterwarnings("ignore", message="The table is annotating")
        warnings.filterwarnings("ignore", message="The data type .* does not have a Zarr V3 spec")
        warnings.filterwarnings("ignore", message="zarr v3 autosharding will be the default")
        yield


class _Heard(io.FileIO):
    """A file that tells how far it is read, and from which a reader can be called back."""

    def __init__(self, path: Path, context: JobContext) -> None:
        super().__init__(path)
        self._meter = Meter(context, "reading MB")
        self._meter.expect(path.stat().st_size)

    def readinto(self, buffer: Any) -> int:
        view, read = memoryview(buffer), 0
        while got := super().readinto(view[read : read + _PIECE]):
            read += got
            self._meter(got)
        return read


def read_h5ad(path: Path, context: JobContext | None = None) -> AnnData:
    """An ``.h5ad`` in memory. ``context`` hears ``step("reading MB", done, size)``.

    Raises
    ------
    InputError
        If the file is not AnnData or is damaged.
    """
    import anndata
    import h5py  # type: ignore[import-untyped]

    try:
        with h5py.File(path, "r") as file:
            names = set(file)
    except OSError as error:
        raise damaged(path, error) from error
    if not {"obs", "var"} <= names:
        raise InputError(
            f"{path} is an HDF5 file without cells and genes (it holds {listed(sorted(names))}).",
            "An AnnData .h5ad is needed.",
            "10x .h5 files: scanpy.read_10x_h5(path).write_h5ad('cells.h5ad').",
        )
    try:
        with quietly(), _Heard(path, context or JobContext()) as file:
            return anndata.read_h5ad(file)
    except READ_ERRORS as error:
        raise damaged(path, error) from error


def keep_where(obs: pd.DataFrame, where: str | None) -> npt.NDArray[np.bool_]:
    """Rows for which a pandas query over ``obs`` holds, (N,) bool.

    Raises
    ------
    ArgumentError
        If the expression cannot be evaluated or keeps no row.
    """
    if where is None:
        return np.ones(len(obs), dtype=bool)
    numbered = obs.reset_index(drop=True)
    try:
        kept = numbered.query(where, engine="python").index
    except (*READ_ERRORS, NameError, SyntaxError) as error:
        raise ArgumentError(
            f"The query {where!r} cannot be evaluated: {error}.",
            f"A pandas query over the columns {listed(obs.columns)} is needed.",
            'Compare text in quotes: animal == "7".',
            {"where": None},
        ) from error
    if not len(kept) and len(obs):
        raise ArgumentError(
            f"The query {where!r} keeps none of the {len(obs)} cells.",
            "At least one cell is needed.",
            "Check the value: text needs quotes, numbers none.",
            {"where": None},
        )
    mask = np.zeros(len(obs), dtype=bool)
    mask[np.asarray(kept)] = True
    return mask


def coordinates_of(table: AnnData) -> npt.NDArray[np.float64] | None:
    """``obsm["spatial"]``, (N, 2), or None where the table has none that can be read."""
    found: Any = table.obsm.get("spatial")
    if found is None:
        return None
    values = np.asarray(found, dtype=np.float64)
    return values[:, :2] if values.ndim == 2 and values.shape[1] >= 2 else None


def place_h5ad(
    table: AnnData,
) -> tuple[npt.NDArray[np.float64] | None, str, float | None, list[Finding]]:
    """Coordinates in µm where the file tells their unit: xy, unit, µm per unit, findings."""
    xy = coordinates_of(table)
    if xy is None:
        return None, "unknown", None, [no_coordinates(table)]
    unit = declared_unit(table.uns)
    um, told = unit.um, unit.told
    if um is None and _visium_scale(table):
        um, told = _visium_scale(table), "microns_per_pixel"
    if um is None:
        return xy, "unknown", None, [unknown_unit(told)]
    findings = [] if um == 1.0 else [converted(um, told)]
    return xy * um, "µm", um, findings


def no_coordinates(table: AnnData) -> Finding:
    """The table has no coordinates; say where it may have some under another name."""
    keys = [key for key in _OTHER_COORDINATES if key in table.obsm]
    columns = [pair for pair in _OTHER_COLUMNS if set(pair) <= set(table.obs.columns)]
    fix = "Give a section; a dissociated reference is there to train on."
    if keys:
        fix = f"Name them so: table.obsm['spatial'] = table.obsm[{keys[0]!r}]."
    elif columns:
        fix = f"Name them so: table.obsm['spatial'] = table.obs[{list(columns[0])}].to_numpy()."
    return Finding(
        "error",
        "no-coordinates",
        "The table has no coordinates (obsm['spatial'] is missing or not two-dimensional).",
        "A position for every cell is needed.",
        fix,
    )


def unknown_unit(told: str) -> Finding:
    """Coordinates are kept as they are."""
    said = f" ({told})" if told else ""
    return Finding(
        "warning",
        "unknown-unit",
        f"The file does not tell how many µm a coordinate unit is{said}.",
        "Distances and scale bars are in the file's units.",
        "Give the µm per unit if you know them.",
        ask="um_per_unit",
    )


def converted(um: float, told: str) -> Finding:
    """Coordinates were multiplied."""
    return Finding(
        "info", "converted", f"Coordinates were converted at {um:g} µm per unit ({told})."
    )


def spot_diameter(
    table: AnnData, technology: str, unit: str, um_per_unit: float | None
) -> float | None:
    """Width of a spot in the unit of the coordinates, None where neither file nor assay tells."""
    width = _scale_factor(table, "spot_diameter_fullres")
    if width is not None:
        return width * (um_per_unit or 1.0)
    if technology == "Visium" and unit == "µm" and _scale_factor(table, "bin_size_um") is None:
        return _VISIUM_SPOT
    return None


def _visium_scale(table: AnnData) -> float | None:
    """µm per pixel as Space Ranger writes it for Visium HD."""
    return _scale_factor(table, "microns_per_pixel")


def _scale_factor(table: AnnData, name: str) -> float | None:
    """What Space Ranger says of the image, where one library is in the file."""
    libraries = table.uns.get("spatial")
    if not isinstance(libraries, dict) or len(libraries) != 1:
        return None
    library = next(iter(libraries.values()))
    scales = library.get("scalefactors", {}) if isinstance(library, dict) else {}
    return float(scales[name]) if name in scales else None


def damaged(path: Path, error: BaseException) -> InputError:
    """The file cannot be read, or not all of it."""
    return InputError(
        f"{path} is damaged or was not copied completely ({type(error).__name__}: {error}).",
        "A complete file is needed.",
        "Copy or download it again.",
    )
