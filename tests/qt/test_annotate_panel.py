"""The Annotate panel in a real window: bundles, training, legend and comparison."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QEvent, QPoint, Qt
from qtpy.QtGui import QHelpEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLineEdit, QToolTip

from hands import click, scroll_to, texts
from napari_tagscope.views.legend_view import COUNT, NAME
from napari_tagscope.views.open import show_dock
from pictures import changed, drawn, keep
from tagscope import api

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def dock(viewer, annotated, wait):
    made = show_dock(viewer)
    made.session.section.open(annotated)
    wait(lambda: made.session.attention.state.rows and not made.session.busy)
    return made


@pytest.fixture
def with_truth(dock, sample_data):
    """The truth of the sample as a column of the section."""
    session = dock.session
    truth = json.loads((sample_data / "truth.json").read_text())["types"]
    obs = session.state.opened.table.obs
    obs["truth"] = pd.Categorical(obs.index.map(truth))
    session.legend.set_min_confidence(0.3)
    session.legend.settle()
    return obs["truth"]


def test_the_types_beside_the_truth(viewer, dock, with_truth, wait):
    session, panel = dock.session, dock.annotate
    click(panel.compare_toggle)
    view = panel.comparison
    assert "Choose a column" in view.hint.text()
    scroll_to(view)
    keep(viewer, "c1-choose")
    view.columns.setCurrentIndex(view.columns.findText("truth"))
    view.columns.activated.emit(view.columns.currentIndex())
    wait(lambda: session.comparison.state.confusion is not None and not session.busy)
    expected = api.evaluate_labels(
        session.state.result.annotation.names(),
        with_truth,
        seen=set(session.state.result.annotation.labels.names),
    )
    assert f"Agreement {expected.accuracy:.3f}" in view.numbers.text()
    scroll_to(panel.comparison)
    keep(viewer, "c2-compared")

    before = drawn(viewer)
    counts = np.array(view.matrix.confusion.counts)
    row = int(counts.sum(axis=1).argmax())
    at = view.matrix.cell_rect(row, int(counts[row].argmax())).center().toPoint()
    QTest.mouseClick(view.matrix, LEFT, pos=at)
    assert len(session.state.rows) == counts[row].max()
    assert changed(before, drawn(viewer)) > 0.001
    assert "cells" in view.pointed.text()
    scroll_to(panel.comparison)
    keep(viewer, "c3-picked")
    viewer.theme = "light"
    scroll_to(panel.comparison)
    keep(viewer, "c4-light")

    view.matrix.setFocus()
    current = view.matrix.current
    QTest.keyClick(view.matrix, Qt.Key.Key_Return)
    assert len(session.state.rows) == 0
    QTest.keyClick(view.matrix, Qt.Key.Key_Down if current[0] == 0 else Qt.Key.Key_Up)
    assert view.matrix.current != current
    click(view.copy_button)
    assert QApplication.clipboard().text().startswith("truth\t")


def test_a_confusion_tells_its_cells(viewer, dock, with_truth, wait):
    session, view = dock.session, dock.annotate.comparison
    click(dock.annotate.compare_toggle)
    session.comparison.choose_column("truth")
    wait(lambda: session.comparison.state.confusion is not None)
    QTest.qWait(50)
    at = view.matrix.cell_rect(0, 0).center().toPoint()
    event = QHelpEvent(QEvent.Type.ToolTip, at, view.matrix.mapToGlobal(at))
    QApplication.sendEvent(view.matrix, event)
    assert QToolTip.text() == view.matrix.confusion.text(0, 0)
    QApplication.sendEvent(view.matrix, QHelpEvent(QEvent.Type.ToolTip, QPoint(0, 0), QPoint(0, 0)))
    assert "click to select" in QToolTip.text()


def test_renaming_by_keys(viewer, dock, wait):
    session, legend = dock.session, dock.legend
    name = texts(legend.table, NAME)[0]
    legend.table.selectRow(0)
    QTest.keyClick(legend.table, Qt.Key.Key_F2)
    editor = legend.table.findChild(QLineEdit)
    assert editor.text() == name
    editor.selectAll()
    QTest.keyClicks(editor, "Renamed type")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    wait(lambda: texts(legend.table, NAME)[0] == "Renamed type")
    assert "Renamed type" in session.state.result.annotation.labels.names
    index = legend.table.model().index(0, NAME)
    assert name in index.data(Qt.ItemDataRole.ToolTipRole)
    scroll_to(legend)
    keep(viewer, "c5-renamed")
    session.legend.rename("Renamed type", "")
    assert legend.failure.isVisible()


def test_the_legend_sorts(viewer, dock):
    legend = dock.legend
    for order in ("name", "likeness", "model", "cells"):
        legend.order.setCurrentIndex(legend.order.findData(order))
        legend.order.activated.emit(legend.order.currentIndex())
        assert dock.session.legend.state.order == order
        if order == "name":
            names = texts(legend.table, NAME)
            assert names == sorted(names, key=str.casefold)
    counts = [int(text.replace(",", "")) for text in texts(legend.table, COUNT)]
    assert counts == sorted(counts, reverse=True)


def test_a_bundles_card(viewer, dock, bundle, wait):
    session, panel = dock.session, dock.annotate
    assert not panel.remove_button.isEnabled()
    session.annotate.choose(bundle.path)
    wait(lambda: session.annotate.state.bundle is not None and not session.busy)
    click(panel.card_toggle)
    assert panel.card.types.model().rowCount() == len(bundle.labels)
    scroll_to(panel.card)
    keep(viewer, "c6-card")
    viewer.theme = "light"
    keep(viewer, "c7-card-light")
    click(panel.card.copy_button)
    assert QApplication.clipboard().text().split("\n") == list(bundle.panel.symbols)
    click(panel.remove_button)
    assert session.annotate.state.known == ()
    assert not panel.card.isVisible()


def test_a_reference_is_counted_before_training(viewer, dock, wait):
    session, form = dock.session, dock.annotate.training
    click(dock.annotate.train_toggle)
    keep(viewer, "c8-no-reference")
    click(form.sample_button)
    wait(lambda: session.training.state.summary is not None and not session.busy)
    assert "genes shared with the section" in form.counts.text()
    assert form.types.model().rowCount() == 14
    assert form.name.text() == "reference-cell_type"
    scroll_to(form)
    keep(viewer, "c9-counted")
