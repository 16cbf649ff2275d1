"""Tiles that come from a thread: shown when they are there, and nothing left behind."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import scipy.sparse as sp
from napari import Viewer
from qtpy.QtWidgets import QApplication

from napari_tagscope.canvas.background import MOST_WANTED, Background, TileKey
from napari_tagscope.canvas.labels import LabelPyramid
from napari_tagscope.canvas.tissue import TissueCanvas
from tagscope.core.panel import GenePanel
from tagscope.core.section import CellOutlines, Cells, Section

COLORS = ["#e69f00", "#56b4e9", "#009e73"]


def no_failure(error: Exception) -> None:
    raise AssertionError(error)


def drawing_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "tagscope-tiles"]


def test_what_was_asked_for_last_comes_first(qtbot) -> None:
    order: list[TileKey] = []
    go = threading.Event()

    def draw(key: TileKey) -> None:
        go.wait(5)
        order.append(key)

    shown: list[int] = []
    background = Background(draw, lambda: shown.append(len(order)), no_failure)
    background.ask([(0, 0, 0)])
    qtbot.waitUntil(lambda: background.busy)
    time.sleep(0.05)  # the first is in hand
    background.ask([(1, 0, 0), (1, 0, 1)])
    background.ask([(2, 0, 0), (1, 0, 1)])
    go.set()
    qtbot.waitUntil(lambda: shown[-1:] == [4])
    assert order == [(0, 0, 0), (2, 0, 0), (1, 0, 1), (1, 0, 0)]
    assert not background.busy
    qtbot.waitUntil(lambda: not drawing_threads())


def test_what_is_long_out_of_view_is_let_go(qtbot) -> None:
    order: list[TileKey] = []
    go = threading.Event()
    background = Background(
        lambda key: (go.wait(5), order.append(key)),  # type: ignore[arg-type, func-returns-value]
        lambda: None,
        no_failure,
    )
    background.ask([(0, 0, 0)])
    time.sleep(0.05)
    for number in range(MOST_WANTED + 20):
        background.ask([(1, 0, number)])
    go.set()
    background.finish()
    assert len(order) == MOST_WANTED + 1
    assert order[1] == (1, 0, MOST_WANTED + 19)
    assert (1, 0, 0) not in order


def test_a_tile_that_fails_is_told_once_and_not_tried_again(qtbot) -> None:
    tried: list[TileKey] = []
    told: list[Exception] = []

    def draw(key: TileKey) -> None:
        tried.append(key)
        if key[0] == 0:
            raise OSError("chunk 0.0 is cut short")

    background = Background(draw, lambda: None, told.append)
    background.ask([(0, 0, 0), (0, 0, 1), (1, 0, 0)])
    qtbot.waitUntil(lambda: len(tried) == 3 and not background.busy)
    qtbot.waitUntil(lambda: bool(told))
    background.ask([(0, 0, 0), (1, 0, 1)])
    background.finish()
    assert tried.count((0, 0, 0)) == 1
    assert tried[-1] == (1, 0, 1)
    assert [str(error) for error in told] == ["chunk 0.0 is cut short"]


def test_closing_ends_with_the_tile_in_hand(qtbot) -> None:
    drawn: list[TileKey] = []

    def draw(key: TileKey) -> None:
        time.sleep(0.05)
        drawn.append(key)

    background = Background(draw, lambda: None, no_failure)
    background.ask([(0, 0, number) for number in range(50)])
    background.close()
    assert len(drawn) <= 2
    assert not drawing_threads()
    background.ask([(0, 0, 60)])
    assert not background.busy


def section(side: int) -> Section:
    """Cells with outlines, 10 µm apart."""
    y, x = np.mgrid[:side, :side] * 10.0
    xy = np.stack([x.ravel(), y.ravel()], axis=1)
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = 4.6 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    vertices = (xy[:, None] + ring).reshape(-1, 2).astype(np.float32)
    empty = sp.csr_matrix((len(xy), 1), dtype=np.float32)
    cells = Cells(empty, GenePanel(("Gad2",)), np.arange(len(xy)).astype(str))
    return Section(cells, xy, outlines=CellOutlines(vertices, np.arange(len(xy) + 1) * 12))


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tile takes longer than a frame."""
    made = LabelPyramid._made

    def slowly(self: LabelPyramid, level: int, i: int, j: int):
        time.sleep(0.03)
        return made(self, level, i, j)

    monkeypatch.setattr(LabelPyramid, "_made", slowly)


def test_a_level_never_seen_does_not_hold_the_window(make_napari_viewer, qtbot, slow: None) -> None:
    viewer: Viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1000, 700)
    canvas = TissueCanvas(viewer, section(200))
    canvas.paint_categories("cells", np.arange(len(canvas.section)) % 3, COLORS)
    canvas.fit()
    canvas.settle()
    QApplication.processEvents()
    viewer.scene.camera.zoom *= 6
    start = time.perf_counter()
    QApplication.processEvents()
    seconds = time.perf_counter() - start
    layer = canvas.layer("cells")
    coarse = np.array(layer._slice.image.raw)
    assert canvas._background.busy
    qtbot.waitUntil(lambda: not canvas._background.busy, timeout=20_000)
    QApplication.processEvents()
    sharp = np.array(layer._slice.image.raw)
    assert seconds < 1.0
    assert coarse.shape == sharp.shape
    agreeing = (coarse == sharp).all(axis=-1).mean()
    assert 0.6 < agreeing < 1.0  # the same tissue, with coarser edges
    viewer.scene.camera.zoom *= 3
    QApplication.processEvents()
    assert canvas._background.busy
    canvas.remove()
    assert not drawing_threads()
