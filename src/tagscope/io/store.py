"""Write results into a store or an ``.h5ad`` without ever risking what is there.

A result never touches the file it goes into. The whole new store is made beside it, verified by
reading it back, and exchanged with the old one in a single step: a kill at any moment leaves the
old store or the new one. In place this costs little, for all that has not changed is hard-linked,
not copied, and so stays byte for byte what it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tagscope.errors import ArgumentError, OutputError
from tagscope.io import hdf5
from tagscope.io import spatialdata_store as stores
from tagscope.io.atomic import recover, written_whole
from tagscope.io.compare import first_unlike_copy, nbytes_of
from tagscope.io.fingerprint import Fingerprint
from tagscope.io.h5ad import READ_ERRORS, damaged, keep_where, place_h5ad, quietly
from tagscope.io.kinds import refuse_url
from tagscope.io.lock import locked
from tagscope.io.outlines import free_radius
from tagscope.io.readers import Loaded, SectionSource, inspect, load
from tagscope.io.slots import (
    Changes,
    changes,
    first_unlike,
    is_current,
    open_table,
    slots_of,
    untouched,
    write_changes,
)
from tagscope.io.twin import consolidate, copied, linked, mirror
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from anndata import AnnData

_REGION = "cells"
_MB = 10**6

Write = Callable[["AnnData"], None]


class _Meter:
    """How far a stage of a save is, told to its owner in MB."""

    def __init__(self, context: JobContext, stage: str) -> None:
        self._context = context
        self._stage = stage
        self._done = self._total = 0

    def expect(self, size: int) -> None:
        """More bytes are to come."""
        self._total += size

    def __call__(self, size: int = 0) -> None:
        """So many bytes are done; raises where the job was cancelled."""
        self._done = min(self._done + size, self._total)
        self._context.step(self._stage, self._done // _MB, max(1, -(-self._total // _MB)))

    def tick(self, _size: int = 0) -> None:
        """Nothing is done that counts, but it takes time."""
        self()

    def finish(self) -> None:
        """All is done."""
        self._total = max(1, -(-self._total // _MB)) * _MB
        self(self._total)


@dataclass(frozen=True)
class _Save:
    """One save: ``path`` is the section's, ``partial`` what is to become the output."""

    source: SectionSource
    write: Write
    path: Path
    partial: Path
    in_place: bool
    writing: _Meter
    verifying: _Meter

    def expect(self, size: int) -> None:
        """So many bytes are to be written, and read back."""
        self.writing.expect(size)
        self.verifying.expect(size)


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
    write: Write,
    out: Path | str,
    *,
    overwrite: bool = False,
    context: JobContext | None = None,
) -> Path:
    """Let ``write`` add results to the section's table, and write the whole to ``out``.

    Where ``out`` is the section's own file, results are added in place. Any other path gets a
    complete copy: of a store or a vendor's folder with all its elements, of an ``.h5ad`` with all
    its slots, or one turned into the other, by the suffix of ``out`` (``.h5ad``, else a store). A
    copy of a section that is a part of its table (``--region``, ``--where``) holds the rows of that
    part alone.

    ``write`` gets a table of its own, not the one that was opened. Its matrices may still be on
    disk: assign to slots, and do not edit what is in them. ``context`` hears of the MB written and
    read back, of the files that reach the device, and of the swap; a cancel before that leaves
    everything as it was.

    Raises
    ------
    ArgumentError
        If results for a part of a table would go in place: the other rows would have none.
    OutputError
        If ``out`` exists and ``overwrite`` is not set, cannot be written, or is being written by
        another process; or if another program has changed the section since it was opened.
    """
    path, target = Path(os.path.realpath(source.path)), target_of(source, out)
    in_place = path == target
    context = context or JobContext()
    meters = _Meter(context, "writing MB"), _Meter(context, "verifying MB")
    with locked(target):
        recover(target)
        before = Fingerprint(path)
        if in_place and source.seen is not None:
            source.seen.refuse_change()
        with (
            written_whole(
                target,
                overwrite=overwrite or in_place,
                context=context,
                last_check=before.refuse_change,
            ) as partial,
            quietly(),
        ):
            _written(_Save(source, write, path, partial, in_place, *meters), target.suffix)
        if in_place and source.seen is not None:
            source.seen.renew()
    return target


def target_of(source: SectionSource, out: Path | str) -> Path:
    """Where the results of a section would be written.

    Raises
    ------
    OutputError
        If nothing can be written there, whatever it is.
    """
    refuse_url(out)
    path, target = Path(os.path.realpath(source.path)), Path(os.path.realpath(out))
    if path == target and source.kind == "vendor":
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
    return target


def _written(save: _Save, suffix: str) -> None:
    """Write what the suffix tells; in place what is there, whatever its name."""
    from_file = save.source.kind == "h5ad"
    to_file = from_file if save.in_place else suffix == ".h5ad"
    if to_file:
        (_update_h5ad if from_file else _write_h5ad)(save)
    elif save.source.kind == "vendor":
        _write_read_store(save)
    else:
        (_write_new_store if from_file else _update_store)(save)


def _update_store(save: _Save) -> None:
    """A twin of the store, in whose table only what has changed is written."""
    import zarr

    assert save.source.table is not None
    folder = save.path / "tables" / save.source.table
    with _reading(folder):
        old = zarr.open_group(folder, mode="r", use_consolidated=False)
        table = open_table(old) if is_current(old) else None
    if table is not None:
        stores.list_regions(table)
    if table is None or not _is_whole(save.source, table):
        _write_part(save, folder)
        return
    changed, skipped = _changes(save, table, old)
    _mirror(save, {folder.joinpath(*slot) for slot in changed.slots})
    new = _table_group(save, folder)
    write_changes(new, table, changed, save.writing)
    _keep_link(new, table)
    if not save.in_place:
        save.verifying.expect(nbytes_of(old))
        _refuse(first_unlike_copy(old, new, skipped, save.verifying))
    _finish_store(save, new, changed)


def _write_part(save: _Save, folder: Path) -> None:
    """A copy of the store whose table holds some of the rows, or is stored in today's form."""
    import zarr

    table = _part(save)
    stores.restrict_regions(table)
    save.write(table)
    changed = Changes(slots_of(table), ())
    save.expect(changed.size)
    _mirror(save, {folder})
    attributes = dict(zarr.open_group(folder, mode="r", use_consolidated=False).attrs)
    (save.partial / "tables").mkdir(exist_ok=True)
    tables = zarr.open_group(save.partial / "tables", mode="r+", use_consolidated=False)
    new = tables.create_group(folder.name, attributes=attributes)
    write_changes(new, table, changed, save.writing)
    _keep_link(new, table)
    _finish_store(save, new, changed)


def _changes(save: _Save, table: AnnData, old: Any) -> tuple[Changes, set[str]]:
    """Let results be added: what is then to be written, and the paths of that in the group."""
    kept = untouched(table)
    save.write(table)
    changed = changes(table, old, kept, save.writing.tick)
    save.expect(changed.size)
    return changed, {"/" + "/".join(filter(None, slot)) for slot in changed.slots}


def _mirror(save: _Save, skipped: set[Path]) -> None:
    transfer = linked if save.in_place else copied
    mirror(save.path, save.partial, skipped=skipped, transfer=transfer, step=save.writing.tick)


def _table_group(save: _Save, folder: Path) -> Any:
    import zarr

    place = save.partial / folder.relative_to(save.path)
    return zarr.open_group(place, mode="r+", use_consolidated=False)


def _keep_link(group: Any, table: AnnData) -> None:
    """The regions stand in the table's attributes too."""
    if link := table.uns.get(stores.ATTRS):
        group.attrs["region"] = link["region"]


def _finish_store(save: _Save, new: Any, changed: Changes) -> None:
    _verify(save, new, changed)
    consolidate(save.path, save.partial, ("", "tables", f"tables/{save.source.table}"))


def _update_h5ad(save: _Save) -> None:
    """A new file: what has not changed is copied as it lies on disk, without unpacking it."""
    import h5py  # type: ignore[import-untyped]

    with h5py.File(save.path, "r") as old:
        with _reading(save.path):
            table = open_table(old) if is_current(old) else None
        if table is None or not _is_whole(save.source, table):
            _write_h5ad(save)
            return
        changed, skipped = _changes(save, table, old)
        save.expect(nbytes_of(old))
        with hdf5.created(save.partial) as (new, check):
            step = _checked(check, save.writing)
            hdf5.copy_group(old, new, skipped, step)
            write_changes(new, table, changed, step)
        with h5py.File(save.partial, "r") as new:
            _refuse(hdf5.first_unlike_copy(old, new, skipped, save.verifying))
            _verify(save, new, changed)


def _write_h5ad(save: _Save) -> None:
    import h5py

    table = _part(save)
    if save.source.kind != "h5ad":
        _keep_coordinates(save.source, table)
    save.write(table)
    changed = Changes(slots_of(table), ())
    save.expect(changed.size)
    with hdf5.created(save.partial) as (new, check):
        write_changes(new, table, changed, _checked(check, save.writing))
    with h5py.File(save.partial, "r") as new:
        _verify(save, new, changed)


def _checked(check: hdf5.Check, meter: _Meter) -> Callable[[int], None]:
    def step(size: int) -> None:
        check()
        meter(size)

    return step


def _write_new_store(save: _Save) -> None:
    """A store from an ``.h5ad``: its table, tied to circles at the cells' coordinates."""
    import zarr
    from spatialdata import SpatialData

    table = _part(save)
    circles = _tie_to_circles(table)
    save.write(table)
    changed = Changes(slots_of(table), ())
    save.verifying.expect(changed.size)
    with quietly():
        SpatialData(tables={"table": table}, shapes=circles).write(save.partial)
    new = zarr.open_group(save.partial / "tables" / "table", mode="r", use_consolidated=False)
    _verify(save, new, changed)


def _write_read_store(save: _Save) -> None:
    """A store of all that a vendor's folder holds, with the table that was annotated."""
    import zarr

    loaded = _load(save.source)
    assert loaded.store is not None
    assert loaded.name is not None
    save.write(loaded.table)
    loaded.store.tables[loaded.name] = loaded.table
    changed = Changes(slots_of(loaded.table), ())
    save.verifying.expect(changed.size)
    with quietly():
        loaded.store.write(save.partial)
    new = zarr.open_group(save.partial / "tables" / loaded.name, mode="r", use_consolidated=False)
    _verify(save, new, changed)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except READ_ERRORS as error:
        raise damaged(path, error) from error


def _is_whole(source: SectionSource, table: AnnData) -> bool:
    """Whether the section is all rows of its table."""
    kept = stores.rows_of_region(table, source.region) & keep_where(table.obs, source.where)
    return bool(kept.all())


def _load(source: SectionSource) -> Loaded:
    return load(source.path, table=source.table, region=source.region, where=source.where)


def _part(save: _Save) -> AnnData:
    """The rows of the source that were annotated."""
    loaded = _load(save.source)
    rows = loaded.table.n_obs
    if save.in_place and rows != loaded.total_rows:
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


def _verify(save: _Save, group: Any, changed: Changes) -> None:
    """Read back what was written; it is all that is left to be verified."""
    _refuse(first_unlike(group, changed, save.verifying))
    save.verifying.finish()


def _refuse(difference: str | None) -> None:
    """Keep nothing that was not read back as it was written."""
    if difference is not None:
        raise OutputError(
            f"What was written was not read back the same: {difference} differs.",
            "Nothing that was on disk has been changed.",
            "Check the disk, or write elsewhere.",
        )
