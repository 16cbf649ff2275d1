"""The Attention panel as a person uses it: by mouse and by keys, in a real window."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from hands import click, scroll_to, turn_to
from napari_tagscope.views.open import show_dock
from napari_tagscope.views.table import MARK_ROLE
from napari_tagscope.views.tag_table import ATTENTION, GENE, MARK
from pictures import changed, drawn, keep
from tagscope import api

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def dock(viewer, annotated, wait):
    """The dock with the annotated sample open, and its genes ranked."""
    made = show_dock(viewer)
    made.session.section.open(annotated)
    wait(lambda: made.session.attention.state.rows and not made.session.busy)
    turn_to(made, "Attention")
    return made


@pytest.fixture
def gene_sets(tmp_path, dock):
    """A GMT file of the genes measured, in tens."""
    genes = dock.session.state.opened.section.panel.symbols
    lines = ["\t".join([f"SET {i}", "", *genes[i : i + 10]]) for i in range(0, 100, 10)]
    path = tmp_path / "sets of the test.gmt"
    path.write_text("\n".join(lines))
    return path


def click_row(table, row):
    click(table.viewport(), table.visualRect(table.model().index(row, 0)).center())


def test_the_table_of_selected_cells_is_marked_filtered_and_whole(viewer, dock, wait):
    session, panel = dock.session, dock.attention
    codes = session.state.result.annotation.codes
    session.state.select_rows(np.flatnonzero(codes == codes[0])[:40])
    wait(lambda: session.attention.state.rows and not session.busy)
    assert panel.types.currentText() == "Selected cells (40 cells)"
    tags = panel.table
    marks = [tags.proxy.index(r, GENE).data(MARK_ROLE) for r in range(tags.proxy.rowCount())]
    assert [mark == MARK for mark in marks] == [
        row.merely_expression for row in session.attention.state.rows
    ]
    number = tags.fontMetrics().horizontalAdvance("0.0000")
    assert tags.columnWidth(ATTENTION) > number + 20  # the bar's
    names = [tags.proxy.index(r, GENE).data() for r in range(tags.proxy.rowCount())]
    widest = max(map(tags.fontMetrics().horizontalAdvance, names))
    assert tags.columnWidth(GENE) > widest + tags.fontMetrics().horizontalAdvance(MARK) + 12
    gene = tags.proxy.index(3, GENE).data()
    QTest.keyClicks(panel.filter, gene.lower())
    assert all(
        gene.lower() in tags.proxy.index(r, GENE).data().lower()
        for r in range(tags.proxy.rowCount())
    )
    panel.filter.clear()
    scroll_to(panel)
    keep(viewer, "a1-selected-cells")
    panel.types.activated.emit(1)
    assert session.attention.state.source == "type"


def test_a_gene_that_is_not_there_is_found_by_mouse_and_by_key(viewer, dock, wait):
    panel, session = dock.attention, dock.session
    QTest.keyClicks(panel.search, "gad-1")
    QTest.keyClick(panel.search, Qt.Key.Key_Return)
    wait(lambda: session.attention.state.near and not session.busy)
    near = panel.finder.near[0]
    assert near.isVisible()
    assert "gad-1 is not measured" in panel.finder.question.text()
    scroll_to(panel)
    keep(viewer, "a2-did-you-mean")
    near.setFocus()
    QTest.keyClick(near, Qt.Key.Key_Space)
    assert session.state.gene == near.text() or session.state.gene == "Gad1"
    assert not panel.finder.question.isVisible()
    panel.search.clear()
    QTest.keyClicks(panel.search, "Gad")
    QTest.keyClick(panel.search, Qt.Key.Key_Return)
    wait(lambda: session.attention.state.near and not session.busy)
    click(panel.finder.near[1])
    assert session.state.gene == session.attention.state.gene != ""


def test_contrast_is_moved_by_keys_for_both_maps(viewer, dock, wait):
    panel, session = dock.attention, dock.session
    click(panel.both_button)
    session.attention.choose_gene("Gad1")
    wait(lambda: not session.busy)
    shown = [layer.name for layer in viewer.layers if layer.visible]
    assert shown == ["expression · Gad1", "attention · Gad1"]
    before = drawn(viewer)
    tops = {name: top for name, top, _ in session.attention.state.tops}
    slider = panel.contrast.slider
    slider.setFocus()
    for _ in range(16):
        QTest.keyClick(slider, Qt.Key.Key_Left)
    lower = {name: top for name, top, _ in session.attention.state.tops}
    assert lower["attention"] < tops["attention"]
    assert lower["expression"] < tops["expression"]
    canvas = session.painter.canvas
    for name, top in lower.items():
        assert canvas.layer(name).contrast_limits[1] == pytest.approx(top)
        assert f"{name} {top:.3g}" in panel.contrast.caption.text()
    assert changed(before, drawn(viewer)) > 0.005
    scroll_to(panel)
    keep(viewer, "a3-contrast-of-both")
    viewer.theme = "light"
    keep(viewer, "a3-contrast-of-both-light")


def test_the_heatmap_tells_and_chooses(viewer, dock):
    panel, session = dock.attention, dock.session
    click(panel.heatmap_card.heading)
    heatmap = panel.heatmap
    scroll_to(panel.heatmap_card)
    field = heatmap.field(4, 2)
    QTest.mouseMove(heatmap, field.center())
    shown = heatmap.heatmap
    assert panel.heatmap_told.text().startswith(f"{shown.genes[4]} in {shown.types[2]}:")
    click(heatmap, field.center())
    assert (session.state.label, session.state.gene) == (shown.types[2], shown.genes[4])
    heatmap.setFocus()
    QTest.keyClick(heatmap, Qt.Key.Key_Down)
    QTest.keyClick(heatmap, Qt.Key.Key_Right)
    QTest.keyClick(heatmap, Qt.Key.Key_Return)
    assert (session.state.label, session.state.gene) == (shown.types[3], shown.genes[5])
    keep(viewer, "a4-heatmap")
    viewer.theme = "light"
    keep(viewer, "a4-heatmap-light")


def test_slots_are_read_painted_and_enriched(viewer, dock, wait, gene_sets, monkeypatch):
    session, card = dock.session, dock.slots
    scroll_to(card)
    click(card.heading)
    assert "Read slots" in card.hint.text()
    scroll_to(card)
    keep(viewer, "a5-no-slots")
    click(card.score_button)
    wait(lambda: session.slots.state.slots and not session.busy)
    before = drawn(viewer)
    card.table.setFocus()
    QTest.keyClick(card.table, Qt.Key.Key_Down)
    assert session.slots.state.chosen is not None
    assert changed(before, drawn(viewer)) > 0.02
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(gene_sets), ""))
    click(card.gene_sets.sets_button)
    wait(lambda: session.slots.state.note and not session.busy)
    assert card.gene_sets.file.text() == gene_sets.name
    assert len(card.gene_sets.sets.rows) == len(session.slots.state.sets) > 0
    told = []
    session.state.gene_selected.connect(told.append)
    click_row(card.program, 1)
    assert session.state.gene == session.slots.state.program[1].gene
    assert len(told) == 1
    chosen = []
    card.table.row_chosen.connect(chosen.append)
    for _ in range(2):
        click_row(card.table, 2)
    assert chosen == [2, 2]
    scroll_to(card)
    keep(viewer, "a6-slots")
    viewer.theme = "light"
    keep(viewer, "a6-slots-light")


def test_faithfulness_is_asked_on_demand(viewer, dock, wait):
    session, card = dock.session, dock.faithfulness
    click(card.heading)
    scroll_to(card)
    keep(viewer, "a7-faithfulness-before")
    click(card.run_button)
    assert card.cancel_button.isVisible()
    wait(lambda: session.faithfulness.state.verdict and not session.busy)
    assert len(card.table.rows) == 3
    assert "changes the label of" in card.hint.text()
    session.state.select_label(session.attention.state.types[0][0])
    assert session.attention.state.types[0][0] in card.judgement.text()
    scroll_to(card)
    keep(viewer, "a8-faithfulness")


def test_every_control_has_a_tip_and_a_name(dock):
    from qtpy.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QTableView

    for panel in (dock.attention, dock.slots, dock.faithfulness):
        for kind in (QAbstractButton, QComboBox, QLineEdit):
            for widget in panel.findChildren(kind):
                named = widget.accessibleName() or getattr(widget, "text", str)()
                if widget.isVisibleTo(panel):
                    assert widget.toolTip(), widget
                    assert named or widget.objectName().startswith("qt_"), widget
        assert all(table.accessibleName() for table in panel.findChildren(QTableView))


def test_the_engine_gives_the_same_slots(dock, wait):
    session = dock.session
    session.slots.look(True)
    session.slots.score()
    wait(lambda: session.slots.state.slots and not session.busy)
    result = session.state.result
    summary = api.slot_summary(
        result.slot_scores, result.annotation.labels, result.annotation.codes
    )
    assert session.slots.state.slots[0].share == summary.matrix()[0].max()
