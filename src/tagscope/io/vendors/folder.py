"""Reading a folder by its vendor's reader."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from tagscope.core.vendors import Vendor
from tagscope.io.h5ad import quietly
from tagscope.io.vendors.cells import VendorFolder


def read_folder(path: Path, vendor: Vendor, table: str | None = None) -> VendorFolder:
    """A vendor's folder as a SpatialData in memory, images and transcripts lazy.

    Parameters
    ----------
    table
        Which of several: the bin size of Visium HD.

    Raises
    ------
    InputError
        If the folder holds no cells, or a file in it is damaged.
    ArgumentError
        If it has no such table.
    """
    reader = import_module(f"tagscope.io.vendors.{vendor.key}")
    with quietly():
        folder: VendorFolder = reader.read(path, table)
        return folder
