"""What a frame costs while millions of transcripts are panned and zoomed.

Run with ``pytest tests/bench/test_transcript_pan.py --benchmark-only``; the slowest frame is the
stutter that a person would see.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from napari import Viewer
from pytest_benchmark.fixture import BenchmarkFixture

from canvas_journey import PIXELS
from canvas_screen import Screen
from napari_tagscope.canvas.transcript_layer import TranscriptLayer
from napari_tagscope.canvas.transcripts import TranscriptPyramid
from tagscope.api import Transcripts

COUNT = 5_000_000
GENES = ("Gad1", "Slc17a7", "Actb")
COLORS = dict(zip(GENES, ("#f0e442", "#56b4e9", "#d55e00"), strict=True))
EXTENT = (10_000.0, 8_000.0)


def simulated(count: int) -> Transcripts:
    """Transcripts in cells 10 µm apart: clustered, as real ones are, in a tissue of 10 × 8 mm."""
    rng = np.random.default_rng(0)
    cells = rng.uniform(0, EXTENT, (200_000, 2))
    xy = cells[rng.integers(0, len(cells), count)] + rng.normal(0, 2.5, (count, 2))
    codes = rng.choice(3, count, p=[0.2, 0.3, 0.5]).astype(np.int16)
    return Transcripts(GENES, xy.astype(np.float32), codes)


def pan(benchmark: BenchmarkFixture, screen: Screen) -> None:
    """Time frames of a quick drag."""
    camera = screen.viewer.scene.camera
    screen.rest()

    def move() -> None:
        _, y, x = camera.center
        camera.center = (0.0, y + 0.6 * PIXELS / camera.zoom, x + PIXELS / camera.zoom)

    benchmark.pedantic(lambda: screen.timed(move), rounds=60)


@pytest.fixture(scope="module")
def pyramid() -> TranscriptPyramid:
    return TranscriptPyramid(simulated(COUNT))


@pytest.fixture
def screen(make_napari_viewer: Callable[..., Viewer], pyramid: TranscriptPyramid) -> Screen:
    pyramid.forget()
    viewer = make_napari_viewer(show=True)
    screen = Screen(viewer)
    TranscriptLayer(viewer, pyramid, COLORS, ("um", "um"))
    viewer.reset_view()
    screen.rest()
    return screen


def test_sorting(benchmark: BenchmarkFixture) -> None:
    transcripts = simulated(COUNT)
    benchmark.pedantic(lambda: TranscriptPyramid(transcripts), rounds=3)


@pytest.mark.parametrize("zoom", [1, 2, 4, 16, 64, 256])
def test_panning(benchmark: BenchmarkFixture, screen: Screen, zoom: int) -> None:
    camera = screen.viewer.scene.camera
    camera.zoom *= zoom
    camera.center = (0.0, EXTENT[1] * 0.3, EXTENT[0] * 0.3)
    pan(benchmark, screen)


def test_panning_a_picture_in_memory(
    benchmark: BenchmarkFixture, make_napari_viewer: Callable[..., Viewer]
) -> None:
    """What napari's own drawing takes of a frame."""
    screen = Screen(make_napari_viewer(show=True))
    screen.viewer.add_image(np.zeros((2048, 2048, 4), np.uint8), rgb=True)
    pan(benchmark, screen)


def test_zooming(benchmark: BenchmarkFixture, screen: Screen) -> None:
    steps = np.geomspace(1, 500, 61)
    factors = iter([after / before for before, after in pairwise(steps)])

    def move() -> None:
        screen.viewer.scene.camera.zoom *= next(factors)

    benchmark.pedantic(lambda: screen.timed(move), rounds=60)
