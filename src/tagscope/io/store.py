"""Write results into a store or an ``.h5ad`` without ever risking what is there.

A result never touches the file it goes into. The whole new store is made beside it, verified by
reading it back, and exchanged with the old one in a single step: a kill at any moment leaves the
old store or the new one. In place this costs little, for everything but the annotated table is
hard-linked, not copied, and so stays byte for byte what it was.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tagscope.errors import ArgumentError, OutputError
from tagscope.io import spatialdata_store as stores
from tagscope.io.atomic import written_whole
from tagscope.io.compare import first_difference
from tagscope.io.h5ad import place_h5ad, quietly, read_h5ad
from tagscope.io.outlines import free_radius
from tagscope.io.readers import Loaded, SectionSource, inspect, load

if TYPE_CHECKING:
    from anndata import AnnData

_REGION = "cells"
_NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP})

Transfer = Callable[[Path, Path], None]


def read_table(path: Path | str, *, table: str | None = None) -> AnnData:
    """The table of a store, or an ``.h5ad``, in memory with all its rows.

    Raises
    ------
    InputError
        If the file cannot be read or the table is empty.
    ArgumentError
        If the table is not there, or must be chosen.
    """
    return load(Path(path), table=table).table


def write_results(
    source: SectionSource,
    write: Callable[[AnnData], None],
    out: Path | str,
    *,
    overwrite: bool = False,
) -> Path:
    """Let ``write`` add results to the section's table, and write the whole to ``out``.

    Where ``out`` is the section's own file, results are added in place. Any other path gets a
    complete copy: of a store or a vendor's folder with all its elements, of an ``.h5ad`` with all
    its slots, or one turned into the other, by the suffix of ``out`` (``.h5ad``, else a store). A
    copy of a section that is a part of its table (``--region``, ``--where``) holds the rows of that
    part alone.

    Raises
    ------
    ArgumentError
        If results for a part of a table would go in place: the other rows would have none.
    OutputError
        If ``out`` exists and ``overwrite`` is not set, or cannot be written.
    """
    path, target = Path(os.path.realpath(source.path)), Path(os.path.realpath(out))
    in_place = path == target
    if in_place and source.kind == "vendor":
        raise OutputError(
            f"{out} is a vendor's folder, which is never written to.",
            "Results go into a store or an .h5ad.",
            "Give another --out.",
        )
    if path in target.parents or target in path.parents:
        raise OutputError(
            f"{out} lies inside the section's own folder, or the other way round.",
            "A result is written beside its section, or in place.",
            "Choose another --out.",
        )
    with written_whole(target, overwrite=overwrite or in_place) as partial:
        if target.suffix == ".h5ad":
            _write_h5ad(source, write, partial, in_place)
        elif source.kind == "h5ad":
            _write_new_store(source, write, partial)
        elif source.kind == "vendor":
            _write_read_store(source, write, partial)
        else:
            _write_store(source, write, partial, in_place)
    return target


def _write_h5ad(
    source: SectionSource, write: Callable[[AnnData], None], partial: Path, in_place: bool
) -> None:
    table = _part(source, in_place)
    if source.kind != "h5ad":
        _keep_coordinates(source, table)
    write(table)
    partial.write_bytes(_as_h5ad(table))
    _verify(table, read_h5ad(partial))


def _as_h5ad(table: AnnData) -> memoryview:
    """The file's bytes, made in memory: HDF5 crashes the process where a disk runs full."""
    import h5py  # type: ignore[import-untyped]
    from anndata.io import write_elem

    content = io.BytesIO()
    with h5py.File(content, "w") as file, quietly():
        write_elem(file, "/", table, dataset_kwargs={"compression": "gzip"})
    return content.getbuffer()


def _write_store(
    source: SectionSource, write: Callable[[AnnData], None], partial: Path, in_place: bool
) -> None:
    table = _part(source, in_place)
    stores.restrict_regions(table)
    write(table)
    path = Path(os.path.realpath(source.path))
    assert source.table is not None
    skipped = path / "tables" / source.table
    _mirror(path, partial, skipped, _link if in_place else _copy)
    _add_table(partial, source.table, table, like=path)
    _consolidate(path, partial)
    _verify(table, load(partial, table=source.table).table)


def _write_new_store(
    source: SectionSource, write: Callable[[AnnData], None], partial: Path
) -> None:
    """A store from an ``.h5ad``: its table, tied to circles at the cells' coordinates."""
    from spatialdata import SpatialData

    table = _part(source, in_place=False)
    circles = _tie_to_circles(table)
    write(table)
    with quietly():
        SpatialData(tables={"table": table}, shapes=circles).write(partial)
    _verify(table, load(partial).table)


def _write_read_store(
    source: SectionSource, write: Callable[[AnnData], None], partial: Path
) -> None:
    """A store of all that a vendor's folder holds, with the table that was annotated."""
    loaded = _load(source)
    assert loaded.store is not None
    assert loaded.name is not None
    write(loaded.table)
    loaded.store.tables[loaded.name] = loaded.table
    with quietly():
        loaded.store.write(partial)
    _verify(loaded.table, load(partial, table=loaded.name).table)


def _load(source: SectionSource) -> Loaded:
    return load(source.path, table=source.table, region=source.region, where=source.where)


def _part(source: SectionSource, in_place: bool) -> AnnData:
    """The rows of the source that were annotated."""
    loaded = _load(source)
    rows = loaded.table.n_obs
    if in_place and rows != loaded.total_rows:
        raise ArgumentError(
            f"The section is {rows} of the table's {loaded.total_rows} rows.",
            "Written in place, the other rows would be left without a result.",
            "Give another --out: it gets these rows alone.",
        )
    return loaded.table


def _keep_coordinates(source: SectionSource, table: AnnData) -> None:
    """Give an ``.h5ad`` the coordinates that a store keeps in other elements, and their unit."""
    placement = inspect(
        source.path,
        table=source.table,
        region=source.region,
        layer=source.layer,
        where=source.where,
        coordinate_system=source.coordinate_system,
    ).placement
    if placement.xy is None:
        return
    xy = placement.xy if placement.pieces is None else placement.xy - placement.pieces.moves
    if "spatial" not in table.obsm:
        table.obsm["spatial"] = xy
    same = np.allclose(np.asarray(table.obsm["spatial"])[:, :2], xy, equal_nan=True)
    if same and placement.unit == "µm" and "source" not in table.uns:
        table.uns["source"] = {"spatial_unit": "um", "technology": source.technology}


def _tie_to_circles(table: AnnData) -> dict[str, Any]:
    """Circles of half the distance to the nearest cell, and the table tied to them."""
    import geopandas
    from spatialdata.models import ShapesModel, TableModel

    xy, _, um, _ = place_h5ad(table)
    if xy is None:
        return {}
    points = xy / (um or 1.0)
    circles = geopandas.GeoDataFrame(
        {"radius": np.full(len(points), free_radius(points))},
        geometry=geopandas.points_from_xy(points[:, 0], points[:, 1]),
        index=pd.Index(table.obs_names.astype(object)),
    )
    region_key = _free_name(table, "region")
    instance_key = _free_name(table, "instance_id")
    table.obs[region_key] = pd.Categorical([_REGION] * table.n_obs)
    table.obs[instance_key] = table.obs_names.astype(object)
    table.uns.pop(stores.ATTRS, None)
    TableModel.parse(table, region=_REGION, region_key=region_key, instance_key=instance_key)
    return {_REGION: ShapesModel.parse(circles)}


def _free_name(table: AnnData, name: str) -> str:
    while name in table.obs:
        name = f"_{name}"
    return name


def _mirror(source: Path, target: Path, skipped: Path, transfer: Transfer, depth: int = 0) -> None:
    """Repeat a folder, but for ``skipped`` and the remains of interrupted writes.

    Files of the two upper levels are metadata of groups, which are written again: always copied.
    """
    target.mkdir()
    with os.scandir(source) as entries:
        for entry in entries:
            origin, copy = Path(entry.path), target / entry.name
            if origin == skipped or entry.name.startswith(f".{skipped.name}."):
                continue
            if entry.is_dir(follow_symlinks=transfer is _copy):
                _mirror(origin, copy, skipped, transfer, depth + 1)
            elif depth < 2:
                _copy(origin, copy)
            else:
                transfer(origin, copy)


def _copy(source: Path, target: Path) -> None:
    """The content alone: a copy of a read-only file may be written."""
    shutil.copyfile(source, target)


def _link(source: Path, target: Path) -> None:
    """One more name for the same bytes, or a copy where the file system has no such thing."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copy2(source, target, follow_symlinks=False)


def _add_table(store: Path, name: str, table: AnnData, *, like: Path) -> None:
    """Write a table in the zarr format of the store, with the attributes of its forerunner."""
    import zarr
    from anndata.io import write_elem

    before = dict(zarr.open_group(like / "tables" / name, mode="r").attrs)
    tables = zarr.open_group(store / "tables", mode="r+", use_consolidated=False)
    with quietly():
        write_elem(tables, name, table)
    group = tables[name]
    group.attrs.update({key: value for key, value in before.items() if key not in group.attrs})
    if link := table.uns.get(stores.ATTRS):
        group.attrs["region"] = link["region"]


def _consolidate(source: Path, store: Path) -> None:
    """Renew the store's list of its own metadata, if it had one."""
    import zarr

    root = zarr.open_group(source, mode="r")
    if root.metadata.consolidated_metadata is None:
        return
    group = zarr.open_group(store, mode="r+", use_consolidated=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not recognized as a component of a Zarr")
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        zarr.consolidate_metadata(group.store)


def _verify(written: AnnData, found: AnnData) -> None:
    """Compare what was written with what is read back."""
    difference = first_difference(written, found)
    if difference is not None:
        raise OutputError(
            f"What was written was not read back the same: {difference} differs.",
            "Nothing that was on disk has been changed.",
            "Check the disk, or write elsewhere.",
        )
