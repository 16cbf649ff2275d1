"""What there is to choose in a file before it is opened: tables, regions, layers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tagscope.core.vendors import vendor_of
from tagscope.io import spatialdata_store as stores
from tagscope.io.counts import places
from tagscope.io.h5ad import read_h5ad
from tagscope.io.kinds import kind_of
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
