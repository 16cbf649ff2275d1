"""Where each transcript lies: one row a count, plus what no cell took and negative controls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from tagscope.jobs import JobContext
from tagscope.simulation.celltypes import CONTROLS, panel_genes
from tagscope.simulation.expression import SectionCounts
from tagscope.simulation.outlines import VERTICES, Outlines
from tagscope.simulation.streams import stream

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]

FEATURES = (*panel_genes(), *CONTROLS)
_PART = 20_000
_GRID = 16.0  # positions are kept to 1/16 µm, finer than a microscope sees
_LOOSE = 0.05  # transcripts outside all cells, as a share of those inside
_CONTROL_RATE = 0.02  # negative controls a cell
_LOWEST_QV = 20


@dataclass(frozen=True)
class Transcripts:
    """``xy`` (M, 2) float32 µm; ``feature`` (M,) into ``FEATURES``; ``cell`` (M,) row of the cell,
    −1 outside all; ``qv`` (M,) float32, Phred quality. The table's counts
    come first, sorted by cell and feature; loose transcripts and controls follow."""

    xy: npt.NDArray[np.float32]
    feature: npt.NDArray[np.int16]
    cell: Ints
    qv: npt.NDArray[np.float32]


def locate_transcripts(
    counts: SectionCounts, outlines: Outlines, seed: int, context: JobContext
) -> Transcripts:
    """Give every count of the table a place inside its cell; strays lie on their donor's side."""
    cells = counts.own.shape[0]
    parts = []
    for index, begin in enumerate(range(0, cells, _PART)):
        context.step("placing transcripts", begin, cells)
        rng = stream(seed, "transcripts", index)
        part = _of_cells(counts, outlines, begin, min(begin + _PART, cells), rng)
        order = np.lexsort((part[1], part[2]))
        parts.append((part[0][order], part[1][order], part[2][order]))
    parts.append(_loose(counts, outlines, stream(seed, "loose transcripts")))
    context.step("placing transcripts", cells, cells)
    xy, feature, cell = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Transcripts(xy, feature, cell, _quality(len(cell), stream(seed, "quality")))


def _quality(count: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    quality = 40 - np.floor(rng.standard_exponential(count, np.float32) * 4)
    return np.asarray(np.maximum(quality, _LOWEST_QV), dtype=np.float32)


Part = tuple[npt.NDArray[np.float32], npt.NDArray[np.int16], Ints]


def _of_cells(
    counts: SectionCounts, outlines: Outlines, begin: int, end: int, rng: np.random.Generator
) -> Part:
    own, spill = counts.own[begin:end], counts.spill
    first, last = np.searchsorted(spill.receiver, [begin, end])
    rows = np.repeat(np.arange(begin, end, dtype=np.int32), np.diff(own.indptr))
    cell = np.repeat(rows, own.data)
    inside = _within(outlines, cell, rng)
    taken = spill.receiver[first:last]
    strayed = _towards(outlines, taken, spill.donor[first:last], rng)
    feature = np.concatenate([np.repeat(own.indices, own.data), spill.gene[first:last]])
    xy = np.concatenate([inside, strayed])
    return _on_grid(xy), feature.astype(np.int16), np.concatenate([cell, taken])


def _within(outlines: Outlines, cell: Ints, rng: np.random.Generator) -> Floats:
    """A random place in each cell, (M, 2): in the triangle of the seed and two vertices."""
    corner = rng.integers(0, VERTICES, len(cell))
    along, across = rng.random((2, len(cell)))
    over = along + across > 1
    along, across = np.where(over, 1 - along, along), np.where(over, 1 - across, across)
    seed = outlines.seeds[cell]
    first = outlines.vertices[cell, corner] - seed
    second = outlines.vertices[cell, (corner + 1) % VERTICES] - seed
    return np.asarray(seed + 0.98 * (along[:, None] * first + across[:, None] * second))


def _towards(outlines: Outlines, cell: Ints, donor: Ints, rng: np.random.Generator) -> Floats:
    """A place in each cell's rim on the side of the donor, (M, 2)."""
    seed = outlines.seeds[cell]
    away = outlines.seeds[donor] - seed
    angle = np.arctan2(away[:, 1], away[:, 0]) + rng.normal(0, 0.35, len(cell))
    unit = np.column_stack([np.cos(angle), np.sin(angle)])
    edge = outlines.edge(cell.astype(np.int64), seed + unit)
    return np.asarray(seed + unit * (edge * rng.uniform(0.6, 0.97, len(cell)))[:, None])


def _loose(counts: SectionCounts, outlines: Outlines, rng: np.random.Generator) -> Part:
    """Transcripts between the cells, and negative controls wherever they fall."""
    cells = counts.own.shape[0]
    wanted = int(_LOOSE * (counts.own.sum() + len(counts.spill.gene)))
    abundance = np.asarray(counts.own.sum(axis=0), dtype=np.float64).ravel()
    place, cell = _anywhere(outlines, 3 * wanted, rng)
    place = place[cell < 0][:wanted]
    gene = rng.choice(len(abundance), len(place), p=abundance / abundance.sum())
    spots, holders = _anywhere(outlines, rng.poisson(_CONTROL_RATE * cells) + len(CONTROLS), rng)
    control = len(abundance) + rng.integers(0, len(CONTROLS), len(spots))
    feature = np.concatenate([gene, control]).astype(np.int16)
    holder = np.concatenate([np.full(len(place), -1, np.int32), holders])
    return _on_grid(np.concatenate([place, spots])), feature, holder


def _anywhere(outlines: Outlines, count: int, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """Random places about the cells, and the cell that holds each, −1 for none.

    Only the cell of the nearest seed can hold a place: outlines stay in their Voronoi regions.
    """
    around = rng.integers(0, len(outlines.seeds), count)
    place = outlines.seeds[around] + rng.normal(0, 9.0, (count, 2))
    _, nearest = KDTree(outlines.seeds).query(place)
    within = outlines.reach(nearest, place) < 1.02
    return place, np.where(within, nearest, -1).astype(np.int32)


def _on_grid(xy: Floats) -> npt.NDArray[np.float32]:
    return (np.round(xy * _GRID) / _GRID).astype(np.float32)
