"""What a repaint costs, drawn picture included, beside napari's own ways to colour cells.

Run with ``pytest tests/bench/test_canvas_repaint.py --benchmark-only``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle

import numpy as np
import pytest
import scipy.sparse as sp
from napari import Viewer
from napari.utils.colormaps import DirectLabelColormap
from pytest_benchmark.fixture import BenchmarkFixture
from qtpy.QtWidgets import QApplication

from napari_tagscope.canvas.tissue import TissueCanvas
from tagscope.core.labels import default_colors
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Section

TYPES = 12
COLORS = default_colors(TYPES)


def section(count: int) -> Section:
    rng = np.random.default_rng(0)
    side = int(np.ceil(np.sqrt(count)))
    y, x = np.mgrid[:side, :side] * 10.0
    xy = np.stack([x.ravel(), y.ravel()], axis=1)[:count] + rng.uniform(-2, 2, (count, 2))
    values = sp.csr_matrix((count, 1), dtype=np.float32)
    return Section(Cells(values, GenePanel(("Gad2",)), np.arange(count).astype(str)), xy)


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Viewer]) -> Viewer:
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1400, 900)
    QApplication.processEvents()
    return viewer


def codes_of(count: int) -> Iterator[np.ndarray]:
    codes = np.random.default_rng(1).integers(0, TYPES, count)
    return cycle([codes, (codes + 1) % TYPES])


def values_of(count: int) -> Iterator[np.ndarray]:
    values = np.random.default_rng(1).random(count).astype(np.float32)
    return cycle([values, 1 - values])


def measure(benchmark: BenchmarkFixture, paint: Callable[[], object], rounds: int = 15) -> None:
    """Time painting until the picture is drawn."""

    def paint_and_draw() -> None:
        paint()
        QApplication.processEvents()

    for _ in range(2):
        paint_and_draw()
    benchmark.pedantic(paint_and_draw, rounds=rounds)


@pytest.mark.parametrize("zoom", [1, 30])
@pytest.mark.parametrize("count", [100_000, 300_000, 1_000_000])
@pytest.mark.parametrize("what", ["category", "number"])
def test_canvas(
    benchmark: BenchmarkFixture, viewer: Viewer, what: str, count: int, zoom: int
) -> None:
    canvas = TissueCanvas(viewer, section(count))
    codes, values = codes_of(count), values_of(count)
    paint = {
        "category": lambda: canvas.paint_categories("cells", next(codes), COLORS),
        "number": lambda: canvas.paint_values("cells", next(values), limits=(0.0, 1.0)),
    }[what]
    paint()
    canvas.fit()
    viewer.scene.camera.zoom *= zoom
    measure(benchmark, paint)


@pytest.mark.parametrize("zoom", [1, 30])
@pytest.mark.parametrize("share", [0.0, 0.1])
def test_marks(benchmark: BenchmarkFixture, viewer: Viewer, zoom: int, share: float) -> None:
    count = 1_000_000
    canvas = TissueCanvas(viewer, section(count))
    canvas.paint_categories("cells", next(codes_of(count)), COLORS)
    canvas.fit()
    viewer.scene.camera.zoom *= zoom
    shuffled = np.random.default_rng(0).permutation(count)
    many = max(1, int(share * count))
    rows = cycle([shuffled[:many], shuffled[many : 2 * many]])
    measure(benchmark, lambda: canvas.select(next(rows)))


@pytest.mark.parametrize("what", ["category", "number"])
def test_napari_points(benchmark: BenchmarkFixture, viewer: Viewer, what: str) -> None:
    cells = section(100_000)
    codes, values = codes_of(len(cells)), values_of(len(cells))
    palette = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] + [1] for c in COLORS])
    layer = viewer.add_points(cells.xy[:, ::-1], size=10, border_width=0)

    def number() -> None:
        layer.features = {"value": next(values)}
        layer.face_color = "value"
        layer.refresh_colors()

    def category() -> None:
        layer.face_color = palette[next(codes)]

    measure(benchmark, {"category": category, "number": number}[what], rounds=3)


def test_napari_labels(benchmark: BenchmarkFixture, viewer: Viewer) -> None:
    cells = section(100_000)
    codes = codes_of(len(cells))
    palette = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] + [1] for c in COLORS])
    canvas = TissueCanvas(viewer, cells)
    level = min(range(len(canvas.pyramid)), key=lambda i: abs(canvas.pyramid.shapes[i][0] - 2000))
    layer = viewer.add_labels(np.array(canvas.pyramid.levels[level]))

    def category() -> None:
        colors = dict(enumerate(palette[next(codes)], start=1))
        layer.colormap = DirectLabelColormap(color_dict={None: np.zeros(4), **colors})

    measure(benchmark, category, rounds=3)


@pytest.mark.parametrize("count", [300_000, 1_000_000])
def test_first_picture(benchmark: BenchmarkFixture, viewer: Viewer, count: int) -> None:
    cells = section(count)
    codes = next(codes_of(count))

    def open_section() -> None:
        canvas = TissueCanvas(viewer, cells)
        canvas.paint_categories("cells", codes, COLORS)
        QApplication.processEvents()
        canvas.remove()

    benchmark.pedantic(open_section, rounds=3)
