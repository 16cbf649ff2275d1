"""Stereo-seq: folders of STOmics' SAW, versions 5 to 8, and single ``.gef`` files (HDF5).

A cell-bin file (``*.cellbin.gef``) holds cells with outlines; a square-bin file counts at every DNB
spot, and squares of several spots are made of it. spatialdata-io's reader wants the whole tree of
SAW 7 with its clustering, so that the files are read here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
import shapely

from tagscope.errors import ArgumentError
from tagscope.io.findings import Finding
from tagscope.io.vendors import cells as found
from tagscope.io.vendors.cells import Counts, VendorFolder, VendorSection
from tagscope.io.vendors.files import find, reading

_CELLS = ("*.cellbin.gef", "*/*.cellbin.gef", "outs/*/*.cellbin.gef")
_SQUARES = tuple(
    f"{folder}{name}"
    for name in ("*.tissue.gef", "*.gef")
    for folder in ("", "04.tissuecut/", "*/", "outs/*/")
)
_PITCH = 500.0  # nm between DNB spots, where the file does not tell
_DEFAULT_BIN = 50  # DNB spots a side: 25 µm
_BIN_NAME = re.compile(r"bin(\d+)$")
_NO_VERTEX = (32767, 127)  # what fills borders of fewer vertices, by their integers' size


def read(path: Path, table: str | None = None) -> VendorFolder:
    """A folder of SAW or one of its files: cells if there are any, else squares of DNB spots.

    ``table`` ``"binN"`` asks for squares of N spots a side.
    """
    findings: list[Finding] = []
    cells, squares = _files(path)
    if table is not None or cells is None:
        size = _size(table)
        if squares is None:
            needed = "A .gef file of cells or squares is needed."
            found.refuse_without_cells(path, pd.Index([]), "there is no .gef of squares", needed)
        assert squares is not None
        section = _read_squares(squares, size, findings)
        name = f"bin{size}"
    else:
        section, name = _read_cells(cells, findings), "table"
    unread = "Images of Stereo-seq are not read."
    findings.append(
        Finding("info", "images-not-read", unread, "Cells and squares are shown alone.")
    )
    return VendorFolder(section.store(name), tuple(findings))


def _files(path: Path) -> tuple[Path | None, Path | None]:
    """The file of cells and that of squares."""
    if path.is_dir():
        cells = find(path, *_CELLS)
        others = [p for p in (find(path, pattern) for pattern in _SQUARES) if p and _is_squares(p)]
        return cells, others[0] if others else None
    return (None, path) if _is_squares(path) else (path, None)


def _is_squares(path: Path) -> bool:
    import h5py  # type: ignore[import-untyped]

    with reading(path), h5py.File(path, "r") as file:
        return "geneExp" in file


def _size(table: str | None) -> int:
    if table is None:
        return _DEFAULT_BIN
    told = _BIN_NAME.match(table)
    if told is None or int(told[1]) < 1:
        raise ArgumentError(
            f"{table!r} is no size of squares.",
            "binN is needed, N DNB spots a side.",
            "Give the table as bin20, bin50, …",
            {"table": None},
        )
    return int(told[1])


def _read_cells(path: Path, findings: list[Finding]) -> VendorSection:
    import h5py

    with reading(path), h5py.File(path, "r") as file:
        group = file["cellBin"]
        cells, genes, cell_exp = group["cell"][:], group["gene"][:], group["cellExp"][:]
        borders = group["cellBorder"][:] if "cellBorder" in group else None
        pitch = _pitch(file.attrs, findings)
        starts = np.append(cells["offset"], len(cell_exp)).astype(np.int64)
        columns = cell_exp["geneID"].astype(np.int64)
        values = sp.csr_matrix(
            (cell_exp["count"].astype(np.float32), columns, starts), shape=(len(cells), len(genes))
        )
        values.sort_indices()
        features = _features(genes)
    found.refuse_without_cells(path, pd.Index(cells["id"]), "it has none", "Cells are needed.")
    ids = pd.Index(cells["id"].astype(str), dtype=object)
    place = np.column_stack([cells["x"], cells["y"]]).astype(np.float64)
    obs = pd.DataFrame({"area": cells["area"] * pitch**2, "dnb_count": cells["dnbCount"]}, ids)
    section = VendorSection("Stereo-seq", Counts(values, ids, features), obs, place * pitch)
    section.radius = np.sqrt(obs["area"].to_numpy() / np.pi)
    if borders is not None:
        section.outlines = _outlines(ids, place, borders, pitch)
    else:
        findings.append(found.missing("cellBorder", "Cells are drawn as discs of their area."))
    return section


def _read_squares(path: Path, size: int, findings: list[Finding]) -> VendorSection:
    """Squares of ``size`` DNB spots a side with their counts, those without any left out."""
    import h5py

    with reading(path), h5py.File(path, "r") as file:
        group = file["geneExp"]["bin1"]
        spots, genes = group["expression"][:], group["gene"][:]
        pitch = _pitch(group["expression"].attrs, findings)
        per_gene = genes["count"].astype(np.int64)
        features = _features(genes)
    gene = np.repeat(np.arange(len(genes)), per_gene)
    at = np.column_stack([spots["x"], spots["y"]]).astype(np.int64) // size
    width = int(at[:, 0].max(initial=0)) + 1
    keys, owner = np.unique(at[:, 0] + width * at[:, 1], return_inverse=True)
    values = sp.csr_matrix(
        (spots["count"].astype(np.float32), (owner, gene)), shape=(len(keys), len(genes))
    )
    found.refuse_without_cells(path, pd.Index(keys), "it has no counts", "Counts are needed.")
    row, column = np.divmod(keys, width)
    centres = (np.column_stack([column, row]) + 0.5) * size
    names = [f"{x}_{y}" for x, y in zip(column * size, row * size, strict=True)]
    ids = pd.Index(names, dtype=object)
    half = size / 2
    corners = np.array([[-half, -half], [half, -half], [half, half], [-half, half]])
    section = VendorSection(
        "Stereo-seq", Counts(values, ids, features), pd.DataFrame(index=ids), centres * pitch
    )
    rings = (centres[:, None] + corners) * pitch
    section.outlines = found.frame_of(shapely.polygons(rings), ids)
    findings.append(
        Finding(
            "info",
            "squares",
            f"Squares of {size} × {size} DNB spots ({size * pitch:g} µm) are read.",
            "A square is not a cell.",
            "Choose the table of another size, as bin20.",
            {"table": None},
        )
    )
    return section


def _pitch(attributes: Any, findings: list[Finding]) -> float:
    """µm between DNB spots."""
    stored = np.ravel(attributes.get("resolution", 0))
    um = float(stored[0]) / 1000 if stored.size and stored[0] > 0 else _PITCH / 1000
    told = "resolution in the file" if stored.size and stored[0] > 0 else "that of Stereo-seq chips"
    text = f"Coordinates were converted at {um:g} µm per DNB spot"
    findings.append(found.in_micrometres(text, told))
    return um


def _features(genes: npt.NDArray[Any]) -> pd.DataFrame:
    """Names, and ids where the version of the file has both."""
    fields = genes.dtype.names or ()
    named = next(field for field in ("geneName", "gene") if field in fields)
    frame = pd.DataFrame({"gene": True}, index=pd.Index(_texts(genes[named]), dtype=object))
    return frame.assign(gene_ids=_texts(genes["geneID"])) if "geneID" in fields else frame


def _texts(names: npt.NDArray[Any]) -> list[str]:
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _outlines(ids: pd.Index, place: Any, borders: Any, pitch: float) -> Any:
    """Polygons of borders (N, V, 2), which are steps from the cell's place."""
    used = ~np.isin(borders, _NO_VERTEX).any(axis=2)
    owner, vertex = np.nonzero(used)
    xy = (place[owner] + borders[owner, vertex]) * pitch
    return found.polygons(pd.Series(ids.to_numpy()[owner], dtype=object), xy)
