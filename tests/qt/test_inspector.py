"""Cells are selected on the tissue and inspected in the dock, by mouse and by keys."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from hands import click, lasso, pixel
from napari_tagscope.views.dock import InspectorDock
from napari_tagscope.views.open import show_dock
from napari_tagscope.views.selection_row import SelectionRow
from pictures import changed, drawn, keep
from tagscope.core.results import SlotScores

LEFT = Qt.MouseButton.LeftButton
PLAIN, SHIFT, ALT = (
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.AltModifier,
)


@pytest.fixture
def dock(viewer, annotated, wait):
    dock = show_dock(viewer)
    session = dock.session
    session.section.open(annotated)
    wait(lambda: session.attention.state.rows and not session.busy)
    return dock


@pytest.fixture
def native(viewer):
    return viewer.window._qt_viewer.canvas.native


def box(dock, rows):
    """Corners of a box around the middle of some cells, and the cells within."""
    xy = dock.session.state.opened.section.xy
    low, high = np.quantile(xy[rows], [0.3, 0.7], axis=0)
    ring = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
    return ring, np.flatnonzero(((xy > low) & (xy < high)).all(axis=1))


def nearly(found, expected):
    """Whether two selections differ by no more than what a pixel at the rim decides."""
    return len(np.setxor1d(found, expected)) <= 0.03 * len(expected)


def test_a_lasso_selects_adds_and_takes_away(viewer, dock, native, wait):
    session, row = dock.session, dock.findChild(SelectionRow)
    center, zoom = viewer.scene.camera.center, viewer.scene.camera.zoom
    click(row.buttons["lasso"])
    every = np.arange(len(session.state.opened.section))
    ring, inside = box(dock, every)
    plain = drawn(viewer)
    lasso(viewer, ring, release=False)
    assert changed(plain, drawn(viewer)) > 0.0005
    keep(viewer, "inspector-1-lasso")
    QTest.mouseRelease(native, LEFT, PLAIN, pixel(viewer, ring[0]))
    wait(lambda: len(session.state.rows) and not session.busy)
    assert nearly(session.state.rows, inside)
    assert row.count.text() == f"{len(session.state.rows):,} selected"
    assert viewer.scene.camera.center == center
    assert viewer.scene.camera.zoom == zoom
    assert changed(plain, drawn(viewer)) > 0.05  # the others are dimmed
    keep(viewer, "inspector-2-selection")

    before = session.state.rows
    half = (ring + ring.mean(axis=0)) / 2
    session.attention.choose_gene("Gad1")  # another layer is active, and lets the mouse move
    lasso(viewer, half, ALT)
    wait(lambda: len(session.state.rows) < len(before) and not session.busy)
    hole = session.state.rows
    assert np.isin(hole, before).all()
    lasso(viewer, half, SHIFT)
    wait(lambda: len(session.state.rows) > len(hole) and not session.busy)
    assert nearly(session.state.rows, before)
    assert viewer.scene.camera.center == center
    click(row.clear_button)
    assert len(session.state.rows) == 0


def test_keys_take_tools_up_and_put_them_down(viewer, dock, native, wait):
    session, row = dock.session, dock.findChild(SelectionRow)
    drags, doubles = list(viewer.mouse_drag_callbacks), list(viewer.mouse_double_click_callbacks)
    native.setFocus()
    QTest.keyClick(native, Qt.Key.Key_L)
    assert row.buttons["lasso"].isChecked()
    QTest.keyClick(native, Qt.Key.Key_P)
    assert row.buttons["polygon"].isChecked()
    ring, inside = box(dock, np.arange(len(session.state.opened.section)))
    zoom = viewer.scene.camera.zoom
    for corner in ring:
        QTest.mouseMove(native, pixel(viewer, corner))
        QTest.mouseClick(native, LEFT, PLAIN, pixel(viewer, corner))
        QTest.qWait(20)
    keep(viewer, "inspector-3-polygon")
    QTest.keyClick(native, Qt.Key.Key_Return)
    wait(lambda: len(session.state.rows) and not session.busy)
    assert nearly(session.state.rows, inside)
    assert session.state.cell is None

    session.selecting.clear()
    for corner in ring[:3]:
        QTest.mouseClick(native, LEFT, PLAIN, pixel(viewer, corner))
    QTest.mouseClick(native, LEFT, PLAIN, pixel(viewer, ring[0]))
    wait(lambda: len(session.state.rows) and not session.busy)
    QTest.mouseClick(native, LEFT, PLAIN, pixel(viewer, ring[0]))
    QTest.keyClick(native, Qt.Key.Key_Escape)
    assert row.buttons["click"].isChecked()
    assert viewer.scene.camera.zoom == zoom
    assert sorted(map(repr, viewer.mouse_drag_callbacks)) == sorted(map(repr, drags))
    assert list(viewer.mouse_double_click_callbacks) == doubles


def test_escape_drops_what_is_half_drawn(viewer, dock, native):
    session = dock.session
    session.selecting.choose("lasso")
    ring, _ = box(dock, np.arange(len(session.state.opened.section)))
    plain = drawn(viewer)
    lasso(viewer, ring, release=False)
    QTest.keyClick(native, Qt.Key.Key_Escape)
    assert session.selecting.state.tool == "click"
    assert changed(plain, drawn(viewer)) == 0
    for corner in ring:
        QTest.mouseMove(native, pixel(viewer, corner))
        QTest.qWait(20)
    QTest.mouseRelease(native, LEFT, PLAIN, pixel(viewer, ring[0]))
    QTest.qWait(100)
    assert not session.busy
    assert len(session.state.rows) == 0


def test_a_double_click_ends_a_polygon_without_zooming(viewer, dock, native, wait):
    session = dock.session
    session.selecting.choose("polygon")
    ring, inside = box(dock, np.arange(len(session.state.opened.section)))
    zoom = viewer.scene.camera.zoom
    for corner in ring[:3]:
        QTest.mouseClick(native, LEFT, PLAIN, pixel(viewer, corner))
    at = pixel(viewer, ring[3])
    QTest.mouseClick(native, LEFT, PLAIN, at)
    QTest.mouseDClick(native, LEFT, PLAIN, at)
    wait(lambda: len(session.state.rows) and not session.busy)
    assert nearly(session.state.rows, inside)
    assert viewer.scene.camera.zoom == zoom


def test_an_area_is_drawn_in_both_pictures_and_selects_in_either(viewer, dock, native, wait):
    session = dock.session
    session.attention.choose_gene("Gad1")
    session.attention.show_quantity("both")
    QTest.qWait(200)
    assert viewer.canvas.grid.enabled
    session.selecting.choose("lasso")
    start = drawn(viewer)
    places = [QPoint(600, 300), QPoint(700, 300), QPoint(700, 420), QPoint(600, 420)]
    QTest.mouseMove(native, places[0])
    QTest.mousePress(native, LEFT, PLAIN, places[0])
    for place in places:
        QTest.qWait(15)
        QTest.mouseMove(native, place)
    QTest.qWait(30)
    shown = drawn(viewer)
    middle = shown.shape[1] // 2
    assert changed(start[:, :middle], shown[:, :middle]) > 0
    assert changed(start[:, middle:], shown[:, middle:]) > 0
    keep(viewer, "inspector-4-beside")
    QTest.mouseRelease(native, LEFT, PLAIN, places[-1])
    wait(lambda: not session.busy)
    assert len(session.state.rows)


def test_a_clicked_cell_is_told_of_and_stepped_from(viewer, dock, native, wait):
    session, panel = dock.session, dock.inspector
    keep(viewer, "inspector-5-empty")
    assert "Click a cell" in panel.hint.text()
    result, section = session.state.result, session.state.opened.section
    row = int(np.argmax(result.annotation.confidence))
    at = pixel(viewer, section.xy[row])
    QTest.mouseMove(native, at)
    began = time.perf_counter()
    QTest.mouseClick(native, LEFT, PLAIN, at)
    assert time.perf_counter() - began < 0.5  # a busy machine; the benchmark is stricter
    assert panel.title.text() == f"Cell {section.ids[row]}"
    assert panel.cell.label.name.text() == result.annotation.names()[row]
    genes = panel.cell.genes
    keep(viewer, "inspector-6-cell")

    first = genes.rows[0].values[0]
    genes.selectRow(0)
    QTest.mouseClick(
        genes.viewport(), LEFT, PLAIN, genes.visualRect(genes.model().index(0, 0)).center()
    )
    assert session.state.gene == first
    genes.setFocus()
    QTest.keyClick(genes, Qt.Key.Key_Down)
    assert session.state.gene == genes.rows[1].values[0]

    click(panel.next_button)
    codes = result.annotation.codes
    assert codes[session.state.cell] == codes[row]
    assert session.state.cell != row
    click(panel.back_button)
    assert session.state.cell == row

    click(panel.copy_button)
    assert QApplication.clipboard().text().startswith(f"cell\t{section.ids[row]}")
    click(panel.like_button)
    wait(lambda: len(session.state.rows) == 100 and not session.busy)
    assert panel.selection.isVisible()
    assert panel.selection.title.text().startswith("100 cells selected")
    keep(viewer, "inspector-7-like")


def test_the_inspector_alone_in_both_themes(viewer, annotated, wait):
    window = viewer.window
    _, dock = window.add_plugin_dock_widget("tagscope", "Inspector")
    assert isinstance(dock, InspectorDock)
    assert not dock.findChild(SelectionRow).isVisible()
    dock.session.section.open(annotated)
    wait(lambda: dock.session.state.result is not None and not dock.session.busy)
    result = dock.session.state.result
    scores = result.gene_scores
    shares = np.linspace(0.5, 2, 8) / np.linspace(0.5, 2, 8).sum()
    slots = SlotScores(scores.ids, scores.panel, tuple(scores.scores * s for s in shares))
    dock.session.state.set_result(replace(result, slot_scores=slots))
    wait(lambda: not dock.session.busy)
    dock.session.state.select_cell(100)
    dock.session.state.select_rows(np.arange(50, 400))
    wait(lambda: dock.inspector.selection.isVisible() and not dock.session.busy)
    keep(viewer, "inspector-8-dark")
    viewer.theme = "light"
    keep(viewer, "inspector-9-light")
    texts = [row.values[1] for row in dock.inspector.cell.slots.rows]
    np.testing.assert_allclose(texts, shares, rtol=1e-5)
    assert all(isinstance(layer, Image) for layer in viewer.layers)


def test_a_window_can_be_closed_while_an_area_is_drawn(viewer, dock, native):
    dock.session.selecting.choose("lasso")
    ring, _ = box(dock, np.arange(len(dock.session.state.opened.section)))
    lasso(viewer, ring, release=False)
    viewer.close()


def test_another_section_ends_the_drawing(viewer, dock, native, wait, sample_data):
    session, row = dock.session, dock.findChild(SelectionRow)
    session.selecting.choose("polygon")
    QTest.mouseClick(native, LEFT, PLAIN, QPoint(300, 300))
    session.section.open(sample_data / "section.zarr")
    wait(lambda: session.state.result is None and not session.busy)
    assert row.buttons["click"].isChecked()
    at = pixel(viewer, session.state.opened.section.xy[7])
    QTest.mouseMove(native, at)
    QTest.mouseClick(native, LEFT, PLAIN, at)
    assert session.state.cell == 7
    assert dock.inspector.title.text().endswith(str(session.state.opened.section.ids[7]))
    keep(viewer, "inspector-10-without-types")
