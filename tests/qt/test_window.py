"""The window as a person uses it: clicks and keys in a real viewer.

Pictures of the window go into the folder named by TAGSCOPE_SCREENSHOTS, if it is set.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QColorDialog, QMessageBox

from hands import cell_center, click, click_cell, click_tissue, texts
from napari_tagscope.views.legend_view import COLOR, COUNT, NAME, SHOWN
from napari_tagscope.views.open import show_dock, show_result
from napari_tagscope.views.session import session_of
from napari_tagscope.views.tag_table import AUC, GENE
from pictures import changed, drawn, keep
from tagscope import api
from tagscope.models.base import Capability
from tagscope.models.bundle import save_bundle
from tagscope.models.cellmemory.network import CellMemoryNetwork

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture(scope="module")
def slow_bundle(bundle, tmp_path_factory):
    """A network of the published size that knows nothing: a run of it can be interrupted."""
    config = api.CellMemoryConfig()
    return save_bundle(
        tmp_path_factory.mktemp("bundles") / "slow",
        model="cellmemory",
        config=config.to_dict(),
        panel=bundle.panel,
        labels=bundle.labels,
        preprocessing=bundle.preprocessing,
        capabilities=frozenset(Capability),
        training={},
        state=CellMemoryNetwork(config, len(bundle.panel), len(bundle.labels)).state_dict(),
    )


@pytest.fixture
def dock(viewer):
    return show_dock(viewer)


def test_from_the_sample_to_an_attention_map(viewer, dock, bundle, wait, sample_data):
    session = dock.session
    assert "Open a SpatialData store" in dock.section.hint.text()
    assert not dock.annotate.run_button.isEnabled()
    keep(viewer, "1-empty")

    click(dock.section.sample_button)
    wait(lambda: session.state.opened is not None and not session.busy)
    assert ("Cells", "3,000") in session.section.state.card.rows
    assert dock.section.grid_holder.isVisible()
    plain = drawn(viewer)
    assert plain.any()
    keep(viewer, "2-section")

    session.annotate.choose(bundle.path)
    wait(lambda: dock.annotate.run_button.isEnabled() and not session.busy)
    assert "14 types" in dock.annotate.about.text()
    assert dock.preflight.verdict.text().startswith("✓ Ready: ")
    click(dock.annotate.run_button)
    wait(lambda: session.state.result is not None and not session.busy)
    legend = dock.legend.table
    counts = [int(text.replace(",", "")) for text in texts(legend, COUNT)]
    names = texts(legend, NAME)
    assert len(names) == 14
    found = {name: count for name, count in zip(names, counts, strict=True) if count}
    assert found == dict(session.state.result.annotation.counts())
    assert sum(counts) == 3000
    painted = drawn(viewer)
    assert changed(plain, painted) > 0.05
    keep(viewer, "3-annotated")

    click_cell(legend, 0, NAME)
    largest = texts(legend, NAME)[0]
    assert session.state.label == largest
    assert dock.attention.types.currentData() == largest
    isolated = drawn(viewer)
    assert changed(painted, isolated) > 0.02
    click_cell(legend, 0, NAME)
    assert session.state.label is None
    assert changed(painted, drawn(viewer)) < 0.01

    tags = dock.attention.table
    assert texts(tags, GENE) == list(
        api.tag_table(
            session.state.result.gene_scores,
            session.state.opened.section.cells,
            session.state.result.annotation.labels,
            session.state.result.annotation.codes,
        ).of(largest)["gene"]
    )
    click_cell(tags, 0, GENE)
    gene = texts(tags, GENE)[0]
    assert session.state.gene == gene
    assert f"attention · {gene}" in [layer.name for layer in viewer.layers if layer.visible]
    attention = drawn(viewer)
    assert changed(painted, attention) > 0.05
    keep(viewer, "4-attention")

    click(dock.attention.expression_button)
    assert f"expression · {gene}" in [layer.name for layer in viewer.layers if layer.visible]
    assert changed(attention, drawn(viewer)) > 0.02
    keep(viewer, "5-expression")

    click(dock.attention.both_button)
    shown = [layer.name for layer in viewer.layers if layer.visible]
    assert shown == [
        f"expression · {gene}",
        f"attention · {gene}",
    ]  # the last is at the left
    assert viewer.canvas.grid.enabled
    keep(viewer, "5b-attention-beside-expression")
    click(dock.attention.attention_button)
    assert not viewer.canvas.grid.enabled

    looks = dock.section.looks
    assert looks.isVisible()
    assert not dock.section.shapes.isVisible()
    looks.setCurrentIndex(looks.findData("outlines"))
    looks.activated.emit(looks.currentIndex())
    assert session.painter.canvas.layer("attention").visible
    session.painter.canvas.fit(np.arange(40))
    keep(viewer, "5c-outlines")


def test_an_annotated_store_opens_with_its_results(viewer, annotated, bundle, wait):
    show_result(viewer, annotated, gene="Plp1")
    session = session_of(viewer)
    wait(lambda: session.state.result is not None and not session.busy)
    result = session.state.result
    stored = api.read_table(annotated)
    np.testing.assert_array_equal(result.annotation.names(), stored.obs["cellmemory"].astype(str))
    assert session.attention.state.rows
    assert "attention · Plp1" in [layer.name for layer in viewer.layers if layer.visible]
    row = int(np.argmax(result.annotation.confidence))
    click_tissue(viewer, session.state.opened.section.xy[row])
    assert session.state.cell == row
    wait(lambda: session.inspector.state.cell is not None and not session.busy)
    cell = session.inspector.state.cell
    assert cell.id == result.annotation.ids[row]
    assert cell.label == result.annotation.alternatives(row, 1)[0][0]
    viewer.theme = "light"
    keep(viewer, "6-light")


def test_keys_do_what_the_mouse_does(viewer, dock, annotated, wait, monkeypatch):
    session = dock.session
    session.section.open(annotated)
    wait(lambda: session.attention.state.rows and not session.busy)
    legend = dock.legend
    names = texts(legend.table, NAME)

    QTest.keyClicks(legend.search, names[3])
    assert texts(legend.table, NAME) == [names[3]]
    legend.table.selectRow(0)
    QTest.keyClick(legend.table, Qt.Key.Key_Return)
    assert session.state.label == names[3]
    QTest.keyClick(legend.table, Qt.Key.Key_Space)
    assert [row.name for row in session.legend.state.rows if not row.shown] == [names[3]]
    QTest.keyClick(legend.table, Qt.Key.Key_Space)
    monkeypatch.setattr(
        QColorDialog, "getColor", lambda color, *_: type(color)("#102030") if color else color
    )
    QTest.keyClick(legend.table, Qt.Key.Key_C)
    colors = dict(zip(*vars(session.state.result.annotation.labels).values(), strict=True))
    assert colors[names[3]] == "#102030"
    legend.search.clear()

    QTest.keyClicks(dock.attention.search, "gad1")
    QTest.keyClick(dock.attention.search, Qt.Key.Key_Return)
    assert session.state.gene == "Gad1"
    tags = dock.attention.table
    tags.setFocus()
    tags.selectRow(0)
    QTest.keyClick(tags, Qt.Key.Key_Down)
    assert session.state.gene == texts(tags, GENE)[1]
    click(dock.attention.copy_button)
    assert QApplication.clipboard().text().startswith("rank\tgene\t")


def test_the_table_sorts_by_any_column(viewer, dock, annotated, wait):
    dock.session.section.open(annotated)
    wait(lambda: dock.session.attention.state.rows)
    tags = dock.attention.table
    header = tags.horizontalHeader()
    at = header.sectionViewportPosition(AUC) + header.sectionSize(AUC) // 2
    point = header.rect().center()
    point.setX(at)
    QTest.mouseClick(header.viewport(), LEFT, pos=point)
    ascending = [float(text) for text in texts(tags, AUC)]
    QTest.mouseClick(header.viewport(), LEFT, pos=point)
    descending = [float(text) for text in texts(tags, AUC)]
    assert ascending == sorted(ascending)
    assert descending == sorted(descending, reverse=True)


def test_boxes_colours_and_the_bound(viewer, dock, annotated, wait, monkeypatch):
    session = dock.session
    session.section.open(annotated)
    wait(lambda: session.attention.state.rows and not session.busy)
    legend = dock.legend
    before = drawn(viewer)
    click_cell(legend.table, 0, SHOWN)
    assert not session.legend.state.rows[0].shown
    assert changed(before, drawn(viewer)) > 0.005
    click(legend.all_button)

    monkeypatch.setattr(QColorDialog, "getColor", lambda color, *_: type(color)("#ffffff"))
    point = cell_center(legend.table, 0, COLOR)
    QTest.mouseClick(legend.table.viewport(), LEFT, pos=point)
    QTest.mouseDClick(legend.table.viewport(), LEFT, pos=point)
    name = session.legend.state.rows[0].name
    labels = session.state.result.annotation.labels
    assert labels.colors[labels.names.index(name)] == "#ffffff"
    assert changed(before, drawn(viewer)) > 0.005

    slider = legend.confidence.slider
    slider.setFocus()
    middle = round(float(np.median(session.state.result.annotation.confidence)), 2)
    for _ in range(round(100 * middle)):
        QTest.keyClick(slider, Qt.Key.Key_Right)
    assert session.legend.state.min_confidence == middle
    unassigned = int((session.state.result.annotation.confidence < middle).sum())
    assert session.legend.state.rows[-1].count == unassigned
    wait(lambda: (session.state.result.annotation.codes < 0).sum() == unassigned)
    keep(viewer, "7-bound")


def test_saving_over_an_annotation_asks_first(viewer, dock, annotated, wait, monkeypatch, tmp_path):
    session = dock.session
    session.section.open(annotated)
    wait(lambda: session.state.result is not None and not session.busy)
    asked = []
    no = QMessageBox.StandardButton.No
    monkeypatch.setattr(QMessageBox, "question", lambda *words: asked.append(words) or no)
    dock.annotate.save_menu.actions()[0].trigger()
    assert len(asked) == 1
    assert not session.busy
    session.annotate.save(tmp_path / "copy.zarr")
    wait(lambda: session.annotate.state.saved is not None)
    assert "cellmemory" in api.read_table(tmp_path / "copy.zarr").obs


def test_a_wrong_file_is_explained(viewer, dock, wait, tmp_path):
    wrong = tmp_path / "wrong.h5ad"
    wrong.write_text("this is no HDF5 file")
    dock.session.section.open(wrong)
    wait(lambda: dock.section.failure.isVisible())
    assert "wrong.h5ad" in dock.section.failure.text.text()
    assert not dock.section.failure.more.isVisible()
    keep(viewer, "8-wrong-file")


def test_training_can_be_watched_and_stopped(viewer, dock, sample_data, wait):
    session = dock.session
    torch.manual_seed(0)
    click(dock.annotate.train_toggle)
    form = dock.annotate.training
    click(form.sample_button)
    wait(lambda: form.train_button.isEnabled())
    assert form.column.currentData() == "cell_type"
    click(form.train_button)
    wait(lambda: dock.bar.button.isVisible())
    assert dock.bar.button.text() == "Stop"
    wait(lambda: session.runner.jobs and session.runner.jobs[0].latest is not None)
    keep(viewer, "9-training")
    began = time.monotonic()
    click(form.stop_button)
    wait(lambda: not session.training.state.running)
    assert time.monotonic() - began < 2.0
    assert session.training.state.notice


def test_the_curve_runs_on_over_the_networks(viewer, dock, bundle, wait):
    session, form = dock.session, dock.annotate.training
    click(dock.annotate.train_toggle)
    records = tuple(api.EpochRecord(**record) for record in bundle.training["history"])
    assert [record.fold for record in records] == [1] * 6 + [2] * 6 + [3] * 6
    form.show_state(replace(session.training.state, networks=3, history=records[:-1]))
    epochs, scores = form.curve.lines["macro_f1"].getData()
    np.testing.assert_array_equal(epochs, np.arange(1, 18))
    np.testing.assert_allclose(scores, [record.macro_f1 for record in records[:-1]])
    assert [mark.value() for mark, _ in form.curve.marks] == [6.5, 12.5]
    assert "network 3 of 3, epoch 5" in form.summary.text()
    session.annotate.choose(bundle.path)
    wait(lambda: session.annotate.state.bundle is not None and not session.busy)
    assert "logistic regression: " in dock.annotate.about.text()
    keep(viewer, "10-learning-curve")
    form.show_state(replace(session.training.state, history=records[:2]))
    assert form.curve.marks == []
    items = [item for plot in (form.curve.loss, form.curve.score) for item in plot.items]
    assert len(items) == len(form.curve.lines)


def test_cancel_answers_within_a_second(viewer, dock, slow_bundle, sample_data, wait):
    session = dock.session
    session.section.open(sample_data / "section.zarr")
    session.annotate.choose(slow_bundle.path)
    wait(lambda: dock.annotate.run_button.isEnabled() and not session.busy)
    click(dock.annotate.run_button)
    wait(lambda: any(row.count for row in session.legend.state.rows))
    assert "cells/s" in dock.bar.title.text()
    keep(viewer, "10-annotating")
    began = time.monotonic()
    click(dock.bar.button)
    wait(lambda: not session.annotate.state.running)
    assert time.monotonic() - began < 1.0
    assert session.state.result is None
    assert 0 < sum(row.count for row in session.legend.state.rows) < 3000


def test_closing_the_window_ends_its_jobs(
    viewer, dock, slow_bundle, sample_data, wait, job_threads
):
    session = dock.session
    session.section.open(sample_data / "section.zarr")
    session.annotate.choose(slow_bundle.path)
    wait(lambda: dock.annotate.run_button.isEnabled() and not session.busy)
    click(dock.annotate.run_button)
    wait(lambda: session.runner.jobs and session.runner.jobs[0].latest is not None)
    assert job_threads()
    viewer.close()
    wait(lambda: not job_threads())
    assert session_of(viewer) is not session
    session_of(viewer).close()


def test_panels_alone_share_the_viewers_state(viewer, annotated, wait):
    window = viewer.window
    _, section = window.add_plugin_dock_widget("tagscope", "Section")
    _, attention = window.add_plugin_dock_widget("tagscope", "Attention")
    _, annotate = window.add_plugin_dock_widget("tagscope", "Annotate")
    assert section.session is attention.session is annotate.session
    section.session.section.open(annotated)
    wait(lambda: attention.attention.table.model().rowCount() > 0)
    assert annotate.legend.table.model().rowCount() > 3


def test_the_files_menu_opens_the_sample_and_stores(viewer, sample_data, wait):
    viewer.open_sample("tagscope", "simulated-cortex")
    session = session_of(viewer)
    wait(lambda: session.state.opened is not None and not session.busy)
    first = session.state.opened
    viewer.open(str(sample_data / "section.zarr"), plugin="tagscope")
    wait(lambda: session.state.opened is not first and not session.busy)
    assert len(session.state.opened.section) == 3000
