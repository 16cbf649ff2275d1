"""Transcripts of chosen genes as a pyramid of dots: drawing costs per tile, not per transcript.

Places are numbered along a Z-order curve, on which every tile of every level is one run. A gene's
transcripts are kept sorted by it, and summed where a coarser level cannot tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_tagscope.canvas import raster
from napari_tagscope.canvas.recent import Recent
from napari_tagscope.canvas.tiles import TILE, TilePyramid
from tagscope.jobs import JobContext

if TYPE_CHECKING:
    from tagscope.api import Transcripts

FINEST = 1 << 17  # longest side of level 0, pixels
REACH = 3  # pixels from a dot's middle to its edge, at every level
KEPT_COUNTS = 128 << 20  # bytes of counts kept for the neighbours of a tile
MOST_COUNTED = 1500  # transcripts of a gene in a pixel; a dot of pixels still fits 16 bits
_STAGE = "sorting transcripts"
_BITS = 2 * (TILE.bit_length() - 1)  # of a pixel's number within a tile

Counts = npt.NDArray[np.uint16]
Curve = npt.NDArray[np.uint64]


class TranscriptPyramid(TilePyramid):
    """Multiscale label images of transcripts: 0 is background, gene g is g + 1.

    Every transcript is a dot of one size on the screen. Where dots meet, the gene with the most of
    them is drawn. Making it sorts all transcripts: do it in a job.
    """

    def __init__(self, transcripts: Transcripts, context: JobContext | None = None) -> None:
        context = context or JobContext()
        placed = np.isfinite(transcripts.xy).all(axis=1)
        xy, codes = transcripts.xy[placed], transcripts.codes[placed]
        low = xy.min(axis=0) if len(xy) else np.zeros(2)
        extent = (xy.max(axis=0) if len(xy) else np.ones(2)) - low
        side = float(extent.max()) or 1.0
        margin = side / 500  # dots at the edge are whole where all is on view
        pixel = (side + 2 * margin) / FINEST
        super().__init__(
            (float(low[1]) - margin, float(low[0]) - margin),
            (float(extent[1]) + 2 * margin, float(extent[0]) + 2 * margin),
            pixel,
        )
        self.genes = transcripts.genes
        self.counts = np.bincount(codes, minlength=len(self.genes))
        self._hidden: frozenset[int] = frozenset()
        self._runs: list[_Runs] = []
        for gene in range(len(self.genes)):
            context.step(_STAGE, gene, len(self.genes))
            corner = np.array([self.origin[1], self.origin[0]])
            column, row = ((xy[codes == gene] - corner) / pixel).astype(np.uint64).T
            self._runs.append(_Runs(np.sort(_curve(row, column)), len(self)))
        context.step(_STAGE, len(self.genes), len(self.genes))
        self._counted: Recent[tuple[int, int, int, int], Counts | None]
        self._counted = Recent(max(64, KEPT_COUNTS // (TILE * TILE * 2)))

    def set_hidden(self, genes: Iterable[int]) -> None:
        """Draw all genes but these."""
        self._hidden = frozenset(genes)
        self.forget()

    def _draw(self, level: int, top: int, left: int) -> raster.Labels:
        labels = np.zeros((TILE, TILE), np.int32)
        most = np.zeros((TILE, TILE), np.uint16)
        for gene in set(range(len(self.genes))) - self._hidden:
            counts = self._around(gene, level, top // TILE, left // TILE)
            if counts is not None:
                covering = dots(counts)
                np.copyto(labels, gene + 1, where=covering > most)
                np.maximum(most, covering, out=most)
        return labels

    def _around(self, gene: int, level: int, i: int, j: int) -> Counts | None:
        """Counts in a tile and within a dot's reach of it, None where there are none."""
        out: Counts | None = None
        for di, rows, own_rows in _EDGES:
            for dj, columns, own_columns in _EDGES:
                counts = self._count(gene, level, i + di, j + dj)
                if counts is not None:
                    if out is None:
                        out = np.zeros((TILE + 2 * REACH, TILE + 2 * REACH), np.uint16)
                    out[rows, columns] = counts[own_rows, own_columns]
        return out

    def _count(self, gene: int, level: int, i: int, j: int) -> Counts | None:
        """Transcripts in every pixel of a tile, (TILE, TILE), None where there are none."""
        rows, columns = self.shapes[level]
        if not (0 <= i * TILE < rows and 0 <= j * TILE < columns):
            return None
        runs = self._runs[gene]
        return self._counted.get((gene, level, i, j), lambda: runs.counts(level, i, j))


class _Runs:
    """One gene's transcripts along the curve, at level 0 and where summing halves them."""

    def __init__(self, places: Curve, levels: int) -> None:
        self._runs: list[tuple[int, Curve, npt.NDArray[np.uint32]]] = [
            (0, places, np.ones(len(places), np.uint32))
        ]
        for level in range(1, levels):
            base, fine, counts = self._runs[-1]
            coarse = fine >> np.uint64(2 * (level - base))
            starts = np.flatnonzero(np.diff(coarse, prepend=np.uint64(np.iinfo(np.uint64).max)))
            if 0 < len(starts) <= len(fine) // 2:
                sums = np.add.reduceat(counts, starts).astype(np.uint32)
                self._runs.append((level, coarse[starts], sums))

    def counts(self, level: int, i: int, j: int) -> Counts | None:
        """Transcripts in every pixel of a tile of a level, None where there are none."""
        base, places, counts = next(run for run in reversed(self._runs) if run[0] <= level)
        shift = np.uint64(2 * (level - base))
        tile = int(_curve(np.array([i], np.uint64), np.array([j], np.uint64))[0])
        bounds = np.array([tile, tile + 1], np.uint64) << (shift + np.uint64(_BITS))
        start, stop = np.searchsorted(places, bounds)
        if start == stop:
            return None
        within = (places[start:stop] >> shift) & np.uint64((1 << _BITS) - 1)
        pixels = _PIXELS[within.astype(np.int64)]
        summed = np.bincount(pixels, counts[start:stop], minlength=TILE * TILE)
        return np.minimum(summed, MOST_COUNTED).astype(np.uint16).reshape(TILE, TILE)


def dots(counts: Counts) -> Counts:
    """How many dots cover every pixel, ``REACH`` less on each side than ``counts``.

    A dot is seven pixels wide: rows of three, five, seven, seven, seven, five and three.
    """
    three = counts[:, 2:-4] + counts[:, 3:-3] + counts[:, 4:-2]
    five = three + counts[:, 1:-5] + counts[:, 5:-1]
    seven = five + counts[:, :-6] + counts[:, 6:]
    covering: Counts = three[:-6] + five[1:-5] + seven[2:-4]
    covering += seven[3:-3]
    covering += seven[4:-2]
    covering += five[5:-1]
    covering += three[6:]
    return covering


def _curve(rows: npt.NDArray[np.uint64], columns: npt.NDArray[np.uint64]) -> Curve:
    """Numbers of pixels along the Z-order curve: the bits of row and column in turn."""
    return (_spread(rows) << np.uint64(1)) | _spread(columns)


def _spread(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Numbers below 2³² with a 0 before each of their bits."""
    for shift, mask in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):
        numbers = (numbers | (numbers << np.uint64(shift))) & np.uint64(mask)
    return numbers


def _pixels_of_a_tile() -> npt.NDArray[np.int64]:
    """Row-major pixel of every number along the curve within a tile."""
    rows, columns = np.divmod(np.arange(TILE * TILE, dtype=np.uint64), np.uint64(TILE))
    return np.argsort(_curve(rows, columns))


_PIXELS = _pixels_of_a_tile()
# tile before, itself, after: where its pixels go in a framed tile, and which they are
_EDGES: tuple[tuple[int, slice, slice], ...] = (
    (-1, slice(0, REACH), slice(TILE - REACH, TILE)),
    (0, slice(REACH, REACH + TILE), slice(0, TILE)),
    (1, slice(REACH + TILE, None), slice(0, REACH)),
)
