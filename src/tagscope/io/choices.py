"""What there is to choose in a file: tables, regions, layers, sections."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tagscope.core.vendors import vendor_of
from tagscope.io import spatialdata_store as stores
from tagscope.io.counts import places
from tagscope.io.h5ad import read_h5ad
from tagscope.io.kinds import kind_of
from tagscope.io.readers import OpenedSection
from tagscope.io.side_by_side import section_columns
from tagscope.io.vendors.folder import read_folder


@dataclass(frozen=True)
class TableChoice:
    """One table: its size, the regions it annotates, where it keeps values, its columns."""

    name: str | None
    cells: int
    genes: int
    regions: tuple[str, ...]
    layers: tuple[str, ...]
    columns: tuple[str, ...]


def list_choices(path: Path | str) -> tuple[TableChoice, ...]:
    """Every table of a store, or the one of an ``.h5ad``; images and shapes are not read.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    path = Path(path)
    if kind_of(path) == "h5ad":
        tables = {None: read_h5ad(path)}
    elif vendor := vendor_of(path):
        tables = dict(read_folder(path, vendor).store.tables)
    else:
        tables = dict(stores.read_store(path, only_tables=True)[0].tables)
    return tuple(
        TableChoice(
            name,
            table.n_obs,
            table.n_vars,
            link.regions if (link := stores.link_of(table)) else (),
            tuple(places(table)),
            tuple(str(column) for column in table.obs.columns),
        )
        for name, table in tables.items()
    )


def alternatives(opened: OpenedSection) -> dict[str, tuple[str, ...]]:
    """What an open section could have been opened with in place of what it was.

    ``table``, ``region`` (``"*"`` for all of them) and ``sections`` (columns that may tell sections
    apart); only those of which there is more than the one that was taken.
    """
    link = stores.link_of(opened.table)
    tables = () if opened.sdata is None else tuple(opened.sdata.tables)
    regions = () if link is None or opened.sdata is None else link.regions
    found = {
        "table": tables if len(tables) > 1 else (),
        "region": (stores.ALL_REGIONS, *regions) if len(regions) > 1 else (),
        "sections": () if len(regions) > 1 else section_columns(opened.table.obs),
    }
    return {name: values for name, values in found.items() if values}
