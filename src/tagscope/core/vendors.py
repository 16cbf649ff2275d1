"""Which vendor's output folder a path is, told by the names of the files in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Vendor:
    """``key``: the module that reads it; ``name``: its technology; ``files``: any of them tells."""

    key: str
    name: str
    files: tuple[str, ...]


VENDORS = (
    Vendor(
        "xenium",
        "Xenium",
        ("experiment.xenium", "cells.zarr.zip", "cell_feature_matrix.h5", "cells.parquet"),
    ),
    Vendor(
        "merscope",
        "MERSCOPE",
        ("*cell_by_gene.csv*", "*detected_transcripts.csv*", "*cell_metadata.csv*"),
    ),
    Vendor(
        "cosmx",
        "CosMx",
        ("*exprMat_file.csv*", "*tx_file.csv*", "*fov_positions_file.csv*", "*metadata_file.csv*"),
    ),
    Vendor(
        "visium",
        "Visium, Visium HD",
        (
            "binned_outputs/square_*um",
            "square_*um",
            "*_feature_bc_matrix.h5",
            "spatial/*tissue_positions*",
        ),
    ),
    Vendor("stereoseq", "Stereo-seq", ("*.gef", "*/*.gef", "outs/*/*.gef")),
)


def vendor_of(path: Path) -> Vendor | None:
    """The vendor whose files a folder holds, or whose one file a path is; None if there is none."""
    if path.suffix == ".gef" and path.is_file():
        return VENDORS[-1]
    if not path.is_dir():
        return None
    return next((vendor for vendor in VENDORS if _holds(path, vendor.files)), None)


def _holds(folder: Path, patterns: tuple[str, ...]) -> bool:
    # on file systems of other makes a Mac leaves a hidden twin ``._name`` of every file
    found = (path for pattern in patterns for path in folder.glob(pattern))
    return any(not path.name.startswith("._") for path in found)
