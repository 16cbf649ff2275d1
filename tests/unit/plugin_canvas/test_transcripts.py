"""The pyramid of transcripts against a plain drawing of the same dots."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import convolve

from napari_tagscope.canvas.labels import TILE
from napari_tagscope.canvas.transcripts import FINEST, REACH, TranscriptPyramid, dots
from tagscope.api import Transcripts
from tagscope.jobs import JobCancelled, JobContext

GENES = ("Gad1", "Slc17a7", "Actb")
WIDTHS = (3, 5, 7, 7, 7, 5, 3)
DOT = np.array([[int(abs(x) <= width // 2) for x in range(-3, 4)] for width in WIDTHS])


def scattered(count: int = 20_000, seed: int = 0) -> Transcripts:
    """Clusters of transcripts in a field away from the origin, wider than high."""
    rng = np.random.default_rng(seed)
    middles = rng.uniform([300, 2000], [1300, 2600], (40, 2))
    xy = middles[rng.integers(0, 40, count)] + rng.normal(0, 15, (count, 2))
    return Transcripts(GENES, xy.astype(np.float32), rng.integers(0, 3, count).astype(np.int16))


def drawn_plainly(pyramid: TranscriptPyramid, given: Transcripts, level: int) -> np.ndarray:
    """The whole level, from the definition."""
    pixel = pyramid.pixel
    corner = np.array(pyramid.origin[::-1])
    columns, rows = ((given.xy - corner) / pixel).astype(np.int64).T >> level
    covering = []
    for gene in range(len(GENES)):
        counts = np.zeros(pyramid.shapes[level], np.int64)
        np.add.at(counts, (rows[given.codes == gene], columns[given.codes == gene]), 1)
        covering.append(convolve(counts, DOT, mode="constant"))
    stacked = np.stack(covering)
    return np.where(stacked.max(axis=0) > 0, stacked.argmax(axis=0) + 1, 0)


@pytest.mark.parametrize("up", [1, 2, 3])
def test_every_level_shows_the_gene_with_the_most_dots(up: int) -> None:
    given = scattered()
    pyramid = TranscriptPyramid(given)
    level = len(pyramid) - up
    whole = np.asarray(pyramid.levels[level])
    assert np.array_equal(whole, drawn_plainly(pyramid, given, level))
    assert len(np.unique(whole)) == 4


def test_dots_have_one_size_at_every_level() -> None:
    corners = np.array([[0.0, 0.0], [90.0, 60.0], [45.0, 30.0]], np.float32)
    pyramid = TranscriptPyramid(Transcripts(("Gad1",), corners, np.zeros(3, np.int16)))
    assert max(pyramid.shapes[0]) == FINEST
    for level in range(len(pyramid)):
        row, column = (
            int((v - edge) / pyramid.pixel) >> level
            for v, edge in zip((30.0, 45.0), pyramid.origin, strict=True)
        )
        around = pyramid.window(level, (row - 5, row + 6, column - 5, column + 6))
        assert np.array_equal(around[2:-2, 2:-2], DOT)
        assert around.sum() == DOT.sum()


def test_a_dot_across_tiles_is_whole() -> None:
    xy = np.array([[0.0, 0.0], [100.0, 100.0]], np.float32)
    pyramid = TranscriptPyramid(Transcripts(("Gad1",), xy, np.zeros(2, np.int16)))
    edge = (np.array(pyramid.origin) + 3 * TILE * pyramid.pixel).astype(np.float32)
    more = np.vstack([xy, edge[::-1] + 0.5 * np.float32(pyramid.pixel)])
    pyramid = TranscriptPyramid(Transcripts(("Gad1",), more, np.zeros(3, np.int16)))
    around = pyramid.window(0, (3 * TILE - 8, 3 * TILE + 9, 3 * TILE - 8, 3 * TILE + 9))
    assert around.sum() == DOT.sum()
    assert pyramid.window(0, (3 * TILE - 6, 3 * TILE, 0, 4 * TILE)).sum() > 0


def test_a_hidden_gene_leaves_room_for_others() -> None:
    given = scattered()
    pyramid = TranscriptPyramid(given)
    level = len(pyramid) - 1
    pyramid.set_hidden([0, 2])
    shown = np.asarray(pyramid.levels[level])
    alone = drawn_plainly(
        pyramid,
        Transcripts(GENES, given.xy[given.codes == 1], given.codes[given.codes == 1]),
        level,
    )
    assert np.array_equal(shown, alone)
    pyramid.set_hidden([])
    assert np.array_equal(np.asarray(pyramid.levels[level]), drawn_plainly(pyramid, given, level))


def test_counts_are_kept_and_what_has_no_place_is_left_out() -> None:
    given = scattered(100)
    xy = given.xy.copy()
    xy[:10] = np.nan
    pyramid = TranscriptPyramid(Transcripts(GENES, xy, given.codes))
    assert np.array_equal(pyramid.counts, np.bincount(given.codes[10:], minlength=3))


@pytest.mark.parametrize("count", [0, 1])
def test_hardly_any_transcripts(count: int) -> None:
    xy = np.full((count, 2), 7.0, np.float32)
    pyramid = TranscriptPyramid(Transcripts(GENES, xy, np.zeros(count, np.int16)))
    assert (np.asarray(pyramid.levels[-1]) > 0).sum() == count * DOT.sum()


def test_many_in_one_place_are_not_lost() -> None:
    xy = np.zeros((400_000, 2), np.float32)
    xy[-1] = 100.0
    codes = np.repeat([0, 1], [300_000, 100_000]).astype(np.int16)
    pyramid = TranscriptPyramid(Transcripts(GENES, xy, codes))
    assert set(np.unique(np.asarray(pyramid.levels[-1]))) >= {0, 1}


def test_dots_are_round() -> None:
    counts = np.zeros((4 * REACH + 1, 4 * REACH + 1), np.uint16)
    counts[2 * REACH, 2 * REACH] = 3
    assert np.array_equal(dots(counts), 3 * DOT)


def test_sorting_can_be_cancelled() -> None:
    context = JobContext()
    context.cancel()
    with pytest.raises(JobCancelled):
        TranscriptPyramid(scattered(10), context)
