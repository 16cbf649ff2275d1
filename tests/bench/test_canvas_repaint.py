"""What a repaint costs, drawn picture included, beside napari's own ways to colour cells.

Run with ``pytest tests/bench/test_canvas_repaint.py --benchmark-only``; ``canvas.py`` beside it
measures more cells, more ways, memory and frames, every case in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import cycle

import numpy as np
import pytest
from napari import Viewer
from pytest_benchmark.fixture import BenchmarkFixture

from canvas_screen import Screen
from canvas_tissue import COLORS, Labelled, Tissue, codes_of, section
from canvas_ways import Centroids, NapariLabels, NapariPoints, Way
from napari_tagscope.canvas.tissue import TissueCanvas


@pytest.fixture
def screen(make_napari_viewer: Callable[..., Viewer]) -> Screen:
    return Screen(make_napari_viewer(show=True))


def measure(benchmark: BenchmarkFixture, screen: Screen, paint: Callable[[], object]) -> None:
    """Time painting until the picture is drawn."""
    benchmark.pedantic(lambda: screen.timed(paint), rounds=10, warmup_rounds=2)


@pytest.mark.parametrize("by", ["category", "number"])
@pytest.mark.parametrize("way", [Centroids, NapariPoints, NapariLabels])
def test_repaint(benchmark: BenchmarkFixture, screen: Screen, way: type[Way], by: str) -> None:
    cells = section(100_000)
    shown = way(screen.viewer, Tissue(cells, partial(Labelled.of, cells)), by)
    screen.timed(shown.open)
    screen.viewer.reset_view()
    measure(benchmark, screen, shown.paint)


@pytest.mark.parametrize("zoom", [1, 30])
@pytest.mark.parametrize("share", [0.0, 0.1])
def test_marks(benchmark: BenchmarkFixture, screen: Screen, zoom: int, share: float) -> None:
    count = 1_000_000
    canvas = TissueCanvas(screen.viewer, section(count))
    canvas.paint_categories("cells", next(codes_of(count)), COLORS)
    canvas.fit()
    screen.viewer.scene.camera.zoom *= zoom
    shuffled = np.random.default_rng(0).permutation(count)
    many = max(1, int(share * count))
    rows = cycle([shuffled[:many], shuffled[many : 2 * many]])
    measure(benchmark, screen, lambda: canvas.select(next(rows)))
