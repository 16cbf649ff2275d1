"""What napari takes into its scene in one step, and what stands over a picture."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
from napari import Viewer
from napari.components import ViewerModel

from napari_tagscope.canvas.at_once import at_once
from napari_tagscope.canvas.caption import CAPTION, UNIT
from napari_tagscope.canvas.tissue import TissueCanvas
from pictures import changed, drawn, keep
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Section


def section(side: int = 12) -> Section:
    """Centroids on a lattice, 10 µm apart."""
    y, x = np.mgrid[:side, :side] * 10.0
    xy = np.stack([x.ravel(), y.ravel()], axis=1)
    ids = np.arange(len(xy)).astype(str)
    empty = sp.csr_matrix((len(xy), 1), dtype=np.float32)
    return Section(Cells(empty, GenePanel(("Gad2",)), ids), xy, "grid")


@pytest.fixture
def canvas(make_napari_viewer: Callable[..., Viewer], qtbot: object) -> TissueCanvas:
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1000, 700)
    qtbot.wait(50)  # the window takes its size
    made = TissueCanvas(viewer, section())
    made.show_legend(False)
    return made


class Garbage:
    """Refers to itself, so that only the collector takes it away."""

    def __init__(self) -> None:
        self.itself = self


def paint(canvas: TissueCanvas) -> np.ndarray:
    codes = np.arange(len(canvas.section)) % 3
    canvas.paint_categories("type", codes, ["#e69f00", "#56b4e9", "#009e73"])
    return codes


def rebuilt(viewer: ViewerModel) -> list[int]:
    """Gets an entry whenever napari rebuilds its scene after several changes."""
    times: list[int] = []
    viewer.layers.events.end_batch.connect(lambda _: times.append(1))
    return times


def test_steps_within_a_step_are_part_of_it():
    viewer = ViewerModel()
    times = rebuilt(viewer)
    collect = gc.collect
    with at_once(viewer):
        with at_once(viewer):
            viewer.add_image(np.zeros((4, 4)))
        viewer.layers.clear()
        del times[:]
    assert times == [1]
    assert gc.collect is collect


def test_within_a_step_young_garbage_alone_is_looked_for():
    viewer, old = ViewerModel(), Garbage()
    gc.collect()
    young, kept = Garbage(), weakref.ref(old)
    gone = weakref.ref(young)
    del old, young
    full = gc.get_stats()[2]["collections"]
    with at_once(viewer):
        gc.collect()
        assert gone() is None
        assert gc.get_stats()[2]["collections"] == full
        assert kept() is not None


def test_a_step_that_fails_ends():
    viewer = ViewerModel()
    times = rebuilt(viewer)
    for _ in range(2):
        with pytest.raises(ValueError, match="half way"), at_once(viewer):
            raise ValueError("half way")
    assert times == [1, 1]


def test_repainting_rebuilds_nothing_and_changing_rebuilds_once(canvas):
    codes = paint(canvas)
    values = np.linspace(0, 1, len(codes))
    canvas.paint_values("a", values)
    times = rebuilt(canvas.viewer)
    canvas.paint_values("a", values[::-1])
    canvas.show("a")
    assert times == []
    canvas.paint_values("b", values)
    assert times == [1]
    canvas.show_beside("a", "b")
    canvas.show("type")
    canvas.remove()
    assert times == [1] * 4


def test_in_a_person_s_grid_every_painting_has_a_picture_that_moves(canvas):
    grid = canvas.viewer.canvas.grid
    grid.enabled = True
    values = np.linspace(0, 1, len(canvas.section))
    with canvas.at_once():
        for name in "abc":
            canvas.paint_values(name, values, alone=False)
    drawn(canvas.viewer)
    shown = canvas.viewer.window._qt_viewer.canvas
    assert len(shown.grid_views) == len(shown.grid_cameras) == np.prod(shown.grid.grid_size) == 4
    canvas.show_beside("a", "b")
    canvas.paint_values("d", values)
    assert grid.enabled
    drawn(canvas.viewer)
    assert len(shown.grid_cameras) == np.prod(shown.grid.grid_size) == 1


def test_another_pair_beside_each_other_has_pictures_of_its_own(canvas):
    values = np.linspace(0, 1, len(canvas.section))
    for name in "abc":
        canvas.paint_values(name, values)
    canvas.fit()
    for names in ("ab", "abc", "bc"):
        canvas.show_beside(*names)
        picture = drawn(canvas.viewer)
        halves = np.array_split(picture[:, : picture.shape[1] // 2 * 2], 2, axis=1)
        assert [n for n in "abc" if canvas.layer(n).visible] == list(names)
        assert all(len(np.unique(half.reshape(-1, 3), axis=0)) > 20 for half in halves)


def test_a_hidden_painting_gets_its_bar_when_it_is_seen(canvas):
    codes = paint(canvas)
    layer = canvas.paint_values("counts", np.arange(len(codes)), shown=False)
    layer.set_caption("", "counts")
    assert [canvas.layer(name).visible for name in canvas.names] == [True, False]
    assert not layer.colorbar.visible
    assert canvas.viewer.layers.selection.active is canvas.layer("type")
    layer.visible = True  # a person clicks its eye
    assert layer.colorbar.visible
    assert layer._overlays[UNIT].text == "counts"


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_what_stands_over_a_picture(canvas: TissueCanvas, theme: str) -> None:
    canvas.viewer.theme = theme
    layer = canvas.paint_values("attention", np.linspace(0, 1, len(canvas.section)))
    canvas.fit()
    before = drawn(canvas.viewer)
    layer.set_caption("level 1, mean over heads", "attention score")
    said = drawn(canvas.viewer)
    places = np.argwhere((before != said).any(axis=-1))
    height, width = said.shape[:2]
    top, bottom = places[places[:, 0] < height / 2], places[places[:, 0] > height / 2]
    assert len(top) > 100 < len(bottom)
    assert top[:, 1].max() < width / 2 < bottom[:, 1].min()
    assert bottom[:, 1].max() < width - 5
    keep(canvas.viewer, f"caption-{theme}")
    layer.name = "attention · Gad1"
    assert changed(said, drawn(canvas.viewer)) > 0
    layer._overlays[CAPTION].visible = layer._overlays[UNIT].visible = False
    assert changed(said, drawn(canvas.viewer)) > 0


def test_colours_that_arrive_are_no_news_to_the_layer_list(canvas):
    codes = paint(canvas)
    heard: list[str] = []
    canvas.viewer.layers.events.connect(lambda event: heard.append(event.type))
    drawn: list[str] = []
    canvas.layer("type").events.set_data.connect(lambda event: drawn.append(event.type))
    canvas.update_categories("type", np.arange(3), codes[:3])
    assert drawn == ["set_data"]
    assert heard == []
