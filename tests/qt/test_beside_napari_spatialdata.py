"""napari-spatialdata and TAGscope in one viewer: what each does leaves the other working."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from napari import Viewer
from napari._qt.qt_viewer import QtViewer
from qtpy.QtWidgets import QTabBar

from hands import click, click_cell
from napari_tagscope.canvas.linking import cells_metadata, store_metadata
from napari_tagscope.canvas.tissue import TissueCanvas
from napari_tagscope.canvas.transcripts import TranscriptPyramid
from napari_tagscope.views.legend_view import NAME
from napari_tagscope.views.open import show_dock, show_result
from pictures import drawn, filled, keep
from tagscope import api

package = pytest.importorskip("napari_spatialdata", reason="napari-spatialdata is not installed")


@pytest.fixture(scope="module")
def opened(sample_data):
    return api.open_section(sample_data / "section.zarr")


@pytest.fixture
def viewer(qtbot: object) -> Iterator[Viewer]:
    """A viewer that napari's own fixture does not watch: the other package never lets go of it."""
    made = Viewer()
    yield made
    made.close()
    QtViewer._instances.clear()


@pytest.fixture
def canvas(viewer: Viewer, opened: api.OpenedSection) -> TissueCanvas:
    return TissueCanvas(viewer, opened.section, cells_metadata(opened))


def paint(canvas: TissueCanvas) -> None:
    """Types and numbers."""
    count = len(canvas.section)
    canvas.paint_categories("type", np.arange(count) % 2, ["#e69f00", "#56b4e9"])
    canvas.paint_values("attention", np.arange(count, dtype=float), alone=False)


def show_everything(canvas: TissueCanvas, opened: api.OpenedSection) -> None:
    paint(canvas)
    canvas.show_images(api.read_images(opened), store_metadata(opened))
    transcripts = api.read_transcripts(opened, ["Gad1"])
    canvas.show_transcripts(TranscriptPyramid(transcripts), {"Gad1": "#e69f00"})


def open_its_docks(viewer: Viewer, opened: api.OpenedSection) -> Any:
    """Its SpatialData dock with View, Scatter and Annotation."""
    its = package.Interactive(opened.sdata, headless=True)
    for name in ("Scatter", "Annotation"):
        viewer.window.add_plugin_dock_widget("napari-spatialdata", name)
    return its


def click_tab(viewer: Viewer, *, ours: bool) -> None:
    """Click the tab of our dock, or of one of its, where docks share a place."""
    for bar in viewer.window._qt_window.findChildren(QTabBar):
        titles = [bar.tabText(place) for place in range(bar.count())]
        if any(title.startswith("TAGscope") for title in titles):
            wanted = [title.startswith("TAGscope") == ours for title in titles].index(True)
            click(bar, bar.tabRect(wanted).center())


def select_each(viewer: Viewer) -> None:
    for layer in tuple(viewer.layers):
        viewer.layers.selection.active = layer


def test_its_docks_open_over_our_layers_and_list_their_tables(viewer, canvas, opened) -> None:
    show_everything(canvas, opened)
    open_its_docks(viewer, opened)
    select_each(viewer)
    viewer.layers.selection.active = canvas.layer("attention")
    docks = viewer.window.dock_widgets
    view = next(w for name, w in docks.items() if name.startswith("View"))
    assert view.table_name_widget.currentText() == "table"
    listed = [view.var_widget.item(i).text() for i in range(view.var_widget.count())]
    assert listed == list(opened.table.var_names)


def test_both_show_one_section_in_one_window(viewer, sample_data, wait) -> None:
    viewer.window.resize(1900, 1150)
    session = show_result(viewer, sample_data / "section.zarr")
    wait(lambda: session.state.opened is not None and not session.busy)
    opened = session.state.opened
    its = open_its_docks(viewer, opened)
    its._sdata_widget.viewer_model.add_sdata_image(opened.sdata, "morphology", "global", False)
    session.layers.set_transcripts(True)
    session.state.select_gene("Gad1")
    wait(lambda: not session.busy)
    session.painter.canvas.layer("totals").opacity = 0.6
    viewer.layers.move(viewer.layers.index("morphology"), 0)
    viewer.layers.selection.active = session.painter.canvas.layer("totals")
    session.painter.canvas.fit()
    keep(viewer, "beside-napari-spatialdata")
    assert filled(drawn(viewer)) > 0.1
    assert [layer.name for layer in viewer.layers][-1] == "transcripts · Gad1"
    assert viewer.layers["morphology"].metadata["sdata"] is opened.sdata
    assert {str(layer.units[-1]) for layer in viewer.layers} == {"micrometer"}


def test_our_dock_is_a_tab_beside_its_own_and_both_work(viewer, annotated, bundle, wait) -> None:
    viewer.window.resize(1640, 980)
    opened = api.open_section(annotated)
    its = open_its_docks(viewer, opened)
    dock = show_dock(viewer)
    session = dock.session
    session.section.open(annotated)
    wait(lambda: session.attention.state.rows and not session.busy)
    assert dock.height() > 500  # not squeezed under theirs
    click_cell(dock.legend.table, 0, NAME)
    assert session.state.label is not None
    keep(viewer, "beside-1-our-tab")

    click_tab(viewer, ours=False)
    wait(lambda: dock.visibleRegion().isEmpty())
    its._sdata_widget.viewer_model.add_sdata_image(opened.sdata, "morphology", "global", False)
    keep(viewer, "beside-2-its-tab")
    click_tab(viewer, ours=True)
    click_cell(dock.legend.table, 0, NAME)
    assert session.state.label is None
    assert "morphology" in [layer.name for layer in viewer.layers]


@pytest.mark.parametrize("ours_first", [True, False])
def test_our_layers_can_be_renamed_hidden_and_removed_beside_it(
    viewer, canvas, opened, ours_first: bool
) -> None:
    if ours_first:
        show_everything(canvas, opened)
        open_its_docks(viewer, opened)
    else:
        open_its_docks(viewer, opened)
        show_everything(canvas, opened)
    for layer in tuple(viewer.layers):
        layer.name = f"{layer.name}, renamed"
        layer.visible = not layer.visible
    viewer.layers.remove(canvas.layer("type"))  # as a person would
    paint(canvas)
    canvas.remove()
    assert len(viewer.layers) == 0


def test_its_layers_lie_where_ours_do_and_move_none_of_them(viewer, canvas, opened) -> None:
    show_everything(canvas, opened)
    before = {layer.name: layer.extent.world.copy() for layer in viewer.layers}
    its = open_its_docks(viewer, opened)
    its._sdata_widget.viewer_model.add_sdata_image(opened.sdata, "morphology", "global", False)
    its_layer, ours = viewer.layers["morphology"], viewer.layers["morphology · DAPI"]
    assert ours.extent.world == pytest.approx(its_layer.extent.world[:, -2:])
    viewer.layers.remove(its_layer)
    its.switch_coordinate_system("global")
    for layer in viewer.layers:
        assert layer.extent.world == pytest.approx(before[layer.name])


def test_shapes_drawn_over_our_layers_are_tied_to_the_store(viewer, canvas, opened) -> None:
    its = open_its_docks(viewer, opened)
    paint(canvas)
    drawn = viewer.add_shapes([np.array([[0, 0], [0, 9], [9, 9.0]])], shape_type="polygon")
    viewer.layers.selection = {drawn, canvas.layer("type")}
    its._sdata_widget.viewer_model._inherit_metadata(viewer)
    assert drawn.metadata["sdata"] is opened.sdata
    assert drawn.metadata["_current_cs"] == opened.source.coordinate_system


def test_our_dock_takes_none_of_its_keys(viewer) -> None:
    before = set(viewer.keymap)
    show_dock(viewer)
    taken = {str(key) for key in set(viewer.keymap) - before}
    assert taken.isdisjoint({"Ctrl+L", "Shift+L", "Shift+E"})


def test_a_section_in_other_units_does_not_name_its_store(viewer, shared) -> None:
    path = shared / "data" / "vendor" / "xenium_mouse_5k_23cells.zarr"
    opened = api.open_section(path)
    metadata = cells_metadata(opened)
    assert "sdata" not in metadata
    assert metadata["adata"] is opened.table
    canvas = TissueCanvas(viewer, opened.section, metadata)
    canvas.paint_categories("type", np.zeros(len(opened.section), int), ["#e69f00"])
    assert set(canvas.layer("type").metadata) == {*metadata, "tagscope"}
    assert metadata["indices"] == opened.table.obs[metadata["instance_key"]].tolist()
    assert store_metadata(opened) == {}


def test_layers_say_what_they_show(viewer, canvas, opened) -> None:
    paint(canvas)
    metadata = canvas.layer("type").metadata
    assert metadata["sdata"] is opened.sdata
    assert metadata["adata"] is opened.table
    assert (metadata["name"], metadata["region_key"]) == ("cell_boundaries", "region")
    assert (metadata["instance_key"], metadata["table_names"]) == ("cell_id", ["table"])
    assert metadata["indices"] == opened.table.obs["cell_id"].tolist()
    numbers = canvas.layer("attention").metadata
    assert set(metadata) - set(numbers) == {"sdata"}
