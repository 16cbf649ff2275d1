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
from qtpy.QtWidgets import QApplication

from napari_tagscope.canvas.transcript_layer import TranscriptLayer
from napari_tagscope.canvas.transcripts import TranscriptPyramid
from tagscope.api import Transcripts

COUNT = 5_000_000
GENES = ("Gad1", "Slc17a7", "Actb")
COLORS = dict(zip(GENES, ("#f0e442", "#56b4e9", "#d55e00"), strict=True))
EXTENT = (10_000.0, 8_000.0)
STEP = 60  # screen pixels that a quick hand drags a frame


def simulated(count: int) -> Transcripts:
    """Transcripts in cells 10 µm apart: clustered, as real ones are, in a tissue of 10 × 8 mm."""
    rng = np.random.default_rng(0)
    cells = rng.uniform(0, EXTENT, (200_000, 2))
    xy = cells[rng.integers(0, len(cells), count)] + rng.normal(0, 2.5, (count, 2))
    codes = rng.choice(3, count, p=[0.2, 0.3, 0.5]).astype(np.int16)
    return Transcripts(GENES, xy.astype(np.float32), codes)


def pan(benchmark: BenchmarkFixture, viewer: Viewer) -> None:
    """Time frames of a quick drag."""
    camera = viewer.scene.camera
    QApplication.processEvents()

    def frame() -> None:
        _, y, x = camera.center
        camera.center = (0.0, y + 0.6 * STEP / camera.zoom, x + STEP / camera.zoom)
        QApplication.processEvents()

    benchmark.pedantic(frame, rounds=60)


@pytest.fixture(scope="module")
def pyramid() -> TranscriptPyramid:
    return TranscriptPyramid(simulated(COUNT))


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Viewer], pyramid: TranscriptPyramid) -> Viewer:
    pyramid.forget()
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1400, 900)
    TranscriptLayer(viewer, pyramid, COLORS, ("um", "um"))
    viewer.reset_view()
    QApplication.processEvents()
    return viewer


def test_sorting(benchmark: BenchmarkFixture) -> None:
    transcripts = simulated(COUNT)
    benchmark.pedantic(lambda: TranscriptPyramid(transcripts), rounds=3)


@pytest.mark.parametrize("zoom", [1, 2, 4, 16, 64, 256])
def test_panning(benchmark: BenchmarkFixture, viewer: Viewer, zoom: int) -> None:
    viewer.scene.camera.zoom *= zoom
    viewer.scene.camera.center = (0.0, EXTENT[1] * 0.3, EXTENT[0] * 0.3)
    pan(benchmark, viewer)


def test_panning_a_picture_in_memory(
    benchmark: BenchmarkFixture, make_napari_viewer: Callable[..., Viewer]
) -> None:
    """What napari's own drawing takes of a frame."""
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1400, 900)
    viewer.add_image(np.zeros((2048, 2048, 4), np.uint8), rgb=True)
    pan(benchmark, viewer)


def test_zooming(benchmark: BenchmarkFixture, viewer: Viewer) -> None:
    steps = np.geomspace(1, 500, 61)
    factors = iter([after / before for before, after in pairwise(steps)])

    def frame() -> None:
        viewer.scene.camera.zoom *= next(factors)
        QApplication.processEvents()

    benchmark.pedantic(frame, rounds=60)
