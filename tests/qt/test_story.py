"""The whole work in one window, as a person does it: by mouse and keys alone, on two sections.

Pictures of every step go into the folder named by TAGSCOPE_SCREENSHOTS, if it is set.
"""

from __future__ import annotations

import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from napari import Viewer
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QColorDialog, QFileDialog, QLineEdit, QMessageBox

from hands import (
    choose,
    click,
    click_cell,
    click_header,
    click_tissue,
    drop,
    lasso,
    pick,
    scroll_to,
    texts,
    turn_to,
)
from napari_tagscope.views.legend_view import COUNT, NAME, SHOWN
from napari_tagscope.views.tag_table import AUC, GENE
from pictures import changed, drawn, filled
from story import Facts, Story, Wait

pytestmark = pytest.mark.slow

KNOWN = "known type"
NEW_COLOR = "#00ffcc"


@pytest.fixture(params=["sample", "hypothalamus"])
def facts(request: pytest.FixtureRequest) -> Facts:
    made: Facts = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def sample(sample_data: Path, tmp_path: Path) -> Facts:
    """The simulated cortex; its gene sets are true markers, and tens of other genes."""
    truth = json.loads((sample_data / "truth.json").read_text())
    sets = {f"MARKERS OF {name.upper()}": genes for name, genes in truth["markers"].items()}
    path = tmp_path / "true markers.gmt"
    path.write_text("\n".join("\t".join([name, "", *genes]) for name, genes in sets.items()))
    return Facts("sample", 3000, 248, 242, KNOWN, 0.6, path)


@pytest.fixture
def hypothalamus(shared: Path, tmp_path: Path) -> Facts:
    """A section of one animal (MERFISH), and the two of another as its reference."""
    data = shared / "data"
    table = ad.read_h5ad(data / "annotation" / "merfish_hypothalamus_3samples.h5ad")
    table = table[table.obs["count_recovered_ok"].to_numpy()]
    paths = {}
    for animal, name in (("1", "animal 1"), ("7", "animal 7")):
        paths[animal] = tmp_path / f"{name}.h5ad"
        table[(table.obs["animal"] == animal).to_numpy()].copy().write_h5ad(paths[animal])
    return Facts(
        "hypothalamus",
        int((table.obs["animal"] == "1").sum()),
        table.n_vars,
        table.n_vars,
        "cell_type",
        0.7,
        data / "genes" / "go_biological_process_2021.gmt",
        path=paths["1"],
        reference=paths["7"],
        orthologues=data / "genes" / "human_mouse_orthologues.csv",
    )


def test_from_an_empty_window_to_a_saved_section(
    viewer: Viewer,
    wait: Wait,
    facts: Facts,
    sample_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    story = Story(viewer, wait, facts, monkeypatch)
    _open(story)
    if facts.known == KNOWN:
        _tell_the_truth(story, sample_data)
    _train(story)
    _annotate(story)
    _look_through_the_legend(story)
    _doubt(story)
    _compare(story)
    _ask_which_genes(story)
    _look_at_all_types(story)
    _read_the_slots(story)
    _test_faithfulness(story)
    _inspect(story)
    _select(story)
    _save_and_open_again(story, tmp_path)


def _open(story: Story) -> None:
    section, facts = story.dock.section, story.facts
    assert "Open a SpatialData store" in section.hint.text()
    assert "Annotate the section" in story.dock.legend.hint.text()
    assert "Open a section" in story.dock.inspector.hint.text()
    assert story.dock.bar.geometry().bottom() > story.dock.height() - 20  # it fills its height
    story.keep("empty")
    if facts.path is None:
        click(section.sample_button)
    else:
        drop(story.viewer, facts.path)
    story.wait(lambda: story.state.opened)
    card = dict(story.session.section.state.card.rows)
    assert card["Cells"] == f"{facts.cells:,}"
    assert card["Genes"] == f"{facts.genes:,}"
    plain = drawn(story.viewer)
    assert filled(plain) > 0.05
    story.keep("opened")
    choose(section.looks, "Outlines only")
    story.session.painter.canvas.fit(np.arange(30))
    story.keep("outlines")
    choose(section.looks, "Cells filled")
    story.session.painter.canvas.fit()


def _tell_the_truth(story: Story, sample_data: Path) -> None:
    """The sample's true types, which lie beside it, as a column of the section."""
    truth = json.loads((sample_data / "truth.json").read_text())["types"]
    obs = story.state.opened.table.obs
    obs[KNOWN] = pd.Categorical(obs.index.map(truth))


def _train(story: Story) -> None:
    """A training of three epochs, which is stopped in the last one of its first network."""
    turn_to(story.dock, "Annotate")
    assert not story.dock.annotate.run_button.isEnabled()
    assert "Choose a bundle, or train one" in story.dock.annotate.hint.text()
    form = story.dock.annotate.training
    click(story.dock.annotate.train_toggle)
    story.keep("train")
    if story.facts.reference is None:
        click(form.sample_button)
    else:
        story.answer("getOpenFileName", story.facts.reference)
        click(form.browse_button)
    story.wait(lambda: form.train_button.isEnabled())
    choose(form.column, "cell_type")
    story.wait(lambda: form.train_button.isEnabled())
    assert f"{story.facts.shared:,} of" in form.counts.text()
    form.epochs.setFocus()
    form.epochs.selectAll()
    QTest.keyClicks(form.epochs, "3")
    QTest.keyClick(form.epochs, Qt.Key.Key_Return)
    story.keep("reference")
    click(form.train_button)
    story.until(lambda: len(story.session.training.state.history) == 2)
    assert "network 1 of 3, epoch 2" in form.summary.text()
    assert len(form.curve.lines["macro_f1"].getData()[0]) == 2
    story.keep("training")
    click(form.stop_button)
    story.wait(lambda: story.session.preflight.state.verdict)
    assert "the best so far is kept as" in form.summary.text()
    assert story.dock.annotate.bundles.box.currentText().endswith("-cell_type")
    verdict = story.dock.preflight.verdict.text()
    assert f"{story.facts.shared:,} of {story.facts.shared:,} genes shared" in verdict
    story.keep("trained")
    click(story.dock.annotate.train_toggle)
    story.keep("ready")


def _annotate(story: Story) -> None:
    annotate, legend = story.dock.annotate, story.session.legend
    plain = drawn(story.viewer)
    click(annotate.run_button)
    story.until(lambda: any(row.count for row in legend.state.rows))
    click(story.dock.bar.button)
    story.wait(lambda: not story.session.annotate.state.running)
    assert story.state.result is None
    assert 0 < sum(row.count for row in legend.state.rows) < story.facts.cells
    story.keep("cancelled")
    click(annotate.run_button)
    story.until(lambda: any(row.count for row in legend.state.rows))
    assert "cells/s" in story.dock.bar.title.text()
    story.keep("annotating")
    story.wait(lambda: story.state.result)
    assert sum(row.count for row in legend.state.rows) == story.facts.cells
    assert changed(plain, drawn(story.viewer)) > 0.03
    story.keep("annotated")


def _look_through_the_legend(story: Story) -> None:
    legend = story.dock.legend
    table = legend.table
    whole = drawn(story.viewer)
    largest = texts(table, NAME)[0]
    QTest.keyClicks(legend.search, largest)
    assert largest in texts(table, NAME)
    click_cell(table, texts(table, NAME).index(largest), NAME)
    assert story.state.label == largest
    assert changed(whole, drawn(story.viewer)) > 0.01
    story.keep("isolated")
    click_cell(table, texts(table, NAME).index(largest), NAME)
    legend.search.clear()
    click_cell(table, 0, SHOWN)
    assert changed(whole, drawn(story.viewer)) > 0.01
    click(legend.all_button)
    assert changed(whole, drawn(story.viewer)) < 0.001
    story.patch.setattr(QColorDialog, "getColor", lambda color, *_: type(color)(NEW_COLOR))
    QTest.keyClick(table, Qt.Key.Key_C)
    assert story.session.legend.state.rows[0].color == NEW_COLOR
    _rename(story, largest, f"{largest}, mine")
    choose(legend.order, "By name")
    names = texts(table, NAME)
    assert names == sorted(names, key=str.casefold)
    story.keep("renamed-and-recoloured")
    choose(legend.order, "By cells")
    _rename(story, f"{largest}, mine", largest)


def _rename(story: Story, name: str, new: str) -> None:
    table = story.dock.legend.table
    table.selectRow(texts(table, NAME).index(name))
    QTest.keyClick(table, Qt.Key.Key_F2)
    editor = table.findChild(QLineEdit)
    editor.selectAll()
    QTest.keyClicks(editor, new)
    QTest.keyClick(editor, Qt.Key.Key_Return)
    story.wait(lambda: new in texts(table, NAME))


def _doubt(story: Story) -> None:
    """Cells that the model is less sure of than 0.5 become Unassigned, and come back."""
    slider = story.dock.legend.confidence.slider
    slider.setFocus()
    for _ in range(5):
        QTest.keyClick(slider, Qt.Key.Key_PageUp)
    unsure = int((story.state.result.annotation.confidence < 0.5).sum())
    assert 0 < unsure < story.facts.cells
    last = story.session.legend.state.rows[-1]
    assert (last.name, last.count) == ("Unassigned", unsure)
    story.wait(lambda: (story.state.result.annotation.codes < 0).sum() == unsure)
    story.keep("unassigned")
    QTest.keyClick(slider, Qt.Key.Key_Home)
    story.wait(lambda: (story.state.result.annotation.codes < 0).sum() == 0)


def _compare(story: Story) -> None:
    facts, view = story.facts, story.dock.annotate.comparison
    click(story.dock.annotate.compare_toggle)
    choose(view.columns, facts.known)
    story.wait(lambda: story.session.comparison.state.confusion)
    known = story.state.opened.table.obs[facts.known].astype(str).to_numpy()
    given = story.state.result.annotation.names()
    assert float((known == given).mean()) > facts.agreement
    scroll_to(view)
    story.keep("compared")
    counts = np.array(view.matrix.confusion.counts)
    for row, name in enumerate(view.matrix.confusion.truth):
        if name in view.matrix.confusion.prediction:
            counts[row, view.matrix.confusion.prediction.index(name)] = 0
    row, column = np.unravel_index(counts.argmax(), counts.shape)
    click(view.matrix, view.matrix.cell_rect(int(row), int(column)).center().toPoint())
    assert len(story.state.rows) == counts.max() > 0
    assert (known[story.state.rows] == view.matrix.confusion.truth[row]).all()
    story.wait(lambda: story.dock.inspector.selection.isVisible())
    story.keep("confusion-picked")
    click(story.dock.selection.clear_button)


def _ask_which_genes(story: Story) -> None:
    turn_to(story.dock, "Attention")
    panel, tags = story.dock.attention, story.dock.attention.table
    largest = texts(story.dock.legend.table, NAME)[0]
    choose(panel.types, f"{largest} (")
    story.wait(lambda: story.session.attention.state.label == largest)
    click_header(tags, AUC)
    click_header(tags, AUC)
    best = [float(text) for text in texts(tags, AUC)]
    assert best == sorted(best, reverse=True)
    gene = texts(tags, GENE)[0]
    QTest.keyClicks(panel.filter, gene.lower())
    assert gene in texts(tags, GENE)
    panel.filter.clear()
    click_header(tags, GENE)
    click_cell(tags, 0)
    gene = texts(tags, GENE)[0]
    assert story.state.gene == gene
    assert f"attention · {gene}" in story.visible()
    story.keep("attention")
    click(panel.both_button)
    assert story.visible() == [f"expression · {gene}", f"attention · {gene}"]
    before = drawn(story.viewer)
    panel.contrast.slider.setFocus()
    for _ in range(12):
        QTest.keyClick(panel.contrast.slider, Qt.Key.Key_Left)
    assert changed(before, drawn(story.viewer)) > 0.002
    story.keep("both")
    click(panel.attention_button)
    click(panel.search)
    QTest.qWait(20)  # what is there is selected
    QTest.keyClicks(panel.search, "gad-1")
    QTest.keyClick(panel.search, Qt.Key.Key_Return)
    story.wait(lambda: panel.finder.near[0].isVisible())
    assert "gad-1 is not measured" in panel.finder.question.text()
    story.keep("did-you-mean")
    click(panel.finder.near[0])
    assert story.state.gene == "Gad1"
    assert "attention · Gad1" in story.visible()


def _look_at_all_types(story: Story) -> None:
    panel = story.dock.attention
    click(panel.heatmap_card.heading)
    scroll_to(panel.heatmap_card)
    shown = panel.heatmap.heatmap
    click(panel.heatmap, panel.heatmap.field(3, 1).center())
    assert (story.state.label, story.state.gene) == (shown.types[1], shown.genes[3])
    story.keep("heatmap")
    click(panel.heatmap_card.heading)


def _read_the_slots(story: Story) -> None:
    card, slots = story.dock.slots, story.session.slots
    click(card.heading)
    scroll_to(card)
    if card.score_button.isVisible():
        story.keep("slots-unread")
        click(card.score_button)
    story.wait(lambda: slots.state.slots)
    before = drawn(story.viewer)
    click_cell(card.table, 0)
    assert slots.state.chosen is not None
    assert changed(before, drawn(story.viewer)) > 0.01
    story.answer("getOpenFileName", story.facts.gene_sets)
    click(card.gene_sets.sets_button)
    story.wait(lambda: slots.state.note)
    if story.facts.orthologues is not None:
        story.answer("getOpenFileName", story.facts.orthologues)
        click(card.gene_sets.orthologues_button)
        story.wait(lambda: slots.state.orthologues and slots.state.sets)
    assert card.gene_sets.sets.rows
    scroll_to(card)
    story.keep("slots")
    click(card.heading)


def _test_faithfulness(story: Story) -> None:
    card = story.dock.faithfulness
    click(card.heading)
    scroll_to(card)
    click(card.run_button)
    story.wait(lambda: story.session.faithfulness.state.verdict)
    assert "changes the label of" in card.hint.text()
    scroll_to(card)
    story.keep("faithfulness")
    click(card.heading)


def _inspect(story: Story) -> None:
    panel, legend = story.dock.inspector, story.dock.legend
    turn_to(story.dock, "Section")
    annotation, section = story.state.result.annotation, story.state.opened.section
    click(legend.front_button)
    if story.state.label is not None:  # the heatmap isolated a type
        click_cell(legend.table, texts(legend.table, NAME).index(story.state.label), NAME)
    row = int(np.argmax(annotation.confidence))
    click_tissue(story.viewer, section.xy[row])
    assert panel.title.text() == f"Cell {section.ids[row]}"
    assert panel.cell.label.name.text() == annotation.names()[row]
    story.keep("cell")
    for _ in range(3):  # as if held down
        story.press(Qt.Key.Key_Right, Qt.KeyboardModifier.AltModifier)
    after = story.state.cell
    assert after != row
    assert annotation.codes[after] == annotation.codes[row]
    for _ in range(3):
        story.press(Qt.Key.Key_Left, Qt.KeyboardModifier.AltModifier)
    assert story.state.cell == row
    click_cell(panel.cell.genes, 0)
    gene = panel.cell.genes.rows[0].values[0]
    assert story.state.gene == gene
    assert any(gene in name for name in story.visible())
    click(panel.like_button)
    story.wait(lambda: len(story.state.rows) == 100)
    assert panel.selection.title.text().startswith("100 cells selected")
    story.keep("cells-like-this")
    click(story.dock.selection.clear_button)
    click(legend.front_button)


def _select(story: Story) -> None:
    xy = story.state.opened.section.xy
    low, high = np.quantile(xy, [0.35, 0.65], axis=0)
    ring = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
    inside = ((xy > low) & (xy < high)).all(axis=1).sum()
    click(story.dock.selection.buttons["lasso"])
    lasso(story.viewer, ring)
    story.wait(lambda: len(story.state.rows))
    assert len(story.state.rows) == pytest.approx(inside, rel=0.05)
    story.wait(lambda: story.dock.inspector.selection.isVisible())
    story.keep("lasso")
    click(story.dock.selection.clear_button)
    click(story.dock.selection.buttons["click"])


def _save_and_open_again(story: Story, folder: Path) -> None:
    """A copy of the sample; the other section with its result in place."""
    facts, annotate, section = story.facts, story.dock.annotate, story.dock.section
    names, counts = (texts(story.dock.legend.table, column) for column in (NAME, COUNT))
    turn_to(story.dock, "Annotate")
    path = facts.path or folder / "annotated.zarr"
    story.answer("getSaveFileName", path)
    yes = QMessageBox.StandardButton.Yes
    story.patch.setattr(QMessageBox, "question", lambda *_: yes)
    pick(annotate.save_button, "As a copy…" if facts.path is None else "Into this store")
    story.wait(lambda: story.session.annotate.state.saved)
    assert annotate.hint.text() == f"Saved to {path}"
    scroll_to(annotate.run_button)
    story.keep("saved")
    story.session.painter.canvas.fit()
    before = drawn(story.viewer)
    turn_to(story.dock, "Section")
    click(section.sections.close_button)
    story.wait(lambda: story.state.opened is None)
    if facts.path is None:
        story.patch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(path))
        click(section.store_button)
    else:
        story.answer("getOpenFileName", path)
        click(section.file_button)
    story.wait(lambda: story.state.result and story.session.attention.state.rows)
    assert (names, counts) == tuple(
        texts(story.dock.legend.table, column) for column in (NAME, COUNT)
    )
    story.session.painter.canvas.fit()
    assert changed(before, drawn(story.viewer)) < 0.01
    story.keep("opened-again")
    story.viewer.theme = "light"
    story.keep("light")
    story.viewer.theme = "dark"
