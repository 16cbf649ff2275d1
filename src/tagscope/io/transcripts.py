"""Where the transcripts of chosen genes lie, read from a store's points without the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tagscope.errors import ArgumentError, InputError
from tagscope.io.findings import listed
from tagscope.io.outlines import moved
from tagscope.io.spatialdata_store import affine_to
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from tagscope.io.readers import OpenedSection

LOWEST_QUALITY = 20.0  # Phred: below it vendors count no transcript in a cell either
FEATURE_COLUMNS = ("feature_name", "gene", "target")
_QUALITY = "qv"
_STAGE = "reading transcripts"


@dataclass(frozen=True)
class Transcripts:
    """Transcripts of some genes: ``xy`` (M, 2) float32 where ``Section.xy`` is, columns x and y;
    ``codes`` (M,) int16 positions in ``genes``."""

    genes: tuple[str, ...]
    xy: npt.NDArray[np.float32]
    codes: npt.NDArray[np.int16]

    def __post_init__(self) -> None:
        if self.xy.shape != (len(self.codes), 2):
            raise ValueError(f"xy is {self.xy.shape}, needed ({len(self.codes)}, 2)")

    def __len__(self) -> int:
        return len(self.codes)


def read_transcripts(
    opened: OpenedSection, genes: Sequence[str], context: JobContext | None = None
) -> Transcripts:
    """The transcripts of some genes, those of a quality below 20 left out where it is told.

    Raises
    ------
    ArgumentError
        If neither the points nor the section's panel have a gene.
    InputError
        If the store has no points that name genes, or they cannot be read.
    """
    context = context or JobContext()
    name, column = _points_of(opened)
    assert opened.sdata is not None
    assert opened.source.coordinate_system is not None
    path = Path(opened.sdata.path) / "points" / name / "points.parquet"
    codes, xy = _read(path, name, column, genes, context)
    scale = opened.um_per_unit or 1.0
    affine = np.diag([scale, scale, 1.0]) @ affine_to(
        opened.sdata.points[name], opened.source.coordinate_system
    )
    _refuse_unknown(opened, genes, codes, name)
    return Transcripts(tuple(genes), moved(xy, affine).astype(np.float32), codes)


def _points_of(opened: OpenedSection) -> tuple[str, str]:
    """Name of the points element in the section's coordinate system, and its column of genes."""
    from spatialdata.transformations import get_transformation

    elements = {} if opened.sdata is None else dict(opened.sdata.points)
    for name in sorted(elements, key=lambda name: (name != "transcripts", name)):
        points = elements[name]
        told = points.attrs.get("spatialdata_attrs", {}).get("feature_key")
        columns = [c for c in (told, *FEATURE_COLUMNS) if c in points.columns]
        placed = get_transformation(points, get_all=True)
        if columns and opened.source.coordinate_system in placed:
            return name, columns[0]
    raise InputError(
        f"{opened.source.path} has no transcripts; its points are {listed(list(elements))}.",
        "A points element with a column of gene names is needed, in the section's coordinate "
        "system.",
        "Write one with the vendor's reader of spatialdata-io.",
    )


def _read(
    path: Path, name: str, column: str, genes: Sequence[str], context: JobContext
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.float64]]:
    """Codes (M,) and own x, y (M, 2) of the genes' rows, one row group of the file at a time."""
    import pyarrow as pa
    from pyarrow import compute, dataset

    try:
        source = dataset.dataset(path)
        wanted = compute.field(column).isin(list(genes))
        if _QUALITY in source.schema.names:
            wanted &= compute.field(_QUALITY) >= LOWEST_QUALITY
        groups = [g for part in source.get_fragments() for g in part.split_by_row_group()]
        codes, places = [np.zeros(0, np.int16)], [np.zeros((0, 2))]
        for rows in _tables(groups, ["x", "y", column], wanted, context):
            names = rows.column(column).cast(pa.string())
            found = compute.index_in(names, pa.array(list(genes), pa.string()))
            codes.append(found.to_numpy().astype(np.int16))
            places.append(np.stack([rows.column(a).to_numpy() for a in ("x", "y")], axis=1))
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(
            f"points/{name} of the store cannot be read ({error}).",
            "A complete parquet file is needed.",
            "Copy or download the store again.",
        ) from error
    return np.concatenate(codes), np.concatenate(places)


def _tables(
    groups: list[Any], columns: list[str], wanted: Any, context: JobContext
) -> Iterator[Any]:
    for index, group in enumerate(groups):
        context.step(_STAGE, index, len(groups))
        yield group.to_table(columns=columns, filter=wanted)
    context.step(_STAGE, len(groups), len(groups))


def _refuse_unknown(
    opened: OpenedSection, genes: Sequence[str], codes: npt.NDArray[np.int16], name: str
) -> None:
    counts = np.bincount(codes, minlength=len(genes))
    measured = set(opened.section.panel.symbols)
    unknown = [g for g, n in zip(genes, counts, strict=True) if n == 0 and g not in measured]
    if unknown:
        raise ArgumentError(
            f"points/{name} has no transcript of {listed(unknown)}.",
            "Genes that the section's panel measured are needed, spelt as it spells them.",
            "Choose others, or correct their names.",
        )
