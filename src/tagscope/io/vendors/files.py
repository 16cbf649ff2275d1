"""Files of a vendor's folder: which are there, and their tables."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from tagscope.errors import InputError
from tagscope.io.findings import listed
from tagscope.io.h5ad import READ_ERRORS
from tagscope.io.vendors.cells import Counts

_UNREADABLE = (*READ_ERRORS, zlib.error, zipfile.BadZipFile)
_GENES = "Gene Expression"
_ROWS = 5000  # read at once of a table with a column a gene


def find(folder: Path, *patterns: str) -> Path | None:
    """The first file that fits a pattern, in the order of the patterns and then of names."""
    return next((path for pattern in patterns for path in find_all(folder, pattern)), None)


def find_all(folder: Path, pattern: str) -> list[Path]:
    """Files that fit a pattern, by name; a Mac's hidden twins (``._name``) are none."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("._"))


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say which file is damaged, whatever the library that reads it raises."""
    try:
        yield
    except _UNREADABLE as error:
        raise InputError(
            f"{path} is damaged or was not copied completely ({type(error).__name__}: {error}).",
            "A complete file, as the vendor writes it, is needed.",
            "Copy it again, or take it away: what is left of the folder is read.",
        ) from error


def read_frame(
    path: Path, columns: Sequence[str] | None = None, *, ids: Iterable[str] = ()
) -> pd.DataFrame:
    """A CSV (plain or gzip) or Parquet table.

    Parameters
    ----------
    columns
        Those to read, where they are there; all if None. A leading column without a name is none.
    ids
        Columns read as text: ids may be longer than any integer.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    with reading(path):
        if path.suffix == ".parquet":
            frame = _read_parquet(path, columns)
        else:
            frame = pd.read_csv(
                path,
                usecols=None if columns is None else lambda name: name in columns,
                dtype=dict.fromkeys(ids, str),
                low_memory=False,
            )
    frame = frame.loc[:, [not str(name).startswith("Unnamed: 0") for name in frame.columns]]
    return frame.assign(**{name: frame[name].astype(str) for name in ids if name in frame})


def need_columns(frame: pd.DataFrame, path: Path, names: Sequence[str]) -> None:
    """Raise an InputError unless the table of a file has all these columns."""
    missing = [name for name in names if name not in frame]
    if missing:
        raise InputError(
            f"{path} has no column {listed(missing)}; it has {listed(frame.columns)}.",
            "The columns that the vendor documents are needed.",
            "Give the file as the machine wrote it.",
        )


def read_10x(path: Path) -> Counts:
    """A feature-barcode matrix of 10x (HDF5): all features, which of them are genes, Ensembl ids.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    import h5py  # type: ignore[import-untyped]

    with reading(path), h5py.File(path, "r") as file:
        group = file["matrix"]
        data, columns, starts = (group[name][:] for name in ("data", "indices", "indptr"))
        features, cells = (int(length) for length in group["shape"][:])
        values = sp.csr_matrix(
            (data.astype(np.float32), columns.astype(np.int64), starts.astype(np.int64)),
            shape=(cells, features),
        )
        names, ids, kinds = (_texts(group["features"][n]) for n in ("name", "id", "feature_type"))
        barcodes = _texts(group["barcodes"])
    values.eliminate_zeros()
    frame = pd.DataFrame(
        {"gene_ids": ids, "gene": [kind == _GENES for kind in kinds]},
        index=pd.Index(names, dtype=object),
    )
    return Counts(values, pd.Index(barcodes, dtype=object), frame)


def read_wide(path: Path, ids: Sequence[str] = ()) -> tuple[pd.DataFrame, sp.csr_matrix, pd.Index]:
    """A CSV with a row a cell and a column a feature, read a part at a time.

    Parameters
    ----------
    ids
        Columns that tell the cell, where they are there; the first column, as text, if none given.

    Returns
    -------
    tuple
        The columns that tell the cell; counts (N, F) CSR float32; the names of the features.
    """
    keys, parts = [], []
    with reading(path):
        for frame in pd.read_csv(path, chunksize=_ROWS, dtype=None if ids else {0: str}):
            own = [name for name in frame if name in ids or str(name).startswith("Unnamed: 0")]
            own = own if ids else [frame.columns[0]]
            keys.append(frame[own])
            parts.append(sp.csr_matrix(frame.drop(columns=own).to_numpy(dtype=np.float32)))
            features = frame.columns.drop(own)
        cells = pd.concat(keys, ignore_index=True)
        return cells, sp.csr_matrix(sp.vstack(parts)), pd.Index(features, dtype=object)


def _texts(array: Any) -> list[str]:
    return [text.decode() if isinstance(text, bytes) else str(text) for text in array[:]]


def _read_parquet(path: Path, columns: Sequence[str] | None) -> pd.DataFrame:
    """Text that early versions of the vendor's software left as bytes is decoded."""
    import pyarrow.parquet as parquet

    names = parquet.read_schema(path).names
    frame = pd.read_parquet(path, columns=[n for n in names if columns is None or n in columns])
    encoded = [name for name in frame if len(frame) and isinstance(frame[name].iloc[0], bytes)]
    return frame.assign(**{name: frame[name].str.decode("utf-8") for name in encoded})
