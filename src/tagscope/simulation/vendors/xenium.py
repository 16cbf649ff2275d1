"""A Xenium output folder, as Xenium Onboard Analysis (XOA) 2.0 and 3.0 lay it out.

XOA 2.0 as it is without segmentation stains: one morphology image. XOA 3.0 with them: four images
that make up one multi-file OME-TIFF, ``label_id`` in boundaries, ``is_gene`` and codewords in
transcripts, nucleus counts and segmentation methods in cells. Summary pages, analysis results, the
three-dimensional image and the files of Xenium Explorer are left out.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import numpy.typing as npt
import pandas as pd

from tagscope.jobs import JobContext
from tagscope.simulation.celltypes import CONTROLS
from tagscope.simulation.image import NUCLEUS
from tagscope.simulation.tissue import Tissue
from tagscope.simulation.transcripts import FEATURES
from tagscope.simulation.vendors import parts

PIXEL = 0.2125  # µm
_VERSIONS = {2: "xenium-2.0.0.10", 3: "xenium-3.0.0.15"}
_STAINS = ("DAPI", "ATP1A1/CD45/E-Cadherin", "18S", "AlphaSMA/Vimentin")
_POOR = 40  # every so many transcripts one more of low quality, which no count holds
_POOR_QV = 9.0
_SMALLEST_LEVEL = 1024  # pixels a side from which a picture needs no smaller copy


def write(tissue: Tissue, folder: Path, context: JobContext) -> None:
    """The folder of XOA 3.0."""
    write_version(tissue, folder, context, 3)


def write_version_2(tissue: Tissue, folder: Path, context: JobContext) -> None:
    """The folder of XOA 2.0."""
    write_version(tissue, folder, context, 2)


def write_version(tissue: Tissue, folder: Path, context: JobContext, version: int) -> None:
    """The folder of one version of XOA."""
    counts = parts.feature_counts(tissue)
    barcodes = tissue.ids.tolist()
    parts.write_10x(folder / "cell_feature_matrix.h5", counts, barcodes, tissue, controls=CONTROLS)
    _write_table(_cells(tissue, version), folder, "cells")
    for name, vertices in (
        ("cell_boundaries", tissue.outlines.vertices),
        ("nucleus_boundaries", parts.nuclei(tissue)),
    ):
        _write_table(_boundaries(tissue, vertices, version), folder, name)
    spots = _transcripts(tissue, version)
    spots.to_parquet(folder / "transcripts.parquet", index=False)
    image = parts.picture(tissue, PIXEL, context)
    masks = [
        parts.label_image(vertices, PIXEL, image.shape[1:])
        for vertices in (parts.nuclei(tissue), tissue.outlines.vertices)
    ]
    _write_cells_zarr(tissue, folder / "cells.zarr.zip", masks)
    _write_images(folder / "morphology_focus", image, masks[1], version)
    specs = json.dumps(_specs(tissue, version), indent=4)
    (folder / "experiment.xenium").write_text(specs, encoding="utf-8")


def _write_table(frame: pd.DataFrame, folder: Path, name: str) -> None:
    frame.to_parquet(folder / f"{name}.parquet", index=False)
    parts.write_csv(frame, folder / f"{name}.csv.gz")


def _cells(tissue: Tissue, version: int) -> pd.DataFrame:
    counts = parts.feature_counts(tissue)
    genes = len(tissue.genes)
    totals = np.asarray(counts.sum(axis=1)).ravel()
    controls = np.asarray(counts[:, genes:].sum(axis=1)).ravel()
    areas, centres = tissue.outlines.areas, tissue.outlines.centroids
    none = np.zeros(len(tissue), np.int64)
    columns = {
        "cell_id": tissue.ids.astype(object),
        "x_centroid": centres[:, 0],
        "y_centroid": centres[:, 1],
        "transcript_counts": totals - controls,
        "control_probe_counts": controls,
        "genomic_control_counts": none,
        "control_codeword_counts": none,
        "unassigned_codeword_counts": none,
        "deprecated_codeword_counts": none,
        "total_counts": totals,
        "cell_area": areas,
        "nucleus_area": NUCLEUS**2 * areas,
        "nucleus_count": np.ones(len(tissue), np.uint32),
        "segmentation_method": "Segmented by boundary stain (ATP1A1+CD45+E-Cadherin)",
    }
    frame = pd.DataFrame(columns)
    newer = ["genomic_control_counts", "nucleus_count", "segmentation_method"]
    return frame if version >= 3 else frame.drop(columns=newer)


def _boundaries(tissue: Tissue, vertices: npt.NDArray[np.float64], version: int) -> pd.DataFrame:
    owner, xy = parts.vertex_rows(vertices)
    frame = pd.DataFrame(
        {
            "cell_id": tissue.ids[owner].astype(object),
            "vertex_x": xy[:, 0].astype(np.float32),
            "vertex_y": xy[:, 1].astype(np.float32),
        }
    )
    return frame if version < 3 else frame.assign(label_id=(owner + 1).astype(np.uint32))


def _transcripts(tissue: Tissue, version: int) -> pd.DataFrame:
    """All transcripts, and some of low quality, which XOA keeps and does not count."""
    spots = tissue.transcripts
    rows = np.concatenate([np.arange(len(spots.cell)), np.arange(0, len(spots.cell), _POOR)])
    quality = spots.qv[rows]
    quality[len(spots.cell) :] = _POOR_QV
    cell, feature = spots.cell[rows], spots.feature[rows]
    inside = tissue.outlines.reach(np.maximum(cell, 0).astype(np.int64), spots.xy[rows])
    names = np.append(tissue.ids.astype(object), "UNASSIGNED")
    frame = pd.DataFrame(
        {
            "transcript_id": np.arange(len(rows), dtype=np.uint64),
            "cell_id": names[cell],
            "overlaps_nucleus": ((inside < NUCLEUS) & (cell >= 0)).astype(np.uint8),
            "feature_name": np.array(FEATURES, dtype=object)[feature],
            "x_location": spots.xy[rows, 0],
            "y_location": spots.xy[rows, 1],
            "z_location": np.full(len(rows), 15.0, np.float32),
            "qv": quality,
            "fov_name": "A1",
            "nucleus_distance": np.zeros(len(rows), np.float32),
        }
    )
    if version < 3:
        return frame
    gene = feature < len(tissue.genes)
    category = np.where(gene, "predesigned_gene", "negative_control_probe")
    return frame.assign(
        codeword_index=feature.astype(np.int32), codeword_category=category, is_gene=gene
    )


def _write_cells_zarr(tissue: Tissue, path: Path, masks: list[npt.NDArray[np.uint32]]) -> None:
    """Cell ids, masks and polygons in zarr 2, zipped."""
    import zarr

    letters = tissue.ids.astype("S").view(np.uint8).reshape(len(tissue), -1)[:, :8]
    powers = 16 ** np.arange(7, -1, -1, dtype=np.uint64)
    numbers = ((letters - ord("a")).astype(np.uint64) * powers).sum(axis=1)
    ids = np.column_stack([numbers, np.ones(len(tissue))]).astype(np.uint32)
    with warnings.catch_warnings(), zarr.storage.ZipStore(path, mode="w") as store:
        # a group's attributes are written anew with each change, under the same name in the zip
        warnings.filterwarnings("ignore", message="Duplicate name")
        root = zarr.create_group(store, zarr_format=2, attributes={"major_version": 6})
        root.create_array("cell_id", data=ids)
        summary = root.create_array("cell_summary", data=_summary(tissue))
        summary.attrs["column_names"] = list(_SUMMARY)
        for index, mask in enumerate(masks):
            chunks = tuple(min(4096, side) for side in mask.shape)
            root.create_array(f"masks/{index}", data=mask, chunks=chunks)
        moved = np.diag([1 / PIXEL, 1 / PIXEL, 1, 1]).astype(np.float32)
        root.create_array("masks/homogeneous_transform", data=moved)
        for index, vertices in enumerate((parts.nuclei(tissue), tissue.outlines.vertices)):
            _add_polygons(root.create_group(f"polygon_sets/{index}"), vertices)


_SUMMARY = (
    "cell_centroid_x", "cell_centroid_y", "cell_area", "nucleus_centroid_x", "nucleus_centroid_y",
    "nucleus_area", "z_level", "nucleus_count",
)  # fmt: skip


def _summary(tissue: Tissue) -> npt.NDArray[np.float64]:
    areas, centres = tissue.outlines.areas, tissue.outlines.centroids
    level, one = np.full(len(tissue), 15.0), np.ones(len(tissue))
    seeds = tissue.outlines.seeds
    return np.column_stack([centres, areas, seeds, NUCLEUS**2 * areas, level, one])


def _add_polygons(group: object, vertices: npt.NDArray[np.float64]) -> None:
    cells = len(vertices)
    arrays = {
        "cell_index": np.arange(cells, dtype=np.uint32),
        "method": np.zeros(cells, np.uint32),
        "num_vertices": np.full(cells, vertices.shape[1], np.int32),
        "vertices": vertices.reshape(cells, -1).astype(np.float32),
    }
    for name, values in arrays.items():
        group.create_array(name, data=values)  # type: ignore[attr-defined]


def _write_images(
    folder: Path, image: npt.NDArray[np.uint8], cells: npt.NDArray[np.uint32], version: int
) -> None:
    """One OME-TIFF a stain; where there are four, each names the others."""
    folder.mkdir()
    inside = np.where(cells > 0, np.uint16(90), np.uint16(8))
    nuclei, membranes = image.astype(np.uint16)
    planes = [nuclei, membranes, inside, inside // 2]
    planes = planes if version >= 3 else planes[:1]
    names = [f"morphology_focus_{index:04}.ome.tif" for index in range(len(planes))]
    for index, (name, plane) in enumerate(zip(names, planes, strict=True)):
        _write_levels(folder / name, plane, _ome(names, index, plane.shape))


def _write_levels(path: Path, plane: npt.NDArray[np.uint16], description: str) -> None:
    """A tiled picture and its copies of half the size each, the way OME-TIFF keeps them."""
    import tifffile

    levels = [plane]
    while max(levels[-1].shape) > _SMALLEST_LEVEL:
        levels.append(levels[-1][::2, ::2])
    with tifffile.TiffWriter(path) as file:
        for number, level in enumerate(levels):
            file.write(
                level,
                metadata=None,
                tile=(1024, 1024),
                compression="zlib",
                photometric="minisblack",
                subfiletype=int(number > 0),
                description=None if number else description,
                subifds=None if number else len(levels) - 1,
            )


def _ome(names: list[str], own: int, shape: tuple[int, ...]) -> str:
    """OME-XML that says which file holds which channel."""
    marks = [f"urn:uuid:{uuid5(NAMESPACE_URL, name)}" for name in names]
    channels = "".join(
        f'<Channel ID="Channel:{index}" Name="{stain}" SamplesPerPixel="1"/>'
        for index, stain in enumerate(_STAINS[: len(names)])
    )
    files = "".join(
        f'<TiffData FirstC="{index}" FirstT="0" FirstZ="0" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">{mark}</UUID></TiffData>'
        for index, (name, mark) in enumerate(zip(names, marks, strict=True))
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        f'UUID="{marks[own]}"><Image ID="Image:0" Name="morphology_focus">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="{shape[1]}" '
        f'SizeY="{shape[0]}" SizeZ="1" SizeC="{len(names)}" SizeT="1" PhysicalSizeX="{PIXEL}" '
        f'PhysicalSizeXUnit="&#181;m" PhysicalSizeY="{PIXEL}" PhysicalSizeYUnit="&#181;m">'
        f"{channels}{files}</Pixels></Image></OME>"
    )


def _specs(tissue: Tissue, version: int) -> dict[str, object]:
    return {
        "major_version": 4 + version,
        "minor_version": 0,
        "run_name": "simulated",
        "region_name": "section",
        "num_cells": len(tissue),
        "panel_name": "simulated",
        "panel_num_targets_predesigned": len(tissue.genes),
        "pixel_size": PIXEL,
        "analysis_sw_version": _VERSIONS[version],
        "z_step_size": 3.0,
        "images": {"morphology_focus_filepath": "morphology_focus/morphology_focus_0000.ome.tif"},
        "xenium_explorer_files": {"cells_zarr_filepath": "cells.zarr.zip"},
    }
