"""Opening, mending and changing between sections with clicks in a real window."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QComboBox, QDoubleSpinBox, QFileDialog, QPushButton

from hands import click, turn_to
from napari_tagscope.views.open import show_dock
from pictures import keep
from tagscope import api


@pytest.fixture
def dock(viewer):
    return show_dock(viewer)


@pytest.fixture
def broken(sample_data, tmp_path):
    """The sample as a file with names in an unknown column, no unit, and logarithms in X."""
    opened = api.open_section(sample_data / "section.zarr")
    table = ad.AnnData(
        opened.table.X.copy(), obs=opened.table.obs[[]].copy(), var=opened.table.var[[]].copy()
    )
    table.obsm["spatial"] = opened.section.xy
    table.obs["section"] = np.where(np.arange(len(table)) % 2, "left", "right")
    table.var["probe"] = table.var_names
    table.var_names = [f"probe{i}x" for i in range(table.n_vars)]
    table.layers["counts"] = table.X.copy()
    table.layers["molecules"] = table.X.copy()
    table.X = table.X.log1p()
    path = tmp_path / "broken.h5ad"
    table.write_h5ad(path)
    return path


def controls(box, kind):
    QTest.qWait(50)  # what has just been added is shown
    return [widget for widget in box.findChildren(kind) if widget.isVisible()]


def use(box, name):
    """The button beside the control of that name."""
    (button,) = [b for b in controls(box, QPushButton) if b.accessibleName() == f"Use {name}"]
    return button


def button_of(box, text):
    return [button for button in controls(box, QPushButton) if button.text() == text]


def test_a_broken_section_is_mended_click_by_click(viewer, dock, broken, bundle, wait):
    session = dock.session
    assert "Open a section" in dock.preflight.hint.text()
    session.annotate.choose(bundle.path)
    session.section.open(broken)
    wait(lambda: session.section.state.findings and not session.busy)
    keep(viewer, "s1-cannot-be-opened")
    (layers,) = controls(dock.section.findings, QComboBox)
    assert [layers.itemData(i) for i in range(layers.count())] == ["counts", "molecules"]
    layers.setCurrentIndex(1)
    click(use(dock.section.findings, "Counts in"))
    wait(lambda: session.state.opened is not None and not session.busy)
    assert session.state.choices == {"layer": "molecules"}

    turn_to(dock, "Annotate")
    assert dock.preflight.verdict.text().startswith("Not ready")
    keep(viewer, "s2-preflight-errors")
    (spin,) = controls(dock.preflight.findings, QDoubleSpinBox)
    spin.setValue(2.0)
    click(use(dock.preflight.findings, "µm per coordinate unit"))
    wait(lambda: session.state.choices.get("um_per_unit") == 2.0 and not session.busy)
    assert session.state.opened.section.unit == "µm"
    wait(lambda: button_of(dock.preflight.findings, "Gene names in: probe"))
    (fix,) = button_of(dock.preflight.findings, "Gene names in: probe")
    fix.setFocus()
    QTest.keyClick(fix, Qt.Key.Key_Space)
    wait(lambda: dock.session.preflight.state.ok and not session.busy)
    assert session.state.choices["layer"] == "molecules"
    assert "242 of 242 genes shared · 3,000 cells" in dock.preflight.verdict.text()
    keep(viewer, "s3-preflight-can-be-annotated")

    turn_to(dock, "Section")
    click_box(dock.section.choices.boxes["sections"], "section")
    wait(lambda: session.state.opened.section.pieces is not None and not session.busy)
    assert dock.preflight.verdict.text().startswith("✓ Ready")
    keep(viewer, "s4-side-by-side")
    viewer.theme = "light"
    keep(viewer, "s5-light")


def click_box(box, value):
    box.setCurrentIndex(box.findData(value))
    box.activated.emit(box.currentIndex())


def test_orthologues_are_chosen_from_a_file(
    viewer, dock, sample_data, bundle, wait, tmp_path, monkeypatch
):
    session = dock.session
    opened = api.open_section(sample_data / "section.zarr")
    table = ad.AnnData(opened.table.X.copy(), var=opened.table.var[[]].copy())
    own = list(table.var_names)
    table.var_names = [f"H{name.upper()}" for name in own]
    table.obsm["spatial"] = opened.section.xy
    table.write_h5ad(tmp_path / "human.h5ad")
    pairs = tmp_path / "pairs.csv"
    lines = [f"{human},{mouse}" for human, mouse in zip(table.var_names, own, strict=True)]
    pairs.write_text("\n".join(["human_symbol,mouse_symbol", *lines]))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(pairs), ""))
    session.annotate.choose(bundle.path)
    session.section.open(tmp_path / "human.h5ad")
    turn_to(dock, "Annotate")
    wait(lambda: dock.preflight.verdict.isVisible() and not session.busy)
    assert dock.preflight.verdict.text().startswith("Not ready")
    keep(viewer, "s6-other-species")
    wait(lambda: button_of(dock.preflight.findings, "Choose orthologues…"))
    click(button_of(dock.preflight.findings, "Choose orthologues…")[0])
    wait(lambda: session.preflight.state.ok and not session.busy)
    assert "242 of 242 genes shared" in dock.preflight.verdict.text()
    click(dock.annotate.run_button)
    wait(lambda: session.state.result is not None and not session.busy)
    scores = session.state.result.gene_scores
    assert set(scores.panel.symbols) <= set(table.var_names)
    assert session.attention.state.rows[0].gene in set(table.var_names)
    saved = tmp_path / "saved.h5ad"
    api.write_result(session.state.opened, session.state.result, saved)
    layer = ad.read_h5ad(saved).layers["cellmemory_attention"]
    np.testing.assert_allclose(layer.sum(), scores.scores.sum(), rtol=1e-4)


def test_sections_are_changed_and_closed(viewer, dock, annotated, sample_data, wait, broken):
    session = dock.session
    session.section.open(annotated)
    wait(lambda: session.state.result is not None and not session.busy)
    first = session.state.opened
    session.attention.choose_gene("Gad1")
    session.state.select_cell(7)
    session.painter.canvas.fit(np.arange(40))
    camera = viewer.scene.camera
    at = (tuple(camera.center), camera.zoom)
    layers = [(layer.name, layer.visible) for layer in viewer.layers]
    pyramid = session.painter.canvas.pyramid
    keep(viewer, "t1-first")

    session.section.open(broken, layer="counts")
    wait(lambda: session.state.opened is not first and not session.busy)
    row = dock.section.sections
    assert [row.box.itemText(i) for i in range(row.box.count())] == ["annotated", "broken"]
    assert session.state.result is None
    keep(viewer, "t2-second")

    row.box.setFocus()
    QTest.keyClick(row.box, Qt.Key.Key_Up)
    wait(lambda: session.state.opened is first and not session.busy)
    assert session.painter.canvas.pyramid is pyramid
    assert session.state.result is not None
    assert (session.state.gene, session.state.cell) == ("Gad1", 7)
    assert [(layer.name, layer.visible) for layer in viewer.layers] == layers
    np.testing.assert_allclose(camera.center, at[0])
    assert camera.zoom == pytest.approx(at[1])
    assert session.attention.state.rows
    keep(viewer, "t3-first-again")

    click(row.close_button)
    wait(lambda: session.state.opened is not first and not session.busy)
    assert session.painter._kept == {}
    click(row.close_button)
    assert session.state.opened is None
    assert "Open a SpatialData store" in dock.section.hint.text()
    assert list(viewer.layers) == []
    texts = [action.text() for action in dock.section.recent_menu.actions()]
    assert texts[0].startswith("broken.h5ad")
    dock.section.recent_menu.actions()[1].trigger()
    wait(lambda: session.state.result is not None and not session.busy)
    assert session.state.opened.source.path == annotated


def test_every_control_can_be_told_and_reached(viewer, dock, broken, bundle, wait):
    session = dock.session
    session.annotate.choose(bundle.path)
    session.section.open(broken, layer="counts")
    wait(lambda: session.preflight.state.verdict and not session.busy)
    for step, panel in (("Section", dock.section), ("Annotate", dock.preflight)):
        turn_to(dock, step)
        for kind in (QAbstractButton, QComboBox, QDoubleSpinBox):
            for control in controls(panel, kind):
                assert control.toolTip(), control
                assert control.focusPolicy() & Qt.FocusPolicy.TabFocus, control
                named = control.accessibleName() or getattr(control, "text", str)()
                assert named, control
