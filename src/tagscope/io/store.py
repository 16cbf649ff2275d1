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
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagscope.errors import ArgumentError, OutputError
from tagscope.io import hdf5
from tagscope.io import spatialdata_store as stores
from tagscope.io.atomic import recover, written_whole
from tagscope.io.compare import first_unlike_copy, nbytes_of, same_blocks
from tagscope.io.conversion import keep_coordinates, tie_to_circles
from tagscope.io.fingerprint import Fingerprint
from tagscope.io.h5ad import READ_ERRORS, damaged, keep_where, quietly
from tagscope.io.kinds import refuse_url
from tagscope.io.lock import locked
from tagscope.io.meters import Meter, Meters
from tagscope.io.readers import Loaded, SectionSource, inspect, load
from tagscope.io.shapes import refuse_stored, write_shapes
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
    from geopandas import GeoDataFrame


Write = Callable[["AnnData"], None]
Draw = Callable[[], "dict[str, GeoDataFrame]"]


@dataclass(frozen=True)
class _Save:
    """One save: ``path`` is the section's, ``partial`` what is to become the output."""

    source: SectionSource
    write: Write
    path: Path
    partial: Path
    in_place: bool
    meters: Meters
    draw: Draw = dict
    overwrite: bool = False

    @cached_property
    def shapes(self) -> dict[str, GeoDataFrame]:
        """Elements to be written, drawn where there is a store to hold them."""
        return self.draw()


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
    draw: Draw = dict,
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
    disk: assign to slots, and do not edit what is in them. A store also gets the shapes that
    ``draw`` returns, by name; those of the same name are replaced with ``overwrite``. ``context``
    hears of the MB written and read back, of the files that reach the device, and of the swap; a
    cancel before that leaves everything as it was.

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
    meters = Meters(context)
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
            save = _Save(source, write, path, partial, in_place, meters, draw, overwrite)
            _written(save, target.suffix)
        if in_place and source.seen is not None:
            source.seen.renew()
    return target


def write_table(table: AnnData, out: Path, *, context: JobContext | None = None) -> None:
    """A table in memory as a new ``.h5ad``, verified like any other output.

    Raises
    ------
    OutputError
        If ``out`` exists or cannot be written.
    """
    context = context or JobContext()
    with written_whole(out, context=context) as partial, quietly():
        _write_table(table, partial, Meters(context))


def target_of(source: SectionSource, out: Path | str) -> Path:
    """Where the results of a section would be written.

    Raises
    ------
    OutputError
        If nothing can be written there, whatever it is.
    """
    refuse_url(out)
    path, target = Path(os.path.realpath(source.path)), Path(os.path.realpath(out))
    if target.exists() and not os.access(target, os.W_OK):
        raise OutputError(
            f"{out} is read-only.",
            "What may not be written is not replaced either.",
            "Write elsewhere, or make it writable.",
            {"out": None},
        )
    if path == target and source.kind == "vendor":
        raise OutputError(
            f"{out} is a vendor's folder, which is never written to.",
            "Results go into a store or an .h5ad.",
            "Write elsewhere.",
            {"out": None},
        )
    if path in target.parents or target in path.parents:
        raise OutputError(
            f"{out} lies inside the section's own folder, or the other way round.",
            "A result is written beside its section, or in place.",
            "Write elsewhere.",
            {"out": None},
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
    write_changes(new, table, changed, save.meters.writing)
    _keep_link(new, table)
    if not save.in_place:
        save.meters.verifying.expect(nbytes_of(old))
        _refuse(first_unlike_copy(old, new, skipped, save.meters.verifying, same_blocks))
    _finish_store(save, new, changed)


def _write_part(save: _Save, folder: Path) -> None:
    """A copy of the store whose table holds some of the rows, or is stored in today's form."""
    import zarr

    table = _part(save)
    stores.restrict_regions(table)
    save.write(table)
    changed = Changes(slots_of(table), ())
    save.meters.expect(changed.size)
    _mirror(save, {folder})
    attributes = dict(zarr.open_group(folder, mode="r", use_consolidated=False).attrs)
    (save.partial / "tables").mkdir(exist_ok=True)
    tables = zarr.open_group(save.partial / "tables", mode="r+", use_consolidated=False)
    new = tables.create_group(folder.name, attributes=attributes)
    write_changes(new, table, changed, save.meters.writing)
    _keep_link(new, table)
    _finish_store(save, new, changed)


def _changes(save: _Save, table: AnnData, old: Any) -> tuple[Changes, set[str]]:
    """Let results be added: what is then to be written, and the paths of that in the group."""
    kept = untouched(table)
    save.write(table)
    changed = changes(table, old, kept, save.meters.writing.tick)
    save.meters.expect(changed.size)
    return changed, {"/" + "/".join(filter(None, slot)) for slot in changed.slots}


def _mirror(save: _Save, skipped: set[Path]) -> None:
    """Repeat the store but for ``skipped``, and give it its new shapes."""
    refuse_stored(save.path, save.shapes, save.overwrite)
    transfer, tick = linked if save.in_place else copied, save.meters.writing.tick
    skipped = skipped | {save.path / "shapes" / name for name in save.shapes}
    mirror(save.path, save.partial, skipped=skipped, transfer=transfer, step=tick)
    if save.shapes:
        write_shapes(save.partial, save.shapes)


def _table_group(save: _Save, folder: Path) -> Any:
    import zarr

    place = save.partial / folder.relative_to(save.path)
    return zarr.open_group(place, mode="r+", use_consolidated=False)


def _keep_link(group: Any, table: AnnData) -> None:
    """The regions stand in the table's attributes too."""
    if link := table.uns.get(stores.ATTRS):
        group.attrs["region"] = link["region"]


def _finish_store(save: _Save, new: Any, changed: Changes) -> None:
    _verify(new, changed, save.meters)
    groups = ("", "tables", f"tables/{save.source.table}")
    consolidate(save.path, save.partial, groups)


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
        save.meters.expect(nbytes_of(old))
        with hdf5.created(save.partial) as (new, check):
            step = _checked(check, save.meters.writing)
            hdf5.copy_group(old, new, skipped, step)
            write_changes(new, table, changed, step)
        with h5py.File(save.partial, "r") as new:
            _refuse(first_unlike_copy(old, new, skipped, save.meters.verifying, hdf5.is_copy))
            _verify(new, changed, save.meters)


def _write_h5ad(save: _Save) -> None:
    table = _part(save)
    if save.source.kind != "h5ad":
        _keep_coordinates(save.source, table)
    save.write(table)
    _write_table(table, save.partial, save.meters)


def _write_table(table: AnnData, path: Path, meters: Meters) -> None:
    import h5py

    changed = Changes(slots_of(table), ())
    meters.expect(changed.size)
    with hdf5.created(path) as (new, check):
        write_changes(new, table, changed, _checked(check, meters.writing))
    with h5py.File(path, "r") as new:
        _verify(new, changed, meters)


def _checked(check: hdf5.Check, meter: Meter) -> Callable[[int], None]:
    def step(size: int) -> None:
        check()
        meter(size)

    return step


def _write_new_store(save: _Save) -> None:
    """A store from an ``.h5ad``: its table, tied to circles at the cells' coordinates."""
    import zarr
    from spatialdata import SpatialData

    table = _part(save)
    circles = tie_to_circles(table)
    save.write(table)
    changed = Changes(slots_of(table), ())
    save.meters.verifying.expect(changed.size)
    with quietly():
        SpatialData(tables={"table": table}, shapes=circles | save.shapes).write(save.partial)
    new = zarr.open_group(save.partial / "tables" / "table", mode="r", use_consolidated=False)
    _verify(new, changed, save.meters)


def _write_read_store(save: _Save) -> None:
    """A store of all that a vendor's folder holds, with the table that was annotated."""
    import zarr

    loaded = _load(save.source)
    assert loaded.store is not None
    assert loaded.name is not None
    save.write(loaded.table)
    loaded.store.tables[loaded.name] = loaded.table
    loaded.store.shapes.update(save.shapes)
    changed = Changes(slots_of(loaded.table), ())
    save.meters.verifying.expect(changed.size)
    with quietly():
        loaded.store.write(save.partial)
    new = zarr.open_group(save.partial / "tables" / loaded.name, mode="r", use_consolidated=False)
    _verify(new, changed, save.meters)


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
    if save.in_place:
        refuse_part(loaded.table.n_obs, loaded.total_rows)
    return loaded.table


def refuse_part(rows: int, total: int) -> None:
    """Refuse results in place for some of a table's rows.

    Raises
    ------
    ArgumentError
        If there are others.
    """
    if rows != total:
        raise ArgumentError(
            f"The section is {rows} of the table's {total} rows.",
            "Written in place, the other rows would be left without a result.",
            "Write elsewhere: that file gets these rows alone.",
            {"out": None},
        )


def _keep_coordinates(source: SectionSource, table: AnnData) -> None:
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
    keep_coordinates(table, xy, placement.unit, source.technology)


def _verify(group: Any, changed: Changes, meters: Meters) -> None:
    """Read back what was written; it is all that is left to be verified."""
    _refuse(first_unlike(group, changed, meters.verifying))
    meters.verifying.finish()


def _refuse(difference: str | None) -> None:
    """Keep nothing that was not read back as it was written."""
    if difference is not None:
        raise OutputError(
            f"What was written was not read back the same: {difference} differs.",
            "Nothing that was on disk has been changed.",
            "Check the disk, or write elsewhere.",
        )
