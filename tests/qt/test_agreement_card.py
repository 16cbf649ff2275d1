"""Several models in one window: a map of who agrees, any two of them, doubtful cells first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox, QPushButton, QSpinBox

from hands import choose, click, click_cell, scroll_to, texts, turn_to
from napari_tagscope.views.legend_view import NAME
from napari_tagscope.views.open import show_dock
from pictures import changed, drawn, keep
from tagscope import api

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def dock(viewer, annotated, wait):
    """The annotated sample, with two more annotations of which every tenth cell is another."""
    made = show_dock(viewer)
    session = made.session
    session.section.open(annotated)
    wait(lambda: session.state.result is not None and not session.busy)
    turn_to(made, "Annotate")
    assert not made.agreement.isVisible()
    first = session.state.result
    for key, every in (("cellpatch", 10), ("omnicell", 15)):
        probabilities = first.annotation.probabilities.copy()
        probabilities[::every] = np.roll(probabilities[::every], 1, axis=1)
        annotation = replace(first.annotation, probabilities=probabilities)
        session.state.set_result(replace(first, key=key, annotation=annotation))
    wait(lambda: not session.busy)
    return made


@pytest.fixture
def compared(dock, wait):
    scroll_to(dock.agreement)
    click(dock.agreement.compare_button)
    wait(lambda: dock.session.state.agreement is not None and not dock.session.busy)
    return dock.session.state.agreement


def test_models_are_compared_and_who_agrees_is_painted(viewer, dock, compared):
    card = dock.agreement
    assert list(card.boxes) == ["cellmemory", "cellpatch", "omnicell"]
    assert "All 3 models agree on" in card.told.text()
    assert texts(card.pairs, 0)[0] == "cellmemory · cellpatch"
    assert dock.legends.agreement.isVisible()
    assert "all but omnicell" in texts(dock.legends.agreement.table, NAME)
    scroll_to(card)
    keep(viewer, "g1-compared")
    before = drawn(viewer)
    dock.session.agreement_legend.isolate("all but cellpatch")
    assert changed(before, drawn(viewer)) > 0.05
    click(dock.legends.types_button)
    assert dock.legends.types.isVisible()
    viewer.theme = "light"
    keep(viewer, "g2-light")


def test_doubtful_cells_are_stepped_through(viewer, dock, compared, wait):
    card, session = dock.agreement, dock.session
    scroll_to(card)
    click(card.next_button)
    wait(lambda: session.inspector.state.cell is not None)
    row = int(compared.order[0])
    assert session.state.cell == row
    x, y = session.state.opened.section.xy[row]
    np.testing.assert_allclose(viewer.scene.camera.center[1:], (y, x), rtol=1e-4)
    assert card.place.text().startswith("1 of ")
    said = [(one, label) for one, label, _ in compared.said(row)]
    table = dock.inspector.cell.said
    assert list(zip(texts(table, 0), texts(table, 1), strict=True)) == said
    click_cell(card.doubtful, 3)
    assert session.state.cell == int(compared.order[3])
    click(card.copy_button)
    assert QApplication.clipboard().text().startswith("cell\tlabels\tdoubt")
    keep(viewer, "g3-doubtful")


def test_the_confusion_of_two_models_selects_cells(viewer, dock, compared, wait):
    card, session = dock.agreement, dock.session
    scroll_to(card)
    click_cell(card.pairs, 1)
    wait(lambda: session.model_comparison.state.column == "omnicell" and not session.busy)
    wait(lambda: session.model_comparison.state.confusion is not None)
    QTest.qWait(100)
    matrix = card.confusion.matrix
    assert matrix.isVisible()
    assert not card.confusion.columns.isVisible()
    counts = np.array(matrix.confusion.counts)
    row, column = np.unravel_index(counts.argmax(), counts.shape)
    at = matrix.cell_rect(int(row), int(column)).center().toPoint()
    QTest.mouseClick(matrix, LEFT, pos=at)
    assert len(session.state.rows) == counts.max()
    assert card.place.text().endswith(" selected cells")
    scroll_to(card)
    keep(viewer, "g4-confusion")


def test_the_switch_shows_another_result(dock, wait):
    session = dock.session
    choose(dock.result_switch.keys, "cellmemory")
    wait(lambda: session.state.result.key == "cellmemory")
    assert dock.result_switch.keys.currentText() == "cellmemory"
    assert session.legend.state.key == "cellmemory"


def test_a_model_that_is_left_out(dock, compared, wait):
    card, session = dock.agreement, dock.session
    card.boxes["omnicell"].click()
    assert "compare again" in card.hint.text()
    click(card.compare_button)
    wait(lambda: session.state.agreement.models == ("cellmemory", "cellpatch"))
    wait(lambda: not session.busy)
    assert len(card.pairs.rows) == 1


def test_everything_has_a_tooltip_and_a_name(dock, compared):
    kinds = (QComboBox, QPushButton, QSpinBox)
    parts = [part for kind in kinds for part in dock.agreement.findChildren(kind)]
    assert parts
    assert all(part.toolTip() for part in parts)


def test_a_cellpatch_can_be_trained(viewer, dock, wait):
    form = dock.annotate.training
    scroll_to(dock.annotate)
    click(dock.annotate.train_toggle)
    click(form.sample_button)
    wait(lambda: dock.session.training.state.summary is not None and not dock.session.busy)
    assert not form.start.isVisible()
    choose(form.model, "CellPatch")
    assert form.start.box.currentText().startswith("no bundle")
    scroll_to(form.train_button)
    keep(viewer, "g6-train-cellpatch")
    assert dock.session.training.state.model == "cellpatch"
    assert form.name.text() == "reference-cell_type-cellpatch"


def test_a_stagate_learns_in_the_domains_tab(viewer, dock, wait):
    session, panel = dock.session, dock.domains
    turn_to(dock, "Domains")
    assert not panel.learning.isVisible()
    choose(panel.model, "STAGATE")
    assert panel.learning.isVisible()
    assert not panel.bundles.isVisible()
    panel.learning.epochs.setValue(30)
    told = []
    session.domains.changed.connect(lambda _: told.append(panel.hint.text()))
    click(panel.run_button)
    wait(lambda: session.state.domains is not None and not session.busy)
    assert any(text.startswith("Learning: update ") for text in told)
    assert session.state.domains.key == "stagate"
    keep(viewer, "g5-stagate")
    choose(panel.learning.graph, "Radius")
    assert panel.learning.radius.isVisible()
    assert not session.domains.state.live
    click(panel.run_button)
    wait(lambda: session.domains.state.learned is not None)
    click(panel.cancel_button)
    wait(lambda: not session.busy)
    assert session.domains.state.ready
    choose(panel.model, "CellPatch + STAGATE")
    assert panel.bundles.isVisible()
    assert panel.bundles.box.currentText().startswith("no bundle")
    assert api.UnionConfig(**session.domains.state.learning.chosen).graph == "radius"
