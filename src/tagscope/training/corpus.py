"""Cells of one file or many as a network is pretrained on them.

A file that stays on disk is read once, in blocks; what the network reads of it goes into files
beside the bundle, which are mapped and not loaded. What grows in memory with the data is then
places and neighbours alone, half a kilobyte a cell while these are found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tagscope.core.neighbours import nearest_others
from tagscope.core.panel import GenePanel
from tagscope.errors import InputError
from tagscope.io.cell_source import CellSource
from tagscope.jobs import JobContext

Ints = npt.NDArray[np.int64]
Encode = Callable[[sp.csr_matrix, Ints], sp.csr_matrix]
"""A block's counts over all genes, and the columns that are read, to what is read (n, len)."""

_READING = "reading genes"
_MOST_TOTALS = 100_000  # cells of a source; the median of more hardly differs
_VALUES, _COLUMNS, _STARTS, _DIGEST = "values.f32", "columns.i32", "starts.npy", "sha256"


@dataclass(frozen=True)
class CellValues:
    """What is read of N cells over n genes, by cell as in CSR: ``values`` and ``columns`` (nnz,),
    in memory or mapped from files, ``starts`` (N + 1,). ``digest`` tells them from others."""

    values: npt.NDArray[np.float32]
    columns: npt.NDArray[np.int32]
    starts: Ints
    genes: int
    digest: str

    def __len__(self) -> int:
        return len(self.starts) - 1

    def take(self, rows: Ints) -> sp.csr_matrix:
        """Those of some cells, (len(rows), n)."""
        counts = self.starts[rows + 1] - self.starts[rows]
        ends = counts.cumsum()
        places = np.arange(counts.sum()) + np.repeat(self.starts[rows] - ends + counts, counts)
        parts = self.values[places], self.columns[places], np.concatenate(([0], ends))
        return sp.csr_matrix(parts, shape=(len(rows), self.genes))


@dataclass(frozen=True)
class Part:
    """The cells of one file.

    ``genes`` rows of the network's table that a cell is read over; ``held`` (N,) bool the cells
    never learned from; ``xy`` (N, 2) places in the model's unit and ``neighbours`` (N, k), where
    there are places.
    """

    name: str
    genes: Ints
    values: CellValues
    held: npt.NDArray[np.bool_]
    xy: npt.NDArray[np.float64] | None = None
    neighbours: Ints | None = None


@dataclass(frozen=True)
class Corpus:
    """All cells, numbered through the parts.

    ``training`` and ``validation``: the cells that express something, of a part each in turn.
    """

    parts: tuple[Part, ...]

    @property
    def firsts(self) -> Ints:
        """The number of every part's first cell, and after the last the number of cells."""
        return np.cumsum([0, *(len(part.values) for part in self.parts)])

    @property
    def training(self) -> Ints:
        """Cells to learn from."""
        return self._where(held=False)

    @property
    def validation(self) -> Ints:
        """Cells held out."""
        return self._where(held=True)

    @property
    def in_tissue(self) -> bool:
        """Whether all cells have places."""
        return all(part.neighbours is not None for part in self.parts)

    def digest(self) -> str:
        """sha256 of everything a training sees of the data."""
        seen = hashlib.sha256()
        for part in self.parts:
            seen.update(part.values.digest.encode())
            for array in (part.genes, part.held, part.xy, part.neighbours):
                seen.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        return seen.hexdigest()

    def chunks(self, cells: Ints, cells_of: Callable[[Part], int]) -> Iterator[tuple[Part, Ints]]:
        """Cells by part, in pieces of ``cells_of`` the part."""
        owners = np.searchsorted(self.firsts, cells, side="right") - 1
        for index in np.unique(owners):
            part, rows = self.parts[index], cells[owners == index] - self.firsts[index]
            size = cells_of(part)
            for start in range(0, len(rows), size):
                yield part, rows[start : start + size]

    def _where(self, *, held: bool) -> Ints:
        found = [
            first + np.flatnonzero((part.held == held) & (np.diff(part.values.starts) > 0))
            for first, part in zip(self.firsts, self.parts, strict=False)
        ]
        return np.concatenate(found)


def genes_of(
    source: CellSource, vocabulary: GenePanel | None, most: int | None, context: JobContext
) -> GenePanel:
    """The genes of a source to read, each once, by name: all that the vocabulary knows, or those
    ``most`` whose log-normalised values vary most, all if None.

    Raises
    ------
    InputError
        If the vocabulary knows none of them.
    """
    columns = source.panel.shared_with(vocabulary or source.panel)
    if not len(columns):
        raise InputError(
            f"The model knows none of the {len(source.panel)} genes of {source.name}.",
            "What it goes on to learn must have genes in common, by symbol or Ensembl id.",
            "Check species and kind of gene ids, or train anew.",
            {"init": None},
        )
    if most is not None and len(columns) > most:
        spread = _variances(source, context)[columns]
        columns = np.sort(columns[np.argsort(-spread, kind="stable")[:most]])
    names = [source.panel.symbols[column] for column in columns]
    return source.panel.take(columns[np.argsort(np.array(names), kind="stable")])


def median_total(sources: Sequence[CellSource], context: JobContext) -> float:
    """Median total of the cells that express something, the first 100,000 of each source."""
    totals: list[npt.NDArray[np.float64]] = []
    for source in sources:
        seen = 0
        for block in _heard(source, context):
            totals.append(np.asarray(block.sum(axis=1), np.float64).ravel())
            seen += len(totals[-1])
            if seen >= _MOST_TOTALS:
                break
    found = np.concatenate(totals)
    return float(np.median(found[found > 0])) if (found > 0).any() else 1.0


def values_of(
    source: CellSource, panel: GenePanel, encode: Encode, scratch: Path | None, context: JobContext
) -> CellValues:
    """What is read of a source over ``panel``; with ``scratch`` it is kept in files there."""
    columns, seen = panel.columns_in(source.panel), hashlib.sha256()
    starts, values, places = [np.zeros(1, np.int64)], [], []
    for block in _heard(source, context):
        read = encode(block, columns)
        starts.append(starts[-1][-1] + read.indptr[1:].astype(np.int64))
        pair = read.data, read.indices.astype(np.int32)
        for array in (*pair, read.indptr):
            seen.update(array.tobytes())
        if scratch is None:
            values.append(pair[0])
            places.append(pair[1])
        else:
            _append(pair[0], scratch / _VALUES)
            _append(pair[1], scratch / _COLUMNS)
    whole = np.concatenate(starts)
    if scratch is None:
        return CellValues(
            np.concatenate(values), np.concatenate(places), whole, len(panel), seen.hexdigest()
        )
    np.save(scratch / _STARTS, whole)
    (scratch / _DIGEST).write_text(seen.hexdigest())
    return mapped_values(scratch, len(panel))


def mapped_values(scratch: Path, genes: int) -> CellValues:
    """Those that :func:`values_of` kept in files, mapped."""
    starts = np.load(scratch / _STARTS)
    values: npt.NDArray[np.float32] = np.empty(0, np.float32)
    columns: npt.NDArray[np.int32] = np.empty(0, np.int32)
    if starts[-1]:  # an empty file cannot be mapped
        values = np.memmap(scratch / _VALUES, np.float32, "r")
        columns = np.memmap(scratch / _COLUMNS, np.int32, "r")
    return CellValues(values, columns, starts, genes, (scratch / _DIGEST).read_text())


def _append(array: npt.NDArray[np.generic], path: Path) -> None:
    with path.open("ab") as file:
        array.tofile(file)


def part_of(
    source: CellSource,
    values: CellValues,
    genes: Ints,
    held: npt.NDArray[np.bool_],
    neighbours: int,
    um_per_unit: float,
) -> Part:
    """A source's cells, with as many neighbours of those that have places."""
    if source.xy is None or not neighbours:
        return Part(source.name, genes, values, held)
    near = nearest_others(source.xy, neighbours, source.pieces)
    return Part(source.name, genes, values, held, source.xy / um_per_unit, near)


def held_out(cells: int, share: float, most: int, seed: int) -> npt.NDArray[np.bool_]:
    """A random share of the cells, at least one and at most ``most``, (N,) bool."""
    count = min(max(1, round(share * cells)), most, cells - 1)
    held = np.zeros(cells, bool)
    held[np.random.default_rng(seed).choice(cells, count, replace=False)] = True
    return held


def _variances(source: CellSource, context: JobContext) -> npt.NDArray[np.float64]:
    """Variance of every gene's ln(1 + counts per 10,000), (G,)."""
    sums = np.zeros((2, len(source.panel)))
    for block in _heard(source, context):
        totals = np.asarray(block.sum(axis=1), np.float64).ravel()
        scale = np.repeat(1e4 / np.where(totals > 0, totals, 1.0), np.diff(block.indptr))
        logged = np.log1p(block.data * scale)
        for power in (1, 2):
            weights = logged**power
            sums[power - 1] += np.bincount(block.indices, weights, len(source.panel))
    means, squares = sums / max(1, len(source))
    return np.asarray(squares - means**2)


def _heard(source: CellSource, context: JobContext) -> Iterator[sp.csr_matrix]:
    done = 0
    for block in source.blocks():
        context.step(_READING, done, len(source))
        yield block
        done += block.shape[0]
    context.step(_READING, done, len(source))
