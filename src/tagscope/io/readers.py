"""From a path to a section or a reference: SpatialData stores, vendors' folders, AnnData files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tagscope.core.hierarchy import LabelTree
from tagscope.core.labels import NO_LABEL, UNASSIGNED, LabelSet
from tagscope.core.section import Cells, Reference, Section
from tagscope.core.vendors import vendor_of
from tagscope.errors import ArgumentError, InputError
from tagscope.io import spatialdata_store as stores
from tagscope.io.cell_findings import identity_findings, missing_coordinates
from tagscope.io.columns import column_of
from tagscope.io.counts import Values, find_values
from tagscope.io.damage import missing_pieces, refuse_broken_matrices
from tagscope.io.findings import Finding, by_severity, listed, raise_first
from tagscope.io.fingerprint import Fingerprint
from tagscope.io.first_look import first_look
from tagscope.io.gene_sets import read_orthologues
from tagscope.io.genes import Genes, read_genes, with_orthologues
from tagscope.io.h5ad import keep_where, place_h5ad, read_h5ad, spot_diameter
from tagscope.io.kinds import Kind, kind_of
from tagscope.io.placement import Placement, in_micrometres, place_in_store
from tagscope.io.side_by_side import by_column, choose_region, overlapping, place_each
from tagscope.io.units import technology_of
from tagscope.io.vendors.folder import read_folder
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

_MOST_LABELS = 1000


@dataclass(frozen=True)
class SectionSource:
    """Which part of which file a section was read from.

    ``technology``: "Xenium", "MERFISH", … or "unknown". ``where``: the query that chose the rows;
    ``sections``: the column that told sections apart. ``region`` is ``"*"`` for all of them.
    ``genes``: the column of ``var`` that was said to name genes, ``orthologues`` the table of them
    and ``um_per_unit`` the µm per unit that were given.
    ``seen``: what the table's files looked like when it was opened; ``rows``: how many the table
    has, in all. None where that is not known.
    """

    path: Path
    kind: Kind
    table: str | None
    region: str | None
    coordinate_system: str | None
    layer: str | None
    technology: str
    where: str | None = None
    sections: str | None = None
    genes: str | None = None
    orthologues: Path | None = None
    um_per_unit: float | None = None
    seen: Fingerprint | None = field(default=None, compare=False, repr=False)
    rows: int | None = None


@dataclass(frozen=True)
class OpenedSection:
    """A section and what it came from.

    ``table``: AnnData in memory, rows as in ``section``, all columns. ``sdata``: the store, its
    images lazy, None for an ``.h5ad``. ``um_per_unit``: µm per unit of the coordinate system (of
    ``obsm["spatial"]`` for an ``.h5ad``), None where the file does not tell: elements of ``sdata``
    transformed to ``source.coordinate_system`` and multiplied by it lie where
    ``section.own_xy`` is.
    """

    section: Section
    table: AnnData
    source: SectionSource
    sdata: SpatialData | None
    notes: tuple[Finding, ...]
    um_per_unit: float | None = None

    def refuse_errors(self) -> None:
        """Raise the error, if there is one, with which this section can only be looked at."""
        raise_first(self.notes)


@dataclass(frozen=True)
class Loaded:
    """A table with the rows that were asked for, before its content is judged."""

    table: AnnData
    kind: Kind
    name: str | None
    region: str | None
    store: SpatialData | None
    total_rows: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Inspection:
    """Everything read of a section, usable or not."""

    loaded: Loaded
    values: Values
    genes: Genes
    placement: Placement
    source: SectionSource
    findings: tuple[Finding, ...]


def open_section(
    path: Path | str,
    *,
    table: str | None = None,
    region: str | None = None,
    layer: str | None = None,
    where: str | None = None,
    coordinate_system: str | None = None,
    normalised: bool = False,
    sections: str | None = None,
    genes: str | None = None,
    orthologues: Path | str | None = None,
    um_per_unit: float | None = None,
    context: JobContext | None = None,
) -> OpenedSection:
    """Open a section of tissue.

    Parameters
    ----------
    path
        A SpatialData zarr store, a vendor's folder, or an ``.h5ad`` with ``obsm["spatial"]``.
    table, region, coordinate_system
        Which of several; the only one, or the conventional one, by default. Region ``"*"`` lays all
        of them side by side.
    layer
        Where the counts are: a layer's name or ``"raw"``; ``X`` by default.
    where
        A pandas query over ``obs`` that keeps some cells.
    normalised
        The values are log-normalised already.
    sections
        A column of ``obs`` that tells sections apart, which are laid side by side.
    genes, orthologues
        The column of ``var`` that names genes, ``"index"`` for its index; a CSV of human and mouse
        symbols, for a model of the other species.
    um_per_unit
        µm per coordinate unit, whatever the file says.
    context
        Hears ``step("opening", …)``. The first report's partial result is a section of the cells'
        places alone, in the file's unit, where the file has them and all rows are asked for.

    Raises
    ------
    InputError
        If the file cannot be read, or holds no counts, coordinates or unique cell ids.
    ArgumentError
        If a choice names something that is not there, or one must be made.
    """
    context = context or JobContext()
    whole = region is None and where is None and sections is None
    context.step("opening", 0, 2, first_look(Path(path), table) if whole else None)
    found = inspect(
        Path(path), table=table, region=region, layer=layer, where=where,
        coordinate_system=coordinate_system, normalised=normalised, sections=sections,
        genes=genes, orthologues=orthologues, um_per_unit=um_per_unit,
    )  # fmt: skip
    context.step("opening", 1, 2)
    raise_first(found.findings, opening=True)
    return _opened(found, normalised)


def _opened(found: Inspection, normalised: bool) -> OpenedSection:
    return OpenedSection(
        _section(found, normalised),
        found.loaded.table,
        found.source,
        found.loaded.store,
        found.findings,
        found.placement.um_per_unit,
    )


def _section(found: Inspection, normalised: bool) -> Section:
    placement, region = found.placement, found.source.region
    assert placement.xy is not None
    return Section(
        cells_of(found, normalised=normalised),
        placement.xy,
        name=found.source.path.stem if region in (None, stores.ALL_REGIONS) else str(region),
        unit=placement.unit,
        outlines=placement.outlines,
        pieces=placement.pieces,
        labels=placement.labels,
        spot_diameter=placement.spot_diameter,
    )


def read_section(path: Path | str, **choices: Any) -> Section:
    """The section alone; ``choices`` as in :func:`open_section`."""
    return open_section(path, **choices).section


def read_reference(
    path: Path | str,
    label: str | Sequence[str],
    *,
    table: str | None = None,
    layer: str | None = None,
    where: str | None = None,
    normalised: bool = False,
    split_by: str | None = None,
    context: JobContext | None = None,
) -> Reference:
    """Cells with known labels, from an ``.h5ad`` or a store's table.

    Rows without a label (missing, empty, ``NA``, ``nan``, ``Unassigned``) are dropped.
    Several label columns, coarse to fine, are the levels of a tree of labels. ``split_by`` is a
    column whose cells stay together between training and validation: a donor, a batch. ``context``
    hears how far an ``.h5ad`` is read, which can be cancelled.

    Raises
    ------
    ArgumentError
        If the column is missing or holds measurements, or a choice names something not there.
    InputError
        If the file cannot be read, or holds no counts, gene names or labelled cells.
    """
    loaded = load(Path(path), table=table, where=where, context=context)
    columns = (label,) if isinstance(label, str) else tuple(label)
    labels = _labels(loaded.table, columns[-1])
    for column in columns[:-1]:
        labels = labels.where(~_labels(loaded.table, column).isin(NO_LABEL), UNASSIGNED)
    values = find_values(loaded.table, layer, normalised=normalised)
    genes = read_genes(values.var)
    raise_first((*values.findings, *genes.findings, *identity_findings(loaded.table)))
    kept = np.flatnonzero(~labels.isin(NO_LABEL).to_numpy())
    if not len(kept):
        raise InputError(
            f"The column {label!r} has no label in any of {loaded.table.n_obs} rows.",
            "Labelled cells are needed.",
            "Choose another column, or other rows.",
            {"label": None, "where": None},
        )
    tree = None
    if len(columns) > 1:
        tree = LabelTree.from_columns(loaded.table.obs.iloc[kept], columns)
    names = tree.finest if tree is not None else LabelSet.from_values(labels.iloc[kept])
    codes = pd.Categorical(labels.iloc[kept], categories=list(names.names)).codes
    cells = _cells(loaded.table, values, genes, normalised)
    cells = cells if len(kept) == len(cells) else cells.take(kept)
    groups = None if split_by is None else _groups(loaded.table, split_by)[kept]
    chosen = {"table": table, "layer": layer, "where": where}
    origin = {"reference": Path(path).name, "label": ", ".join(columns)}
    origin |= {name: choice for name, choice in chosen.items() if choice}
    return Reference(cells, names, codes.astype(np.int64), groups, tree, origin)


def _groups(table: AnnData, column: str) -> npt.NDArray[np.int64]:
    """Which rows share a value of a column, (N,) codes from 0; missing values are one group."""
    named = column_of(table.obs, column, "split_by")
    codes, values = pd.factorize(named.astype(str))
    if len(values) < 2:
        raise ArgumentError(
            f"All cells have the same {column!r}.",
            "Cells are held out by groups, so that at least two are needed.",
            "Choose another column, or hold out single cells.",
            {"split_by": None},
        )
    return np.asarray(codes, dtype=np.int64)


def load(
    path: Path,
    *,
    table: str | None = None,
    region: str | None = None,
    where: str | None = None,
    any_region: bool = True,
    context: JobContext | None = None,
) -> Loaded:
    """The table of a file with the rows asked for; ``any_region`` allows rows of several."""
    kind = kind_of(path)
    if kind == "h5ad":
        _refuse_store_choices(path, table, region)
        whole = read_h5ad(path, context)
        name, store = None, None
        findings = missing_pieces(path, None)
    else:
        store, name, findings = _read_store(path, kind, table, only_tables=any_region)
        whole = store.tables[name]
        asked = region
        region = region if any_region and region is None else stores.pick_region(whole, region)
        if asked is None and region == stores.ALL_REGIONS:
            findings = (*findings, *choose_region(stores.regions_of(whole)))
    if not whole.n_obs or not whole.n_vars:
        raise InputError(
            f"The table in {path} is empty: {whole.n_obs} cells × {whole.n_vars} genes.",
            "A table with cells and genes is needed.",
            "Check how it was written.",
        )
    raise_first([finding for finding in findings if finding.code == "damaged-table"])
    refuse_broken_matrices(whole, path)
    kept = stores.rows_of_region(whole, region) & keep_where(whole.obs, where)
    part = whole if kept.all() else whole[kept].copy()
    return Loaded(part, kind, name, region, store, whole.n_obs, findings)


def _read_store(
    path: Path, kind: Kind, table: str | None, *, only_tables: bool
) -> tuple[SpatialData, str, tuple[Finding, ...]]:
    """A store, on disk or made of a vendor's folder, and the table to be taken of it."""
    if kind == "vendor" and (vendor := vendor_of(path)) is not None:
        folder = read_folder(path, vendor, table)
        return folder.store, stores.pick_table(folder.store, path, table), folder.findings
    store, broken = stores.read_store(path, only_tables=only_tables)
    name = stores.pick_table(store, path, table)
    return store, name, (*broken, *missing_pieces(path, name))


def inspect(
    path: Path,
    *,
    table: str | None = None,
    region: str | None = None,
    layer: str | None = None,
    where: str | None = None,
    coordinate_system: str | None = None,
    normalised: bool = False,
    sections: str | None = None,
    genes: str | None = None,
    orthologues: Path | str | None = None,
    um_per_unit: float | None = None,
) -> Inspection:
    """Read a section and judge all of it; only what prevents judging the rest is raised."""
    seen = _fingerprints(path)
    loaded = load(path, table=table, region=region, where=where, any_region=False)
    cells = loaded.table
    records = (cells.uns,) if loaded.store is None else (loaded.store.attrs, cells.uns)
    technology = technology_of(cells.obs, path.stem, *records)
    placement = _place(loaded, coordinate_system, technology, um_per_unit)
    if sections is not None:
        placement = by_column(placement, cells.obs, sections)
    values = find_values(cells, layer, normalised=normalised)
    named = read_genes(values.var, _names_elsewhere(loaded.store), column=genes)
    table_of_pairs = None if orthologues is None else Path(orthologues)
    if table_of_pairs is not None:
        named = with_orthologues(named, read_orthologues(table_of_pairs), table_of_pairs.name)
    source = SectionSource(
        path,
        loaded.kind,
        loaded.name,
        loaded.region,
        placement.coordinate_system,
        layer,
        technology,
        where,
        sections,
        genes,
        table_of_pairs,
        um_per_unit,
        seen.get(loaded.name or path.name),
        loaded.total_rows,
    )
    findings = (
        *loaded.findings,
        *identity_findings(cells),
        *placement.findings,
        *missing_coordinates(placement),
        *(overlapping(cells.obs, placement.xy) if placement.pieces is None else ()),
        *values.findings,
        *named.findings,
    )
    return Inspection(loaded, values, named, placement, source, by_severity(findings))


def _fingerprints(path: Path) -> dict[str, Fingerprint]:
    """Of an ``.h5ad``, or of every table of a store, by its name; taken before anything is read."""
    if kind_of(path) == "h5ad":
        return {path.name: Fingerprint(path)}
    return {folder.name: Fingerprint(folder) for folder in stores.tables_in(path)}


def _place(
    loaded: Loaded, system: str | None, technology: str, um_per_unit: float | None
) -> Placement:
    store, table = loaded.store, loaded.table

    def scaled(placement: Placement) -> Placement:
        return placement if um_per_unit is None else in_micrometres(placement, um_per_unit)

    if store is not None and loaded.region == stores.ALL_REGIONS:
        names = stores.regions_of(table)
        codes = stores.region_codes(table, names)
        return place_each(
            names,
            codes,
            lambda rows, name: scaled(place_in_store(store, table[rows], name, system, technology)),
        )
    if store is not None:
        return scaled(place_in_store(store, table, loaded.region, system, technology))
    if system is not None:
        raise ArgumentError(
            f"An .h5ad has no coordinate systems, {system!r} was asked for.",
            "Coordinate systems are a matter of SpatialData stores.",
            "Name none.",
            {"coordinate_system": None},
        )
    xy, unit, um, findings = place_h5ad(table)
    width = spot_diameter(table, technology, unit, um)
    return scaled(Placement(xy, unit, um, findings=tuple(findings), spot_diameter=width))


def cells_of(found: Inspection, *, normalised: bool = False) -> Cells:
    """The cells of a section of which nothing was found that prevents annotating."""
    return _cells(found.loaded.table, found.values, found.genes, normalised)


def _cells(table: AnnData, values: Values, genes: Genes, normalised: bool) -> Cells:
    assert values.matrix is not None
    ids = np.asarray(table.obs_names.astype(str), dtype=np.str_)
    return Cells(values.matrix, genes.panel, ids, normalised)


def _refuse_store_choices(path: Path, table: str | None, region: str | None) -> None:
    for choice, value in (("table", table), ("region", region)):
        if value is not None:
            raise ArgumentError(
                f"{path} is an .h5ad, which holds one table and no regions.",
                f"The {choice} {value!r} is a matter of SpatialData stores.",
                f"Name no {choice}; cells are chosen by a query over obs.",
                {choice: None, "where": None},
            )


def _names_elsewhere(store: SpatialData | None) -> str:
    """Where gene names may be found that the table lacks: the transcripts."""
    for name, points in (store.points if store is not None else {}).items():
        for column in ("feature_name", "gene", "target"):
            if column in points.columns:
                return (
                    f"Names are in points[{name!r}].{column}, among control codewords: set "
                    "table.var_names from the panel file the vendor delivered."
                )
    return ""


def _labels(table: AnnData, label: str) -> pd.Series:
    """The label column as text, "" where missing."""
    if label not in table.obs:
        raise ArgumentError(
            f"The reference has no column {label!r}; columns with categories are "
            f"{listed(_categorical(table.obs))}.",
            "A column of labels is needed.",
            "Choose one of these.",
            {"label": None},
        )
    column = table.obs[label]
    if pd.api.types.is_float_dtype(column) or column.nunique() > _MOST_LABELS:
        raise ArgumentError(
            f"The column {label!r} does not hold labels but {column.nunique()} different values.",
            f"Columns with categories are {listed(_categorical(table.obs))}.",
            "Choose one of these.",
            {"label": None},
        )
    return column.astype(object).where(column.notna(), "").astype(str)


def _categorical(obs: pd.DataFrame) -> list[str]:
    """Columns that may be labels: categories, text and truth values that repeat."""
    return [
        str(name)
        for name in obs.columns
        if not pd.api.types.is_numeric_dtype(obs[name].dtype)
        and obs[name].nunique() < max(2, len(obs))
    ]
