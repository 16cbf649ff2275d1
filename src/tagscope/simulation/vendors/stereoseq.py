"""A Stereo-seq folder, as STOmics' SAW 7 lays it out: bGEF 2 (squares) and cGEF 2 (cells).

Places are whole DNB spots, 500 nm apart. Of the squares only those of one spot are written, from
which SAW makes the larger ones; there are no controls.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from tagscope.jobs import JobContext
from tagscope.simulation.tissue import Tissue
from tagscope.simulation.vendors import parts

PITCH = 0.5  # µm
_CHIP = "SECTION"
_BORDER = 32  # vertices of a border
_NO_VERTEX = 32767
_NAME = "S64"


def write(tissue: Tissue, folder: Path, context: JobContext) -> None:
    """The folder of one chip."""
    names = ("02.count", "03.register", "04.tissuecut", "041.cellcut", "051.cellcluster")
    count, register, tissuecut, cellcut, cluster = (folder / name for name in names)
    for place in (count, register, tissuecut, cellcut, cluster):
        place.mkdir()
    _write_squares(tissue, count / f"{_CHIP}.raw.gef")
    _write_squares(tissue, tissuecut / f"{_CHIP}.gef")
    _write_cells(tissue, cellcut / f"{_CHIP}.cellbin.gef")
    _write_table(tissue, cluster / f"{_CHIP}.cell.cluster.h5ad")
    _write_images(tissue, register, context)


def square_counts(tissue: Tissue, size: int) -> pd.Series:
    """Transcripts of genes in squares of ``size`` DNB spots, by the square's corner and gene."""
    spots = tissue.transcripts
    gene = spots.feature < len(tissue.genes)
    at = np.floor(spots.xy[gene] / PITCH).astype(np.int64)
    within = (at >= 0).all(axis=1)
    corner = at[within] // size * size
    frame = pd.DataFrame({"x": corner[:, 0], "y": corner[:, 1]})
    return frame.assign(gene=spots.feature[gene][within]).value_counts(["gene", "x", "y"])


def _write_squares(tissue: Tissue, path: Path) -> None:
    import h5py  # type: ignore[import-untyped]

    counts = square_counts(tissue, 1).sort_index()
    gene, x, y = (counts.index.get_level_values(name).to_numpy() for name in ("gene", "x", "y"))
    spots = _rows([("x", "i4", x), ("y", "i4", y), ("count", "u1", counts.to_numpy())])
    per_gene = np.bincount(gene, minlength=len(tissue.genes))
    starts = np.cumsum(per_gene) - per_gene
    names = np.array(tissue.genes, dtype=_NAME)
    genes = _rows([("gene", _NAME, names), ("offset", "u4", starts), ("count", "u4", per_gene)])
    with h5py.File(path, "w") as file:
        file.attrs.update({"version": np.uint32(2), "bin_type": "bin"})
        group = file.create_group("geneExp/bin1")
        group["gene"] = genes
        group["expression"] = spots
        limits = {"minX": x.min(), "minY": y.min(), "maxX": x.max(), "maxY": y.max()}
        attributes = {**limits, "maxExp": counts.max(), "resolution": int(1000 * PITCH)}
        for name, value in attributes.items():
            group["expression"].attrs[name] = np.array([value], dtype=np.uint32)


def _write_cells(tissue: Tissue, path: Path) -> None:
    import h5py

    seen = sp.csr_matrix(tissue.counts.seen.astype(np.int32))
    by_gene = sp.csc_matrix(seen)
    number = np.arange(len(tissue))
    totals = np.asarray(seen.sum(axis=1)).ravel()
    place = np.rint(tissue.outlines.seeds / PITCH).astype(np.int32)
    none = np.zeros(len(tissue))
    cells = _rows(
        [
            ("id", "u4", number), ("x", "i4", place[:, 0]), ("y", "i4", place[:, 1]),
            ("offset", "u4", seen.indptr[:-1]), ("geneCount", "u2", np.diff(seen.indptr)),
            ("expCount", "u2", totals), ("dnbCount", "u2", tissue.outlines.areas / PITCH**2),
            ("area", "u2", tissue.outlines.areas / PITCH**2), ("cellTypeID", "u2", none),
            ("clusterID", "u2", none),
        ]
    )  # fmt: skip
    largest = np.asarray(by_gene.max(axis=0).todense()).ravel()
    genes = _rows(
        [
            ("geneName", _NAME, np.array(tissue.genes, dtype=_NAME)),
            ("offset", "u4", by_gene.indptr[:-1]), ("cellCount", "u4", np.diff(by_gene.indptr)),
            ("expCount", "u4", np.asarray(by_gene.sum(axis=0)).ravel()),
            ("maxMIDcount", "u2", largest),
        ]
    )  # fmt: skip
    arrays = {
        "cell": cells,
        "gene": genes,
        "cellExp": _rows([("geneID", "u4", seen.indices), ("count", "u2", seen.data)]),
        "geneExp": _rows([("cellID", "u4", by_gene.indices), ("count", "u2", by_gene.data)]),
        "cellBorder": _borders(tissue, place),
        "cellExon": totals.astype(np.uint16),
        "geneExon": np.asarray(by_gene.sum(axis=0)).ravel().astype(np.uint32),
        "cellExpExon": seen.data.astype(np.uint16),
        "geneExpExon": by_gene.data.astype(np.uint16),
        "blockIndex": np.array([0, len(tissue)], dtype=np.uint32),
        "blockSize": np.array([1, 1, 1, 1], dtype=np.uint32),
        "cellTypeList": np.array(["default"], dtype="S32"),
    }
    with h5py.File(path, "w") as file:
        file.attrs["version"] = np.array([2], dtype=np.uint32)
        file.attrs["resolution"] = np.array([1000 * PITCH], dtype=np.uint32)
        group = file.create_group("cellBin")
        for name, values in arrays.items():
            group[name] = values


def _borders(tissue: Tissue, place: npt.NDArray[np.int32]) -> npt.NDArray[np.int16]:
    """Steps (N, 32, 2) from a cell's place to its vertices, in DNB spots."""
    steps = np.rint(tissue.outlines.vertices / PITCH).astype(np.int64) - place[:, None]
    borders = np.full((len(place), _BORDER, 2), _NO_VERTEX, np.int16)
    borders[:, : steps.shape[1]] = steps
    return borders


def _write_table(tissue: Tissue, path: Path) -> None:
    names = pd.Index([str(number) for number in range(len(tissue))], dtype=object)
    table = ad.AnnData(tissue.counts.seen, obs=pd.DataFrame(index=names))
    table.var_names = pd.Index(tissue.genes, dtype=object)
    table.write_h5ad(path)


def _write_images(tissue: Tissue, folder: Path, context: JobContext) -> None:
    import tifffile

    image = parts.picture(tissue, PITCH, context)
    mask = parts.label_image(tissue.outlines.vertices, PITCH, image.shape[1:]) > 0
    for name, plane in (("regist", image[0]), ("mask", mask.astype(np.uint8))):
        tifffile.imwrite(folder / f"{_CHIP}_{name}.tif", plane, compression="zlib")


def _rows(fields: list[tuple[str, str, Any]]) -> npt.NDArray[Any]:
    """A compound array of named columns."""
    made = np.empty(len(fields[0][2]), dtype=[(name, kind) for name, kind, _ in fields])
    for name, _, values in fields:
        made[name] = values
    return made
