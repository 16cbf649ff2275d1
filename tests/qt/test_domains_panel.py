"""The Domains panel as a person uses it: by mouse and by keys, in a real window."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, Qt
from qtpy.QtGui import QHelpEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox, QFileDialog, QLineEdit, QToolTip, QWidget

from domain_cases import written
from hands import choose, click, click_cell, scroll_to, texts, turn_to
from napari_tagscope.views.dock import DomainsDock
from napari_tagscope.views.legend_view import NAME
from napari_tagscope.views.open import show_dock
from pictures import changed, drawn, keep
from tagscope import api
from tagscope.models.omnicell.config import OmniCellConfig
from tagscope.training import pretrain_recipe

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def dock(viewer, annotated, wait):
    """The dock with the annotated sample open, turned to its domains."""
    made = show_dock(viewer)
    made.session.section.open(annotated)
    wait(lambda: made.session.state.result is not None and not made.session.busy)
    turn_to(made, "Domains")
    return made


@pytest.fixture
def found(dock, wait):
    """Its domains, found by the button."""
    click(dock.domains.run_button)
    wait(lambda: dock.session.state.domains is not None and not dock.session.busy)
    return dock.session.state.domains


def test_from_an_empty_panel_to_domains(viewer, dock, wait):
    session, panel = dock.session, dock.domains
    assert "Find domains" in panel.hint.text()
    assert not panel.keys.isVisible()
    assert "Find domains" in dock.composition.hint.text()
    keep(viewer, "d1-before")
    before = drawn(viewer)
    click(panel.run_button)
    wait(lambda: session.state.domains is not None and not session.busy)
    assert changed(before, drawn(viewer)) > 0.05
    assert panel.keys.currentText() == "smoothed"
    assert dock.legends.domains.isVisible()
    assert not dock.legends.types.isVisible()
    assert len(texts(dock.domain_legend.table, NAME)) == 8
    expected = api.delineate_domains(session.state.opened)
    np.testing.assert_array_equal(session.state.domains.codes, expected.codes)
    keep(viewer, "d2-found")
    viewer.theme = "light"
    keep(viewer, "d3-light")


def test_controls_move_domains_live(viewer, dock, found, wait):
    session, panel = dock.session, dock.domains
    settings = panel.settings
    settings.count_slider.setFocus()
    for _ in range(3):
        QTest.keyClick(settings.count_slider, Qt.Key.Key_Left)
    assert session.domains.state.settings.n_domains == 8  # until it settles
    wait(lambda: session.domains.state.settings.n_domains == 5 and not session.busy)
    assert len(session.state.domains.domains) == 5
    assert settings.count.value() == 5
    choose(settings.way, "Leiden, by resolution")
    wait(lambda: not session.busy)
    assert settings.resolution.isVisible()
    assert not settings.count.isVisible()
    assert "resolution 1" in panel.told.text()
    settings.resolution.setFocus()
    QTest.keyClick(settings.resolution, Qt.Key.Key_PageDown)
    wait(lambda: session.domains.state.settings.resolution < 1 and not session.busy)
    assert settings.resolution_value.text() == f"{session.domains.state.settings.resolution:.3g}"
    keep(viewer, "d4-leiden")
    choose(settings.way, "k-means")
    click(settings.refine, QPoint(8, settings.refine.height() // 2))
    settings.neighbors.setValue(30)
    wait(lambda: session.domains.state.settings.neighbors == 30 and not session.busy)
    expected = api.delineate_domains(
        session.state.opened,
        config=api.DomainConfig(n_domains=5, cluster="kmeans", neighbors=30, refine=True),
    )
    np.testing.assert_array_equal(session.state.domains.codes, expected.codes)


def test_outlines_over_whatever_is_painted(viewer, dock, found, wait):
    with_lines = drawn(viewer)
    click(dock.domains.outlines, QPoint(8, dock.domains.outlines.height() // 2))
    without = drawn(viewer)
    assert 0.005 < changed(with_lines, without) < 0.3
    click(dock.domains.outlines, QPoint(8, dock.domains.outlines.height() // 2))
    wait(lambda: not dock.session.busy)
    assert changed(with_lines, drawn(viewer)) < 0.001
    viewer.theme = "light"
    white = drawn(viewer)
    click(dock.domains.outlines, QPoint(8, dock.domains.outlines.height() // 2))
    assert changed(white, drawn(viewer)) > 0.005


def test_bars_select_and_tell(viewer, dock, found, wait):
    session, card = dock.session, dock.composition
    wait(lambda: session.composition.state.composition is not None and not session.busy)
    assert card.columns.currentText() == "cellmemory (on view)"
    bars = card.bars
    scroll_to(card)
    at = bars.part_rect(1, 0).center().toPoint()
    told = QHelpEvent(QEvent.Type.ToolTip, at, bars.mapToGlobal(at))
    QApplication.sendEvent(bars, told)
    assert QToolTip.text() == session.composition.state.composition.text(1, 0)
    QTest.mouseClick(bars, LEFT, pos=at)
    assert len(session.state.rows) == session.composition.state.composition.counts[1][0]
    keep(viewer, "d5-part")
    bars.setFocus()
    QTest.keyClick(bars, Qt.Key.Key_Return)
    assert len(session.state.rows) == 0
    QTest.keyClick(bars, Qt.Key.Key_Down)
    QTest.keyClick(bars, Qt.Key.Key_Right)
    assert bars.current[0] == 2
    QTest.keyClick(bars, Qt.Key.Key_Space)
    assert session.state.domain == "Domain 3"
    click(bars, QPoint(5, round(bars.part_rect(0, 0).center().y())))
    assert session.state.domain == "Domain 1"
    legend = dock.domain_legend
    bold = [row.name for row in legend.model.rows if row.isolated]
    assert bold == ["Domain 1"]
    click_cell(legend.table, 3, NAME)
    assert bars.domain == session.state.domain == "Domain 4"
    click(card.copy_button)
    assert QApplication.clipboard().text().startswith("domain\t")


def test_markers_and_a_boundary_paint_genes(viewer, dock, found, wait):
    session = dock.session
    click(dock.markers.heading)
    wait(lambda: session.markers.state.rows and not session.busy)
    click_cell(dock.markers.table, 0)
    gene = session.markers.state.rows[0].gene
    assert session.state.gene == gene
    assert any(layer.name == f"expression · {gene}" for layer in viewer.layers if layer.visible)
    scroll_to(dock.markers)
    keep(viewer, "d6-markers")
    choose(dock.markers.domains, "Domain 2")
    assert session.state.domain == "Domain 2"
    click(dock.markers.heading)
    click(dock.boundary.heading)
    wait(lambda: session.boundary.state.second and not session.busy)
    assert session.boundary.state.first == "Domain 2"
    assert dock.boundary.second.itemText(0) == session.boundary.state.adjoining[0]
    assert dock.boundary.curve.isVisible()
    click_cell(dock.boundary.table, 1)
    assert session.state.gene == session.boundary.state.rows[1].gene
    assert session.state.gene in dock.boundary.curve.getPlotItem().titleLabel.text
    click(dock.boundary.near_button)
    assert len(session.state.rows) == session.boundary.state.near > 0
    scroll_to(dock.boundary)
    keep(viewer, "d7-boundary")
    viewer.theme = "light"
    scroll_to(dock.boundary)
    keep(viewer, "d8-boundary-light")


def test_domains_are_merged_renamed_and_saved(
    viewer, dock, found, wait, tmp_path, monkeypatch, bundle
):
    session, card = dock.session, dock.edits
    click(card.heading)
    scroll_to(card)
    for row in (6, 7):
        item = card.list.item(row)
        modifier = Qt.KeyboardModifier.ControlModifier
        QTest.mouseClick(
            card.list.viewport(), LEFT, modifier, card.list.visualItemRect(item).center()
        )
    click(card.merge_button)
    assert len(session.state.domains.domains) == 7
    card.list.setFocus()
    card.list.setCurrentRow(0)
    QTest.keyClick(card.list, Qt.Key.Key_F2)
    editor = card.list.findChild(QLineEdit)
    editor.selectAll()
    QTest.keyClicks(editor, "White matter")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    wait(lambda: session.state.domains.domains.names[0] == "White matter")
    assert "White matter" in texts(dock.domain_legend.table, NAME)
    wait(lambda: not session.busy)
    keep(viewer, "d9-edited")
    assert "Rename" in card.undo_button.toolTip()
    card.key.setFocus()
    card.key.selectAll()
    QTest.keyClicks(card.key, "mine")
    QTest.keyClick(card.key, Qt.Key.Key_Return)
    assert session.state.domains.key == "mine"
    out = tmp_path / "mine.zarr"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(out), ""))
    card.save_menu.actions()[1].trigger()
    wait(lambda: session.edits.state.saved is not None and not session.busy)
    again = api.open_section(out)
    assert "mine_domains" in again.sdata.shapes
    assert api.DomainMap.of_table(again.table, "mine").domains == session.state.domains.domains
    session.section.open(out)
    wait(lambda: session.state.opened.source.path == out and not session.busy)
    assert session.state.domains.domains.names[0] == "White matter"
    assert dock.domains.keys.currentText() == "mine"
    assert dock.legends.types.isVisible()
    click(dock.legends.domains_button)
    assert dock.legends.domains.isVisible()
    click(dock.domain_legend.front_button)
    keep(viewer, "d10-stored")
    session.annotate.use(bundle)
    wait(lambda: session.annotate.state.ready)
    session.annotate.run()
    assert dock.legends.types.isVisible()  # which colour in


def test_a_small_model_is_trained_and_used(viewer, wait, tmp_path, monkeypatch):
    network = OmniCellConfig(width=16, ffn=24, layers=1, heads=2, rotary_width=8, dropout=0.0)
    monkeypatch.setitem(pretrain_recipe._SMALL, "network", network)
    monkeypatch.setitem(pretrain_recipe._SMALL, "updates", 20)
    dock = show_dock(viewer)
    session, panel = dock.session, dock.domains
    session.section.open(written(tmp_path))
    wait(lambda: session.state.opened is not None and not session.busy)
    turn_to(dock, "Domains")
    choose(panel.model, "OmniCell")
    assert "train a small one" in panel.hint.text()
    assert not panel.run_button.isEnabled()
    click(panel.train_toggle)
    keep(viewer, "d11-training")
    out = tmp_path / "small"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(out), ""))
    click(panel.training.train_button)
    wait(lambda: session.domains.state.bundle is not None and not session.busy)
    assert panel.training.curve.isVisible()
    assert panel.bundles.box.currentText() == "small"
    assert "Kept as" in panel.training.progress.text()
    keep(viewer, "d12-trained")
    click(panel.run_button)
    wait(lambda: session.state.domains is not None and not session.busy)
    assert session.state.domains.key == "omnicell"
    keep(viewer, "d13-omnicell")


def test_everything_has_a_tooltip_and_a_name(dock, found):
    controls = [
        part
        for card in (dock.domains, dock.composition, dock.markers, dock.boundary, dock.edits)
        for part in card.findChildren(QWidget)
        if part.focusPolicy() != Qt.FocusPolicy.NoFocus and part.parent() is not None
    ]
    bare = [
        part
        for part in controls
        if not part.toolTip()
        and not isinstance(part.parent(), QComboBox)
        and not isinstance(part, QLineEdit)
        and type(part).__module__.startswith("napari_tagscope")
    ]
    assert [type(part).__name__ for part in bare if not part.accessibleName()] == []


def test_the_panel_opens_alone(viewer, wait):
    _, dock = viewer.window.add_plugin_dock_widget("tagscope", "Domains")
    assert isinstance(dock, DomainsDock)
    assert "Open a section" in dock.domains.hint.text()
