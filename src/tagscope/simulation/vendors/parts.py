"""What the vendors' layouts have in common: counts of all features, pictures, 10x matrices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from tagscope.jobs import JobContext
from tagscope.simulation.celltypes import CONTROLS, ensembl_ids
from tagscope.simulation.image import NUCLEUS, draw_image
from tagscope.simulation.tissue import Tissue


def feature_counts(tissue: Tissue) -> sp.csr_matrix:
    """Counts (N, G + controls) CSR int32: the section's genes, then its negative controls."""
    spots = tissue.transcripts
    held = (spots.feature >= len(tissue.genes)) & (spots.cell >= 0)
    where = (spots.cell[held], spots.feature[held] - len(tissue.genes))
    ones = np.ones(int(held.sum()), np.int32)
    controls = sp.csr_matrix((ones, where), shape=(len(tissue), len(CONTROLS)))
    return sp.csr_matrix(sp.hstack([tissue.counts.seen.astype(np.int32), controls]))


def extent_of(tissue: Tissue) -> tuple[float, float]:
    """Width and height of the section in µm."""
    rows, columns = tissue.image.shape[1:]
    return columns * tissue.config.pixel_size, rows * tissue.config.pixel_size


def picture(tissue: Tissue, pixel: float, context: JobContext) -> npt.NDArray[np.uint8]:
    """Nuclei and membranes (2, rows, columns) at ``pixel`` µm."""
    return draw_image(tissue.outlines, extent_of(tissue), pixel, tissue.config.seed, context)


def label_image(
    vertices: npt.NDArray[np.float64], pixel: float, shape: tuple[int, int]
) -> npt.NDArray[np.uint32]:
    """Polygons (N, K, 2) µm drawn with their row + 1, (rows, columns); 0 is no cell."""
    from skimage.draw import polygon

    image = np.zeros(shape, np.uint32)
    for number, ring in enumerate(vertices / pixel - 0.5, start=1):
        rows, columns = polygon(ring[:, 1], ring[:, 0], shape)  # type: ignore[no-untyped-call]
        image[rows, columns] = number
    return image


def nuclei(tissue: Tissue) -> npt.NDArray[np.float64]:
    """Outlines of the nuclei, (N, K, 2) µm."""
    seeds = tissue.outlines.seeds[:, None]
    return np.asarray(seeds + NUCLEUS * (tissue.outlines.vertices - seeds))


def vertex_rows(
    vertices: npt.NDArray[np.float64], *, closed: bool = True
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Row of the cell (V,) and place (V, 2) of all vertices, the first again at the end."""
    rings = np.concatenate([vertices, vertices[:, :1]], axis=1) if closed else vertices
    owner = np.repeat(np.arange(len(rings)), rings.shape[1])
    return owner, rings.reshape(-1, 2)


def write_10x(
    path: Path,
    counts: sp.csr_matrix,
    barcodes: Sequence[str],
    tissue: Tissue,
    *,
    controls: Sequence[str] = (),
    attributes: dict[str, Any] | None = None,
) -> None:
    """A feature-barcode matrix in 10x's HDF5 format (Cell Ranger 3 and later), genes first."""
    import h5py  # type: ignore[import-untyped]

    names = [*tissue.genes, *controls]
    ids = [*ensembl_ids(tissue.genes), *controls]
    kinds = ["Gene Expression"] * len(tissue.genes) + ["Negative Control Probe"] * len(controls)
    with h5py.File(path, "w") as file:
        file.attrs.update({"filetype": "matrix", "version": 2, **(attributes or {})})
        group = file.create_group("matrix")
        group["barcodes"] = np.array(barcodes, dtype="S")
        group["data"] = counts.data.astype(np.int32)
        group["indices"] = counts.indices.astype(np.int64)
        group["indptr"] = counts.indptr.astype(np.int64)
        group["shape"] = np.array(counts.shape[::-1], dtype=np.int32)
        features = group.create_group("features")
        for name, texts in (("id", ids), ("name", names), ("feature_type", kinds)):
            features[name] = np.array(texts, dtype="S")
        features["genome"] = np.array(["simulated"] * len(names), dtype="S")
        features["_all_tag_keys"] = np.array(["genome"], dtype="S")


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """A CSV, gzip where its name says so, the same bytes each time."""
    packing = {"method": "gzip", "mtime": 0} if path.suffix == ".gz" else None
    frame.to_csv(path, index=False, compression=packing)
