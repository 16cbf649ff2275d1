"""What a path is, told from its content and not from its name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from tagscope.core.vendors import VENDORS, vendor_of
from tagscope.errors import InputError, OutputError
from tagscope.io.atomic import recover
from tagscope.io.findings import listed
from tagscope.io.vendors.files import find

Kind = Literal["spatialdata", "h5ad", "vendor"]

_NEEDED = "A SpatialData zarr store, a vendor's output folder or an .h5ad file is needed."
_ELEMENTS = ("images", "labels", "points", "shapes", "tables")
_SIGNATURES = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PAR1", "a Parquet file"),
)


def url_of(path: Path | str) -> str | None:
    """The address on the network that a path was meant as, None for a path."""
    found = re.match(r"([a-z][a-z0-9+.-]+):/+(?=[^/])(.*)", str(path), re.IGNORECASE)
    return f"{found[1]}://{found[2]}" if found else None


def refuse_url(out: Path | str) -> None:
    """Outputs are local.

    Raises
    ------
    OutputError
        If ``out`` is an address on the network.
    """
    if url := url_of(out):
        raise OutputError(
            f"{url} is an address on the network.",
            "An output is put in place in one step, which a network store cannot do.",
            "Write to a local or mounted disk, and copy it there afterwards.",
            {"out": None},
        )


def kind_of(path: Path) -> Kind:
    """Whether ``path`` is a SpatialData store, an AnnData file or a vendor's folder.

    Raises
    ------
    InputError
        If it is none, saying what it is.
    """
    if url := url_of(path):
        raise InputError(
            f"{url} is an address on the network.",
            "A store or .h5ad on a local or mounted disk is needed.",
            "Download it as a whole (wget -r, aws s3 sync, rclone copy), or mount it.",
        )
    recover(path)
    if not path.exists():
        raise InputError(f"{path} does not exist.", _NEEDED, "Check the path.")
    if vendor_of(path) is not None:
        return "vendor"
    if path.is_dir():
        _refuse_other_folders(path)
        return "spatialdata"
    _refuse_other_files(path)
    return "h5ad"


def _refuse_other_folders(path: Path) -> None:
    if not (path / "zarr.json").is_file() and not (path / ".zgroup").is_file():
        what, fix = _describe_folder(path)
        raise InputError(f"{path} is {what}.", _NEEDED, fix)
    if (path / "obs").is_dir() and not (path / "tables").is_dir():
        raise InputError(
            f"{path} is an AnnData zarr, not a SpatialData store.",
            _NEEDED,
            f"Convert it: anndata.read_zarr({str(path)!r}).write_h5ad('section.h5ad').",
        )
    if not any((path / name).is_dir() for name in _ELEMENTS):
        raise InputError(
            f"{path} is a zarr store without any SpatialData element.",
            "A store with a table of cells is needed.",
            "Check whether the store was copied completely.",
        )


def _describe_folder(path: Path) -> tuple[str, str]:
    """What a folder without zarr metadata is, and what to do about it."""
    if not any(path.iterdir()):
        return "an empty folder", "Check the path."
    if any(find(path, f"{name}/*/zarr.json", f"{name}/*/.z*") for name in _ELEMENTS):
        missing = "a store without its root metadata (zarr.json or .zgroup)"
        return missing, "It was not copied completely: copy it again."
    names = sorted(p.name for p in path.iterdir() if not p.name.startswith("."))
    inside = [name for name in names if name.endswith((".zarr", ".h5ad"))]
    fix = f"It holds {listed(inside)}: choose one." if inside else "Check the path."
    vendors = ", ".join(vendor.name for vendor in VENDORS)
    what = f"a folder that is not a zarr store, nor one of {vendors} as the vendor writes it"
    return f"{what} (it holds {listed(names, 4)})", fix


def _refuse_other_files(path: Path) -> None:
    try:
        with path.open("rb") as stream:
            head = stream.read(512)
    except PermissionError as error:
        message = f"{path} may not be read."
        raise InputError(message, _NEEDED, "Ask for permission to read it.") from error
    if not head.startswith(b"\x89HDF\r\n\x1a\n"):
        fix = "Unpack it first." if head.startswith((b"PK", b"\x1f\x8b")) else "Check the path."
        raise InputError(f"{path} is {_describe_file(head)}.", _NEEDED, fix)


def _describe_file(head: bytes) -> str:
    if not head:
        return "an empty file"
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return "not a file that can be read here"
    return "a text file" if b"\x00" not in head else "not a file that can be read here"
