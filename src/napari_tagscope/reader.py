"""napari's file reader: sections open through the dock. What is not ours is left to others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari

from tagscope.core.vendors import vendor_of

Read = Callable[[Any], list[Any]]
ZARR_METADATA = ("zarr.json", ".zattrs")
TABLE_ENCODINGS = ("anndata", "ngff:regions_table")


def get_reader(path: str | list[str]) -> Read | None:
    """A reader for one SpatialData store with a table, one folder or file as a vendor's machine
    leaves it, or one ``.h5ad`` with coordinates."""
    if not isinstance(path, str):
        return None
    found = Path(path)
    if vendor_of(found) is not None:
        return _read
    if found.is_dir():
        return _read if has_table(found) else None
    return _read if found.suffix == ".h5ad" and has_coordinates(found) else None


def has_table(store: Path) -> bool:
    """Whether a folder is a SpatialData store with a table, by its metadata alone."""
    groups = (group for name in ("tables", "table") for group in sorted(store.glob(f"{name}/*")))
    return any(_is_table(group) for group in groups)


def has_coordinates(path: Path) -> bool:
    """Whether an ``.h5ad`` has ``obsm["spatial"]``."""
    import h5py  # type: ignore[import-untyped]

    try:
        with h5py.File(path) as file:
            return "spatial" in file.get("obsm", {})
    except OSError:  # not HDF5, whatever its name says
        return False


def _is_table(group: Path) -> bool:
    attributes = _attributes(group)
    encodings = (attributes.get("encoding-type"), attributes.get("spatialdata-encoding-type"))
    return any(encoding in TABLE_ENCODINGS for encoding in encodings)


def _attributes(group: Path) -> dict[str, Any]:
    """Attributes of a zarr group, format 2 or 3; none where there is no readable metadata."""
    for name in ZARR_METADATA:
        try:
            metadata = json.loads((group / name).read_text())
        except (OSError, ValueError):
            continue
        found = metadata.get("attributes", {}) if name == "zarr.json" else metadata
        return dict(found)
    return {}


def _read(path: Any) -> list[Any]:
    """Open a section in the current viewer; ``(None,)`` tells napari that it is taken care of."""
    from napari_tagscope.views.open import show_result

    viewer = napari.current_viewer()
    if viewer is None:
        return _as_points(Path(path))
    show_result(viewer, path)
    return [(None,)]


def _as_points(path: Path) -> list[Any]:
    """Without a viewer: the cells' centroids as Points, in the section's own unit."""
    from tagscope import api

    section = api.open_section(path).section
    return [(section.xy[:, ::-1], {"name": section.name}, "points")]
