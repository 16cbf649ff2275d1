"""Patches of a CellPatch and its map of genes as a person uses them, in a real window."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QFileDialog

from hands import click, click_cell, click_header, scroll_to, texts, turn_to
from napari_tagscope.views.open import show_dock
from pictures import changed, drawn, keep
from tagscope import api
from tagscope.core.section import Reference


@pytest.fixture(scope="module")
def cellpatch(sample_data, tmp_path_factory):
    """A small CellPatch, trained for a moment on a part of the sample's reference."""
    whole = api.read_reference(sample_data / "reference.h5ad", "cell_type")
    rows = np.random.default_rng(0).permutation(len(whole))[:800]
    part = Reference(whole.cells.take(rows), whole.labels, whole.codes[rows])
    config = api.TrainConfig(folds=1, epochs=3, device="cpu")
    network = api.network_for(config, "cellpatch", patches=12)
    return api.train(
        part, model="cellpatch", out=tmp_path_factory.mktemp("cellpatch") / "bundle",
        config=config, model_config=network,
    )  # fmt: skip


@pytest.fixture(scope="module")
def labelled(sample_data, cellpatch, tmp_path_factory):
    """The sample, annotated by it."""
    out = tmp_path_factory.mktemp("labelled") / "labelled.zarr"
    api.annotate(sample_data / "section.zarr", cellpatch, out=out)
    return out


@pytest.fixture
def dock(viewer, labelled, wait):
    made = show_dock(viewer)
    made.session.section.open(labelled)
    wait(lambda: made.session.state.result is not None and not made.session.busy)
    turn_to(made, "Attention")
    return made


def test_patches_are_read_painted_and_enriched(viewer, dock, wait, tmp_path, monkeypatch):
    session, card = dock.session, dock.patches
    assert card.isVisible()
    assert not dock.slots.isVisible()
    click(card.heading)
    scroll_to(card)
    assert "Read patches" in card.hint.text()
    assert not card.table.isVisible()
    click(card.read_button)
    wait(lambda: session.patches.state.patches and not session.busy)
    scroll_to(card)
    assert len(card.table.rows) == 12
    told = [row.explained for row in session.patches.state.patches]
    assert told == sorted(told, reverse=True)
    before = drawn(viewer)
    click_cell(card.table, 0)
    best = session.patches.state.patches[0]
    assert session.patches.state.chosen == best.number
    assert [layer.name for layer in viewer.layers if layer.visible] == [
        f"patch {best.number} · activity"
    ]
    assert changed(before, drawn(viewer)) > 0.05
    scroll_to(card)
    keep(viewer, "p1-patch")
    click_header(card.table, 0)
    assert texts(card.table, 0) == [str(n) for n in range(12)]
    assert card.whose.text() == f"Patch {best.number} in all cells:"
    session.state.select_label(best.label)
    assert card.whose.text() == f"Patch {best.number} in {best.label}:"
    assert card.table.isColumnHidden(2)
    click_cell(card.program, 1)
    assert session.state.gene == session.patches.state.program[1].gene
    genes = session.state.opened.section.panel.symbols
    path = tmp_path / "tens.gmt"
    path.write_text(
        "\n".join("\t".join([f"SET {i}", "", *genes[i : i + 10]]) for i in range(0, 100, 10))
    )
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    click(card.gene_sets.sets_button)
    wait(lambda: session.patches.state.sets and not session.busy)
    assert card.gene_sets.file.text() == "tens.gmt"
    scroll_to(card.program)
    keep(viewer, "p2-patch-of-a-type")
    viewer.theme = "light"
    keep(viewer, "p2-patch-of-a-type-light")


def test_the_map_chooses_genes(viewer, dock, wait, cellpatch):
    session, card = dock.session, dock.gene_map
    wanted = api.gene_embeddings(session.state.opened, cellpatch)  # compiles; jobs stand back
    click(card.heading)
    scroll_to(card)
    click(card.ask_button)
    wait(lambda: session.gene_map.state.map and not session.busy)
    scroll_to(card)
    genes = session.gene_map.state.map.genes
    gene = genes[5]
    at = card.scatter.places()[5]
    assert card.scatter.gene_at(card.scatter.rect().bottomRight().toPointF()) in ("", *genes)
    click(card.scatter, QPoint(*(round(v) for v in at)))
    chosen = session.state.gene
    away = np.hypot(*(card.scatter.places()[genes.index(chosen)] - at))
    assert away < 2  # another may lie on it
    near = wanted.nearest(chosen)
    assert texts(card.table, 0) == near["gene"].tolist()
    wait(lambda: not session.busy)
    keep(viewer, "p3-gene-map")
    click_cell(card.table, 0)
    assert session.state.gene == near["gene"].iloc[0] != gene
