"""What saving a result costs, beside rewriting the table.

    python tests/bench/saving.py [--cells 100000 300000 1000000] [--folder FOLDER]

A section of 300 genes, 90 of them in a cell, in a store; a result of the size that ``annotate``
finds with attention. Every way runs in a process of its own, on a fresh copy of the section.
Seconds, and the most memory held beyond what was held before, are those of the save alone: the
result is in memory already.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from spatialdata import SpatialData, read_zarr
from spatialdata.models import TableModel

from cellmemory_scale import memory_held
from measuring import machine, peak_so_far, table
from tagscope.io.h5ad import quietly
from tagscope.io.readers import SectionSource
from tagscope.io.store import write_results

GENES, EXPRESSED, LABELS, WIDTH = 300, 90, 15, 64
CELLS = (100_000, 300_000, 1_000_000)


def scores(cells: int, seed: int) -> sp.csr_matrix:
    """(cells, GENES) with EXPRESSED values in a row."""
    rng = np.random.default_rng(seed)
    apart = GENES // EXPRESSED
    genes = rng.integers(0, apart, (cells, EXPRESSED), dtype=np.int32)
    genes += np.arange(EXPRESSED, dtype=np.int32) * apart
    starts = np.arange(0, cells * EXPRESSED + 1, EXPRESSED, dtype=np.int32)
    values = rng.random(cells * EXPRESSED, dtype=np.float32)
    return sp.csr_matrix((values, genes.ravel(), starts), (cells, GENES))


def section(cells: int) -> ad.AnnData:
    """Counts, two columns and coordinates."""
    rng = np.random.default_rng(0)
    counts = scores(cells, 0)
    counts.data = np.ceil(counts.data * 5)
    obs = pd.DataFrame(
        {"batch": pd.Categorical.from_codes(rng.integers(0, 3, cells), list("abc")),
         "area": rng.random(cells)},
        index=np.char.add("cell ", np.arange(cells).astype(str)).astype(object),
    )  # fmt: skip
    made = ad.AnnData(counts, obs, pd.DataFrame(index=[f"gene {i}" for i in range(GENES)]))
    made.obsm["spatial"] = rng.random((cells, 2)) * 1000
    return made


def result(cells: int) -> Callable[[ad.AnnData], None]:
    """What ``annotate`` with attention adds to a table."""
    rng = np.random.default_rng(1)
    probabilities = rng.random((cells, LABELS), dtype=np.float32)
    embedding = rng.random((cells, WIDTH), dtype=np.float32)
    attention = scores(cells, 2)
    names = [f"type {i}" for i in range(LABELS)]

    def write(into: ad.AnnData) -> None:
        into.obs["cellmemory"] = pd.Categorical.from_codes(probabilities.argmax(axis=1), names)
        into.obs["cellmemory_confidence"] = probabilities.max(axis=1)
        into.obsm["cellmemory_probabilities"] = probabilities
        into.obsm["X_cellmemory"] = embedding
        into.layers["cellmemory_attention"] = attention
        into.uns["tagscope"] = {"cellmemory": "{}"}

    return write


def prepare(cells: int, folder: Path) -> None:
    """``x.zarr`` and ``x.h5ad`` of a section."""
    made = section(cells)
    made.write_h5ad(folder / "x.h5ad", compression="gzip")
    with quietly():
        SpatialData(tables={"table": TableModel.parse(made)}).write(folder / "x.zarr")


def save_store(folder: Path, write: Callable[[ad.AnnData], None]) -> None:
    source = SectionSource(folder / "x.zarr", "spatialdata", "table", None, None, None, "unknown")
    write_results(source, write, source.path)


def save_h5ad(folder: Path, write: Callable[[ad.AnnData], None]) -> None:
    source = SectionSource(folder / "x.h5ad", "h5ad", None, None, None, None, "unknown")
    write_results(source, write, source.path)


def rewrite_zarr(folder: Path, write: Callable[[ad.AnnData], None]) -> None:
    whole = ad.read_zarr(folder / "x.zarr" / "tables" / "table")
    write(whole)
    whole.write_zarr(folder / "rewritten.zarr")


def rewrite_element(folder: Path, write: Callable[[ad.AnnData], None]) -> None:
    """spatialdata cannot replace an element of the store it was read from: under a new name."""
    store = read_zarr(folder / "x.zarr")
    write(store["table"])
    store["annotated"] = store["table"]
    store.write_element("annotated")


def rewrite_h5ad(folder: Path, write: Callable[[ad.AnnData], None]) -> None:
    whole = ad.read_h5ad(folder / "x.h5ad")
    write(whole)
    whole.write_h5ad(folder / "rewritten.h5ad", compression="gzip")


WAYS = {
    "store, in place (TAGscope)": save_store,
    "the table by SpatialData.write_element": rewrite_element,
    "the table by AnnData.write_zarr": rewrite_zarr,
    ".h5ad, in place (TAGscope)": save_h5ad,
    ".h5ad by AnnData.write_h5ad, gzip": rewrite_h5ad,
}


def measure(way: str, cells: int, folder: Path) -> None:
    """In a process of its own: print seconds and bytes as JSON."""
    write = result(cells)
    _forget_peak()
    before = memory_held()
    began = time.perf_counter()
    with quietly():
        WAYS[way](folder, write)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "memory": peak_so_far() - before}))


def _forget_peak() -> None:
    """Let the peak of this process begin anew, where the system can."""
    switch = Path("/proc/self/clear_refs")
    if switch.exists():
        switch.write_text("5")


def apart(way: str, cells: int, prepared: Path) -> dict[str, float]:
    """Seconds and growth of a way in a process of its own, on a copy of the section."""
    with tempfile.TemporaryDirectory(dir=prepared.parent) as copy:
        kind = "x.h5ad" if "h5ad" in way else "x.zarr"
        origin, target = prepared / kind, Path(copy) / kind
        shutil.copytree(origin, target) if origin.is_dir() else shutil.copyfile(origin, target)
        program = [sys.executable, "-W", "ignore", __file__, "--way", way]
        ran = subprocess.run(
            [*program, "--cells", str(cells), "--folder", copy],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
    measured: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return measured


def report(sizes: list[int], folder: Path) -> None:
    print(machine(torch.device("cpu")))
    for cells in sizes:
        with tempfile.TemporaryDirectory(dir=folder) as prepared:
            prepare(cells, Path(prepared))
            rows = []
            for way in WAYS:
                measured = apart(way, cells, Path(prepared))
                rows.append((way, measured["seconds"], measured["memory"] / 1e9))
            table(f"{cells:,} cells × {GENES} genes", ("way", "seconds", "memory, GB"), rows)
    print(f"\n{machine(torch.device('cpu'))}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, nargs="+", default=list(CELLS))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--way", choices=tuple(WAYS), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.way:
        measure(chosen.way, chosen.cells[0], chosen.folder)
    else:
        report(chosen.cells, chosen.folder)


if __name__ == "__main__":
    main()
