"""SpatialData zarr stores (zarr 2 and 3): their tables, regions and coordinate systems."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tagscope.errors import ArgumentError, ChoiceError, InputError
from tagscope.io.atomic import recover
from tagscope.io.damage import drop_unreadable_pictures, short_chunk, unreadable, unreadable_array
from tagscope.io.findings import Finding, listed
from tagscope.io.h5ad import READ_ERRORS, quietly
from tagscope.io.units import names_micrometres

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

ATTRS = "spatialdata_attrs"
ALL_REGIONS = "*"
_GROUPS = ("images", "labels", "points", "shapes", "tables")


@dataclass(frozen=True)
class Link:
    """How a table is tied to elements: ``uns["spatialdata_attrs"]``."""

    regions: tuple[str, ...]
    region_key: str
    instance_key: str


def read_store(path: Path, *, only_tables: bool = False) -> tuple[SpatialData, tuple[Finding, ...]]:
    """The store with lazy images, and what of it could not be read.

    Raises
    ------
    InputError
        If the store, or every table in it, cannot be read.
    """
    for table in tables_in(path):
        recover(table)
        if short := short_chunk(table):
            raise _damaged(path, f"tables/{table.name}/{short}: a piece is cut short")
    selection = ("tables",) if only_tables else None
    try:
        with quietly(), _heard() as said:
            import spatialdata

            store = spatialdata.read_zarr(path, selection=selection, on_bad_files="warn")
    except READ_ERRORS as error:
        raise _damaged(path, _place_of(path, error)) from error
    broken = _broken_elements(path, store, said, only_tables)
    lost = [place for place in broken if place.startswith("tables/")]
    if lost and not store.tables:
        raise _damaged(path / lost[0], broken[lost[0]])
    unread = tuple(unreadable(place, why) for place, why in broken.items())
    return store, (*unread, *drop_unreadable_pictures(store, path))


def pick_table(store: SpatialData, path: Path, table: str | None) -> str:
    """The table's name: the one asked for, the only one, or the one called "table".

    Raises
    ------
    ArgumentError
        If it is not there, or must be chosen.
    InputError
        If the store has none.
    """
    names = list(store.tables)
    if not names:
        raise InputError(
            f"{path} has no table.",
            "A store with a table of cells and genes is needed.",
            "Write one with the vendor's reader of spatialdata-io.",
        )
    if table is not None and table not in names:
        raise ArgumentError(
            f"The store has no table {table!r}; it has {listed(names)}.",
            "The table must be one of the store's.",
            "Choose one of these.",
            {"table": None},
        )
    if table is None and len(names) > 1 and "table" not in names:
        raise ChoiceError(
            f"The store has {len(names)} tables: {listed(names)}.",
            "One table is annotated at a time.",
            "Choose one.",
            "table",
            tuple(names),
        )
    return table or (names[0] if len(names) == 1 else "table")


def list_regions(table: AnnData) -> None:
    """Name the regions of a table the way spatialdata does on reading: as text or a list of it."""
    attrs: Any = table.uns.get(ATTRS)
    if isinstance(attrs, dict) and isinstance(attrs.get("region"), np.ndarray):
        attrs["region"] = attrs["region"].tolist()


def link_of(table: AnnData) -> Link | None:
    """How the table is tied to elements, None for a table by itself."""
    attrs: Any = table.uns.get(ATTRS)
    region = attrs.get("region") if isinstance(attrs, dict) else None
    if region is None or not len(region):  # an .h5ad gives several back as an array
        return None
    regions = (region,) if isinstance(region, str) else tuple(str(name) for name in region)
    return Link(regions, str(attrs["region_key"]), str(attrs["instance_key"]))


def pick_region(table: AnnData, region: str | None) -> str | None:
    """The region asked for, or the only one; :data:`ALL_REGIONS` for several of which none was
    chosen; None for a table that annotates nothing.

    Raises
    ------
    ArgumentError
        If it is not there.
    """
    link = link_of(table)
    names = link.regions if link else ()
    if region == ALL_REGIONS:
        region = None
    if region is not None and region not in names:
        raise ArgumentError(
            f"The table annotates no region {region!r}; it annotates {listed(names)}.",
            "The region must be one of the table's.",
            "Choose one of these.",
            {"region": None},
        )
    if region is None and len(names) > 1:
        return ALL_REGIONS
    return region or (names[0] if names else None)


def rows_of_region(table: AnnData, region: str | None) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Rows that belong to a region, (N,) bool; all where there is none, or all are asked for."""
    link = link_of(table)
    if region in (None, ALL_REGIONS) or link is None or link.region_key not in table.obs:
        return np.ones(table.n_obs, dtype=bool)
    return np.asarray(table.obs[link.region_key].astype(str) == region)


def regions_of(table: AnnData) -> tuple[str, ...]:
    """Regions that have rows in the table, in the table's order of them."""
    link = link_of(table)
    if link is None:
        return ()
    there = set(table.obs[link.region_key].astype(str))
    return tuple(name for name in link.regions if name in there)


def region_codes(table: AnnData, regions: tuple[str, ...]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Which of ``regions`` every row is of, (N,) int64."""
    link = link_of(table)
    assert link is not None
    named = pd.Categorical(table.obs[link.region_key].astype(str), categories=list(regions))
    return np.asarray(named.codes, dtype=np.int64)


def restrict_regions(table: AnnData) -> None:
    """After rows were left out: name the regions that remain, as spatialdata demands."""
    link = link_of(table)
    if link is None:
        return
    left = set(table.obs[link.region_key].astype(str))
    regions = [name for name in link.regions if name in left]
    if len(regions) == len(link.regions):
        return
    attrs = dict(table.uns[ATTRS])
    attrs["region"] = regions[0] if len(regions) == 1 else regions
    table.uns[ATTRS] = attrs
    column = table.obs[link.region_key]
    if isinstance(column.dtype, pd.CategoricalDtype):
        table.obs[link.region_key] = column.cat.remove_unused_categories()


def pick_coordinate_system(element: Any, asked: str | None, name: str) -> str:
    """The coordinate system asked for, else one in µm, else "global", else the only one.

    Raises
    ------
    ArgumentError
        If it is not there, or must be chosen.
    """
    from spatialdata.transformations import get_transformation

    names = sorted(get_transformation(element, get_all=True))
    if asked is not None and asked not in names:
        raise ArgumentError(
            f"{name} is not in a coordinate system {asked!r}; it is in {listed(names)}.",
            "The coordinate system must be one of the element's.",
            "Choose one of these.",
            {"coordinate_system": None},
        )
    metric = [system for system in names if names_micrometres(system)]
    standard = metric or [system for system in names if system == "global"] or names
    if asked is None and (not names or (len(standard) > 1 and not metric)):
        raise ChoiceError(
            f"{name} is in the coordinate systems {listed(names)}.",
            "One coordinate system is needed.",
            "Choose one.",
            "coordinate_system",
            tuple(names),
        )
    return asked or standard[0]


def affine_to(element: Any, system: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(3, 3) matrix from an element's own coordinates to a coordinate system."""
    from spatialdata.transformations import get_transformation

    transformation = get_transformation(element, to_coordinate_system=system)
    matrix = transformation.to_affine_matrix(input_axes=("x", "y"), output_axes=("x", "y"))
    return np.asarray(matrix, dtype=np.float64)


def tables_in(path: Path) -> list[Path]:
    """Folders of the tables of a store."""
    return _children(path / "tables")


def _children(folder: Path) -> list[Path]:
    """Elements of a group, those set aside by an interrupted write included."""
    if not folder.is_dir():
        return []
    names = {p.name for p in folder.iterdir() if p.is_dir()}
    return [folder / name for name in sorted(names) if not name.startswith(".")]


def _broken_elements(
    path: Path, store: SpatialData, said: list[str], only_tables: bool
) -> dict[str, str]:
    """Place and reason of every element that lies on disk and was not read."""
    broken = {}
    for group in ("tables",) if only_tables else _GROUPS:
        for folder in _children(path / group):
            if folder.name in getattr(store, group):
                continue
            place = f"{group}/{folder.name}"
            reasons = [text for text in said if text.startswith(f"{place}:")]
            missing = "its metadata (zarr.json or .zgroup) is missing"
            broken[place] = reasons[0].removeprefix(f"{place}: ") if reasons else missing
    return broken


def _place_of(path: Path, error: Exception) -> str:
    """Where in a store's tables something cannot be read, which the readers do not tell."""
    import zarr

    for folder in tables_in(path):
        with quietly(), suppress(*READ_ERRORS):
            group = zarr.open_group(folder, mode="r", use_consolidated=False)
            if found := unreadable_array(group):
                return f"tables/{folder.name}/{found}"
    return f"{type(error).__name__}: {error}"


def _damaged(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} is damaged or was not copied completely ({why}).",
        "A complete SpatialData store is needed.",
        "Copy or download it again.",
    )


@contextmanager
def _heard() -> Iterator[list[str]]:
    """Collect the warnings of spatialdata's reader about elements it could not read."""
    said: list[str] = []
    show = warnings.showwarning

    def hear(message: Warning | str, *rest: Any, **named: Any) -> None:
        if str(message).startswith(tuple(f"{group}/" for group in _GROUPS)):
            said.append(str(message))
        else:
            show(message, *rest, **named)

    logger = logging.getLogger("ome_zarr")
    level = logger.level
    logger.setLevel(logging.ERROR)
    warnings.filterwarnings("always", message=rf"({'|'.join(_GROUPS)})/.*: ")
    warnings.showwarning = hear
    try:
        yield said
    finally:
        logger.setLevel(level)
