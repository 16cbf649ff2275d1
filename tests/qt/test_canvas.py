"""The tissue canvas in a real viewer: what is drawn, clicked and seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
from napari import Viewer
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_tagscope.canvas.caption import show_caption
from napari_tagscope.canvas.layer import CellImage
from napari_tagscope.canvas.painting import Look
from napari_tagscope.canvas.tissue import TissueCanvas
from pictures import photo
from tagscope.core.panel import GenePanel
from tagscope.core.section import CellOutlines, Cells, Section

COLORS = ["#e69f00", "#56b4e9", "#009e73"]
RGB = np.array([[230, 159, 0], [86, 180, 233], [0, 158, 115]])
MAGENTA = [255, 0, 255, 255]
NAMES = ["Inhibitory", "Pyramidal", "A name far too long to be written out on any canvas"]
SIDE = 12
ANGLE = np.deg2rad(75)  # the middle of a polygon's side


def section(side: int = SIDE, *, outlined: bool = True) -> Section:
    """Cells 10 µm apart, away from the origin, wider than high as a whole."""
    y, x = np.mgrid[:side, : side + 4] * 10.0
    xy = np.stack([x.ravel() + 2000, y.ravel() + 300], axis=1)
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = 4.6 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    outlines = CellOutlines(
        (xy[:, None] + ring).reshape(-1, 2).astype(np.float32), np.arange(len(xy) + 1) * 12
    )
    empty = sp.csr_matrix((len(xy), 1), dtype=np.float32)
    cells = Cells(empty, GenePanel(("Gad2",)), np.arange(len(xy)).astype(str))
    return Section(cells, xy, "grid", outlines=outlines if outlined else None)


def native(viewer: Viewer) -> object:
    return viewer.window._qt_viewer.canvas.native


def pixel_of(viewer: Viewer, xy: np.ndarray) -> np.ndarray:
    """Screen pixels (x, y) of world positions."""
    size = np.array(viewer.canvas.size)[::-1]
    center = np.array(viewer.scene.camera.center)[:0:-1]
    return (size / 2 + (xy - center) * viewer.scene.camera.zoom).astype(int)


def colors_at(viewer: Viewer, xy: np.ndarray) -> np.ndarray:
    """RGB drawn at world positions."""
    picture = photo(viewer)
    x, y = pixel_of(viewer, xy).T
    return picture[y, x, :3].astype(int)


def click(viewer: Viewer, xy: np.ndarray, drag: int = 0) -> None:
    """A click of the mouse at a world position, or a drag of some pixels that begins there."""
    start = QPoint(*(int(v) for v in pixel_of(viewer, xy)))
    widget = native(viewer)
    QTest.mouseMove(widget, start)
    QTest.mousePress(widget, Qt.MouseButton.LeftButton, pos=start)
    for step in range(1, drag + 1, 5):
        QTest.mouseMove(widget, start + QPoint(step, 0))
    QTest.mouseRelease(widget, Qt.MouseButton.LeftButton, pos=start + QPoint(drag, 0))


def bare(layer: CellImage) -> None:
    """Draw nothing over a layer's picture."""
    layer.colorbar.visible = False
    show_caption(layer, False)


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Viewer]) -> Viewer:
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1000, 700)
    return viewer


@pytest.fixture
def canvas(viewer: Viewer, qtbot: object) -> TissueCanvas:
    qtbot.wait(50)  # the window takes its size
    canvas = TissueCanvas(viewer, section())
    canvas.show_legend(False)
    return canvas


def paint(canvas: TissueCanvas) -> np.ndarray:
    codes = np.arange(len(canvas.section)) % 3
    canvas.paint_categories("type", codes, COLORS, names=NAMES)
    canvas.fit()
    canvas.viewer.canvas.overlays.scale_bar.visible = False
    return codes


@pytest.mark.parametrize("outlined", [True, False])
@pytest.mark.parametrize("zoom", [0.2, 1.0, 6.0])
def test_every_cell_has_its_colour_at_its_place(
    viewer: Viewer, outlined: bool, zoom: float, qtbot: object
) -> None:
    canvas = TissueCanvas(viewer, section(outlined=outlined))
    canvas.show_legend(False)
    codes = paint(canvas)
    viewer.scene.camera.zoom *= zoom
    qtbot.wait(50)
    rows = canvas.rows_in_view()
    assert (len(rows) < len(codes)) == (zoom > 1)
    inner = np.abs(canvas.section.xy[rows] - np.array(viewer.scene.camera.center)[:0:-1])
    rows = rows[
        (inner < np.array(viewer.canvas.size)[::-1] / viewer.scene.camera.zoom / 2.1).all(1)
    ]
    drawn = colors_at(viewer, canvas.section.xy[rows])
    assert np.array_equal(drawn, RGB[codes[rows]])


def test_background_and_missing_show_what_is_below(canvas: TissueCanvas) -> None:
    codes = np.where(np.arange(len(canvas.section)) % 2 == 0, -2, 1)
    canvas.paint_categories("type", codes, COLORS)
    canvas.fit()
    xy = canvas.section.xy
    drawn = colors_at(canvas.viewer, np.concatenate([xy[:4], [[1995.0, 350.0], [2005.0, 305.0]]]))
    assert np.array_equal(drawn[[1, 3]], RGB[[1, 1]])
    assert (drawn[[0, 2, 4, 5]] == drawn[4]).all()
    assert drawn[4].max() < 10


def test_repainting_changes_the_picture_at_every_zoom(canvas: TissueCanvas, qtbot: object) -> None:
    codes = paint(canvas)
    for zoom in (0.2, 1.0):
        canvas.fit()
        canvas.viewer.scene.camera.zoom *= zoom
        qtbot.wait(50)
        layer = canvas.paint_categories("type", (codes + 1) % 3, COLORS)
        assert np.array_equal(
            colors_at(canvas.viewer, canvas.section.xy[:30]), RGB[(codes + 1)[:30] % 3]
        )
        assert canvas.paint_categories("type", codes, COLORS) is layer
        assert np.array_equal(colors_at(canvas.viewer, canvas.section.xy[:30]), RGB[codes[:30]])
    assert len(canvas.viewer.layers) == 1


def test_partial_results_hiding_and_isolating(canvas: TissueCanvas) -> None:
    codes = paint(canvas)
    xy = canvas.section.xy[:3]
    background = colors_at(canvas.viewer, np.array([[1994.0, 350.0]]))[0]
    canvas.update_categories("type", np.array([0]), np.array([2]))
    assert np.array_equal(colors_at(canvas.viewer, xy), RGB[[2, 1, 2]])
    canvas.set_hidden("type", [1])
    assert np.array_equal(colors_at(canvas.viewer, xy)[1], background)
    canvas.set_hidden("type", [])
    canvas.isolate("type", 1)
    isolated = colors_at(canvas.viewer, xy)
    assert np.array_equal(isolated[1], RGB[1])
    assert isolated[0].max() < 100
    canvas.paint_categories("type", codes, COLORS)
    assert np.array_equal(colors_at(canvas.viewer, xy), isolated[[0, 1, 0]])  # isolation stays
    canvas.isolate("type", None)
    assert np.array_equal(colors_at(canvas.viewer, xy), RGB[[0, 1, 2]])


def test_values_go_through_napari_s_colour_map(canvas: TissueCanvas) -> None:
    count = len(canvas.section)
    values = np.linspace(0, 1, count)
    values[5] = np.nan
    layer = canvas.paint_values("attention", values, limits=(0.0, 1.0))
    canvas.fit()
    canvas.viewer.canvas.overlays.scale_bar.visible = False
    bare(layer)
    drawn = colors_at(canvas.viewer, canvas.section.xy)
    expected = np.round(layer.colormap.map(values)[:, :3] * 255)
    seen = np.isfinite(values)
    assert np.abs(drawn[seen] - expected[seen]).max() <= 3
    assert drawn[5].max() < 10
    canvas.update_values("attention", np.array([5, 0]), [1.0, 1.0])
    drawn = colors_at(canvas.viewer, canvas.section.xy[[0, 5]])
    assert np.abs(drawn - np.round(layer.colormap.map(1.0)[0, :3] * 255)).max() <= 3


def test_limits_default_to_percentiles_and_the_colour_bar_is_shown(canvas: TissueCanvas) -> None:
    values = np.arange(len(canvas.section), dtype=float)
    layer = canvas.paint_values("counts", values)
    assert layer.contrast_limits == pytest.approx(np.percentile(values, [1, 99]).tolist())
    assert layer.contrast_limits_range == [values.min(), values.max()]
    assert layer.colorbar.visible
    canvas.paint_values("counts", values * 10, colormap="viridis")
    assert layer.contrast_limits[1] == pytest.approx(np.percentile(values, 99) * 10)
    assert layer.colormap.name == "viridis"


def test_painting_one_hides_the_others_unless_told(canvas: TissueCanvas) -> None:
    paint(canvas)
    values = np.ones(len(canvas.section))
    canvas.paint_values("attention", values)
    assert not canvas.layer("type").visible
    canvas.paint_values("expression", values, alone=False)
    assert canvas.layer("attention").visible
    canvas.show("type")
    assert [n for n in canvas.names if canvas.layer(n).visible] == ["type"]
    assert canvas.viewer.layers.selection.active is canvas.layer("type")


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("zoom", [0.2, 1.0, 6.0])
def test_the_cell_clicked_is_marked_on_both_themes(
    canvas: TissueCanvas, theme: str, zoom: float, qtbot: object
) -> None:
    canvas.viewer.theme = theme
    paint(canvas)
    canvas.viewer.scene.camera.zoom *= zoom
    qtbot.wait(50)
    row = int(np.abs(canvas.section.xy - canvas.section.xy.mean(axis=0)).sum(axis=1).argmin())
    canvas.fit(np.array([row])) if zoom > 1 else None
    before = photo(canvas.viewer)
    canvas.select(np.zeros(0, np.int64), row)
    after = photo(canvas.viewer)
    changed = (before != after).any(axis=-1)
    assert changed.sum() >= 4
    assert (np.abs(after[changed].astype(int) - MAGENTA).max(axis=1) < 60).mean() > 0.9
    x, y = pixel_of(canvas.viewer, canvas.section.xy[row])
    reach = max(6.0 * canvas.viewer.scene.camera.zoom, 4)
    assert np.abs(np.argwhere(changed) - [y, x]).max() <= reach
    canvas.select(np.zeros(0, np.int64))
    assert np.array_equal(photo(canvas.viewer), before)


def test_marks_are_no_layers_and_come_with_every_painting(canvas: TissueCanvas) -> None:
    codes = paint(canvas)
    canvas.fit()
    canvas.select(np.arange(5))
    layers, dimmed = canvas.viewer.layers, canvas.section.xy[90:95]
    assert layers.selection.active is canvas.layer("type")
    canvas.paint_values("attention", np.arange(len(codes)))
    assert [layer.name for layer in layers] == ["type", "attention"]
    faint = colors_at(canvas.viewer, dimmed)
    canvas.select(np.zeros(0, np.int64))
    assert (colors_at(canvas.viewer, dimmed).sum(axis=1) > 2 * faint.sum(axis=1)).all()
    canvas.select(np.arange(5))
    canvas.show("type")
    assert (np.abs(colors_at(canvas.viewer, dimmed) - RGB[codes[90:95]]).max(axis=1) > 60).all()
    canvas.delete("type")
    canvas.delete("attention")
    assert not layers


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("look", ["filled", "translucent", "both"])
@pytest.mark.parametrize("near", [False, True])
def test_the_selected_keep_their_colours_and_others_near_the_canvas(
    canvas: TissueCanvas, theme: str, look: Look, near: bool
) -> None:
    canvas.viewer.theme = theme
    paint(canvas)
    canvas.set_look(look)
    canvas.fit(np.array([0, 1, SIDE + 4]) if near else None)
    some, xy = np.array([0]), canvas.section.xy
    plain = colors_at(canvas.viewer, xy[:2])
    background = colors_at(canvas.viewer, xy[:1] - 5.0)[0]
    canvas.select(some)
    seen = colors_at(canvas.viewer, xy[:2])
    assert np.array_equal(seen[0], plain[0])
    before, after = (np.abs(picture[1] - background).sum() for picture in (plain, seen))
    assert 5 < after < 0.5 * before
    canvas.select(some[:0])
    assert np.array_equal(colors_at(canvas.viewer, xy[:2]), plain)


def test_marks_stay_within_their_picture_side_by_side(canvas: TissueCanvas) -> None:
    paint(canvas)
    values = np.arange(len(canvas.section))
    canvas.paint_values("a", values)
    canvas.paint_values("b", values)
    canvas.show_beside("a", "b")
    canvas.viewer.canvas.grid.spacing = 40
    canvas.fit(np.arange(40))
    for shown in "ab":
        bare(canvas.layer(shown))
    middle = slice(canvas.viewer.canvas.size[1] // 2 - 12, canvas.viewer.canvas.size[1] // 2 + 12)
    before = photo(canvas.viewer)
    canvas.select(np.arange(20))
    after = photo(canvas.viewer)
    assert (before != after).any()
    assert np.array_equal(before[:, middle], after[:, middle])


def test_outlines_filled_and_both(canvas: TissueCanvas, qtbot: object) -> None:
    codes = paint(canvas)
    canvas.fit(np.array([0, 1, SIDE + 4]))
    qtbot.wait(50)
    middle = canvas.section.xy[:1]
    rim = middle + 4.34 * np.array([[np.cos(ANGLE), np.sin(ANGLE)]])
    background = colors_at(canvas.viewer, middle - 5.0)[0]
    assert np.array_equal(colors_at(canvas.viewer, middle)[0], RGB[codes[0]])
    canvas.set_look("outlines")
    assert np.array_equal(colors_at(canvas.viewer, middle)[0], background)
    assert (np.abs(colors_at(canvas.viewer, rim)[0] - RGB[codes[0]]) < 90).all()
    canvas.set_look("both")
    assert np.array_equal(colors_at(canvas.viewer, middle)[0], RGB[codes[0]])
    assert colors_at(canvas.viewer, rim)[0].min() > 150  # white on the dark canvas
    canvas.viewer.theme = "light"
    assert colors_at(canvas.viewer, rim)[0].max() < 100
    canvas.set_look("filled")
    assert np.array_equal(colors_at(canvas.viewer, middle)[0], RGB[codes[0]])


def test_discs_become_areas_and_discs_again(viewer: Viewer, qtbot: object) -> None:
    canvas = TissueCanvas(viewer, section(outlined=False))
    canvas.show_legend(False)
    codes = paint(canvas)
    corner = canvas.section.xy[:1] + 4.4
    background = colors_at(viewer, corner)[0]
    canvas.set_shape("areas")
    assert np.array_equal(colors_at(viewer, corner)[0], RGB[codes[0]])
    canvas.set_shape("discs")
    assert np.array_equal(colors_at(viewer, corner)[0], background)


def test_the_tooltip_tells_about_the_cell(viewer: Viewer) -> None:
    shown = viewer.tooltip.visible
    canvas = TissueCanvas(viewer, section(), describe=lambda row: f"cell {row}")
    canvas.paint_values("attention", np.ones(len(canvas.section)))
    viewer.mouse_over_canvas = True
    viewer.cursor.position = tuple(canvas.section.xy[7, ::-1])
    assert viewer._calc_status_from_cursor()[1] == "cell 7"
    viewer.cursor.position = (0.0, 0.0)
    assert viewer._calc_status_from_cursor()[1] == ""
    canvas.remove()
    assert viewer.tooltip.visible == shown


@pytest.mark.parametrize("marked", [False, True])
def test_several_paintings_side_by_side(canvas: TissueCanvas, marked: bool) -> None:
    paint(canvas)
    if marked:
        canvas.select(np.arange(9))
    for name in "abc":
        canvas.paint_values(name, np.linspace(0, ord(name), len(canvas.section)))
    grid, layers = canvas.viewer.canvas.grid, canvas.viewer.layers
    canvas.fit()
    zoom = canvas.viewer.scene.camera.zoom
    before = (grid.enabled, grid.stride)
    for order in ("cab", "ba"):
        canvas.show_beside(*order)
        places = [grid.position(layers.index(canvas.layer(name)), layers) for name in order]
        assert places == [(0, 0), (0, 1), (1, 0)][: len(order)]
        assert all(canvas.layer(name).colorbar.visible for name in order)
        photo(canvas.viewer)
        assert len(canvas.rows_in_view()) == len(canvas.section)
    canvas.select(np.arange(4))
    assert grid.position(layers.index(canvas.layer("a")), layers) == (0, 1)
    canvas.show("type")
    assert (grid.enabled, grid.stride) == before
    assert canvas.viewer.scene.camera.zoom == pytest.approx(zoom)


def test_two_paintings_side_by_side_share_the_view(canvas: TissueCanvas, qtbot: object) -> None:
    paint(canvas)
    values = np.ones(len(canvas.section))
    canvas.paint_values("expression", values)
    canvas.paint_values("attention", values)
    canvas.show_beside("attention", "expression")
    grid, layers = canvas.viewer.canvas.grid, canvas.viewer.layers
    places = [grid.position(layers.index(canvas.layer(n)), layers) for n in canvas.names]
    assert places == [(-1, -1), (0, 1), (0, 0)]
    canvas.fit()
    qtbot.wait(50)
    photo(canvas.viewer)
    assert len(canvas.rows_in_view()) == len(canvas.section)
    canvas.show("type")
    assert not grid.enabled


@pytest.mark.parametrize("colormap", ["magma", "inferno", "gray"])
def test_no_value_looks_like_no_cell_in_either_theme(canvas: TissueCanvas, colormap: str) -> None:
    layer = canvas.paint_values("counts", np.zeros(len(canvas.section)), colormap=colormap)
    lowest, highest = layer.colormap.map([0.0, 1.0])[:, :3]
    assert lowest.max() >= 0.2
    assert highest.min() <= 0.65
    canvas.fit()
    bare(layer)
    assert colors_at(canvas.viewer, canvas.section.xy[:5]).max(axis=1).min() > 55
    filled = layer.colormap
    canvas.paint_values("counts", np.ones(len(canvas.section)), colormap=colormap)
    assert layer.colormap is filled
    canvas.set_look("outlines")
    assert layer.colormap.map(0.0)[0, :3].max() >= 0.5  # a line is thin
    canvas.set_look("filled")
    assert layer.colormap is filled
    layer.colormap = "red"  # as a person would
    canvas.set_look("outlines")
    assert layer.colormap.name == "red"


def test_a_name_can_change_its_kind(canvas: TissueCanvas) -> None:
    paint(canvas)
    canvas.paint_values("type", np.ones(len(canvas.section)))
    assert [layer.rgb for layer in canvas.viewer.layers] == [False]
    with pytest.raises(TypeError):
        canvas.set_hidden("type", [0])
    with pytest.raises(ValueError, match="3 cells painted"):
        canvas.paint_values("type", np.ones(3))


def test_a_click_picks_and_a_drag_does_not(canvas: TissueCanvas, qtbot: object) -> None:
    paint(canvas)
    qtbot.wait(50)
    picked: list[int] = []
    canvas.on_pick(picked.append)
    for row in (0, 37, len(canvas.section) - 1):
        click(canvas.viewer, canvas.section.xy[row] + 1.5)
    click(canvas.viewer, np.array([1980.0, 350.0]))
    assert picked == [0, 37, len(canvas.section) - 1, -1]
    click(canvas.viewer, canvas.section.xy[37], drag=60)
    assert len(picked) == 4


def test_picking_between_cells_means_the_nearest(canvas: TissueCanvas) -> None:
    x, y = canvas.section.xy[20]
    assert canvas.pyramid.at(y, x + 4.9) == -1
    assert canvas.pick((y, x + 4.9)) == 20
    assert canvas.pick((0.0, y, x)) == 20  # another layer's third dimension
    assert canvas.pick((y, x - 1000)) == -1


def test_rows_in_view_are_those_the_canvas_shows(canvas: TissueCanvas, qtbot: object) -> None:
    paint(canvas)
    assert len(canvas.rows_in_view()) == len(canvas.section)
    canvas.fit(np.array([0, 1, SIDE + 4]))
    qtbot.wait(50)
    photo(canvas.viewer)
    shown = canvas.viewer.window._qt_viewer.canvas._viewbox_corners_in_world[:, ::-1]
    xy = canvas.section.xy
    inside = ((xy >= shown[0]) & (xy <= shown[1])).all(axis=1)
    assert np.array_equal(canvas.rows_in_view(), np.flatnonzero(inside))
    assert {0, 1, SIDE + 4} <= set(canvas.rows_in_view().tolist())
    assert inside.sum() < len(xy) / 2


def test_the_legend_is_drawn_and_follows_the_layer(canvas: TissueCanvas, qtbot: object) -> None:
    codes = paint(canvas)
    canvas.set_hidden("type", [0, 1, 2])  # nothing but the legend is drawn
    blank = photo(canvas.viewer)
    canvas.show_legend(True)
    canvas.set_hidden("type", [0, 1])
    canvas.update_categories("type", np.arange(len(codes)), np.full(len(codes), -2))
    canvas.update_categories("type", np.array([0]), np.array([2]))
    canvas.set_hidden("type", [2])
    canvas.set_hidden("type", [])
    picture = photo(canvas.viewer)
    assert not (blank[:120, :400] == [*RGB[2].tolist(), 255]).all(axis=-1).any()
    swatch = (picture[:120, :400] == [*RGB[2].tolist(), 255]).all(axis=-1)
    assert swatch.sum() > 50
    entry = canvas._legend.overlay.entries[0]
    assert (entry.name[-1], entry.count, len(canvas._legend.overlay.entries)) == ("…", 1, 1)
    canvas.layer("type").visible = False
    assert not canvas._legend.overlay.visible


def test_a_long_legend_says_how_many_more(canvas: TissueCanvas) -> None:
    codes = np.arange(len(canvas.section)) % 40
    colors = [f"#{i:02x}8080" for i in range(40)]
    canvas.show_legend(True)
    canvas.paint_categories("type", codes, colors, names=[f"type {i}" for i in range(40)])
    overlay = canvas._legend.overlay
    assert overlay.visible
    assert len(overlay.entries) + overlay.more == 40
    assert overlay.more > 0
    counts = [entry.count for entry in overlay.entries]
    assert counts == sorted(counts, reverse=True)
    photo(canvas.viewer)  # a drawing error would raise


def test_status_and_metadata_tell_about_the_cell(viewer: Viewer) -> None:
    canvas = TissueCanvas(
        viewer, section(), metadata={"name": "cells"}, describe=lambda row: f"cell {row}, Astro"
    )
    layer = canvas.paint_values("attention", np.ones(len(canvas.section)))
    x, y = canvas.section.xy[7]
    assert layer.get_status((y, x), world=True)["value"] == "cell 7, Astro"
    assert "cell" not in layer.get_status((y, x - 500), world=True)["value"]
    assert layer.metadata["name"] == "cells"
    assert layer.metadata["tagscope"]["painting"] == "attention"
    assert layer._type_string == "image"


def test_world_coordinates_are_microns(canvas: TissueCanvas) -> None:
    layer = canvas.paint_values("attention", np.ones(len(canvas.section)))
    low, high = layer.extent.world
    edges = canvas.section.xy.min(axis=0) - 4.6, canvas.section.xy.max(axis=0) + 4.6
    assert low[::-1] == pytest.approx(edges[0], abs=0.1)
    assert (high[::-1] >= edges[1] - 0.1).all()
    assert (high[::-1] < edges[1] + 2.0).all()
    assert str(layer.units[0]) == "micrometer"
    assert canvas.viewer.canvas.overlays.scale_bar.visible


def test_removal_leaves_nothing(viewer: Viewer) -> None:
    drag_callbacks = list(viewer.mouse_drag_callbacks)
    overlays = set(viewer.canvas.overlays)
    canvas = TissueCanvas(viewer, section())
    paint(canvas)
    canvas.paint_values("attention", np.ones(len(canvas.section)), alone=False)
    canvas.remove()
    assert len(viewer.layers) == 0
    assert list(viewer.mouse_drag_callbacks) == drag_callbacks
    assert set(viewer.canvas.overlays) == overlays
    assert not viewer.canvas.overlays.scale_bar.visible


def test_a_layer_the_user_deletes_is_forgotten_and_can_be_painted_again(
    canvas: TissueCanvas,
) -> None:
    codes = paint(canvas)
    canvas.viewer.layers.remove(canvas.layer("type"))
    assert canvas.names == ()
    canvas.paint_categories("type", codes, COLORS)
    assert len(canvas.viewer.layers) == 1


@pytest.mark.parametrize("count", [0, 1])
def test_hardly_any_cells(viewer: Viewer, count: int) -> None:
    whole = section()
    few = Section(whole.cells.take(np.arange(count)), whole.xy[:count])
    canvas = TissueCanvas(viewer, few)
    canvas.paint_categories("type", np.zeros(count, np.int64), COLORS, names=NAMES)
    canvas.paint_values("attention", np.ones(count))
    canvas.fit()
    assert len(canvas.rows_in_view()) == count
    photo(viewer)
