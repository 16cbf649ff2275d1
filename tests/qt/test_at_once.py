"""Two windows in one process, and two sections in one window: neither knows of the other's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari import Viewer
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from hands import choose, click, click_cell, click_tissue, close_beside_another, texts, turn_to
from napari_tagscope.views.legend_view import COUNT, NAME
from napari_tagscope.views.open import show_dock
from napari_tagscope.views.tag_table import GENE
from pictures import changed, drawn, keep
from tagscope import api

Wait = Callable[[Callable[[], object]], None]


@pytest.fixture
def another(viewer: Viewer) -> Iterator[Viewer]:
    made = Viewer()
    made.window.resize(1640, 980)
    yield made
    if made in Viewer._instances:
        close_beside_another(made)


def open_in(viewer: Viewer, path: Path, wait: Wait) -> Any:
    """A dock with a section open in it."""
    dock = show_dock(viewer)
    dock.session.section.open(path)
    wait(lambda: dock.session.state.opened is not None and not dock.session.busy)
    return dock


def ready(dock: Any, bundle: api.Bundle, wait: Wait) -> None:
    """Turn to Annotate with a bundle chosen and checked."""
    turn_to(dock, "Annotate")
    dock.session.annotate.choose(bundle.path)
    wait(lambda: dock.annotate.run_button.isEnabled() and not dock.session.busy)


def test_one_window_annotates_while_another_is_used(
    viewer: Viewer,
    another: Viewer,
    sample_data: Path,
    annotated: Path,
    bundle: api.Bundle,
    wait: Wait,
) -> None:
    ours = open_in(viewer, sample_data / "section.zarr", wait)
    theirs = open_in(another, annotated, wait)
    wait(lambda: theirs.session.attention.state.rows and not theirs.session.busy)
    assert ours.session is not theirs.session
    ready(ours, bundle, wait)

    click(ours.annotate.run_button)
    assert ours.session.busy
    click_cell(theirs.legend.table, 0, NAME)
    largest = texts(theirs.legend.table, NAME)[0]
    turn_to(theirs, "Attention")
    click_cell(theirs.attention.table, 0, GENE)
    section = theirs.session.state.opened.section
    click_tissue(another, section.xy[100])
    theirs.session.state.select_rows(np.arange(50))
    assert theirs.session.state.label == largest
    assert theirs.session.state.cell == 100
    chosen = ours.session.state
    assert (chosen.label, chosen.gene, chosen.cell, len(chosen.rows)) == (None, None, None, 0)
    wait(lambda: chosen.result is not None and not ours.session.busy)
    assert sum(row.count for row in ours.session.legend.state.rows) == 3000
    assert theirs.session.state.gene not in {layer.name for layer in viewer.layers}
    keep(viewer, "at-once-1-annotated")
    keep(another, "at-once-2-used-meanwhile")

    close_beside_another(another)
    click_tissue(viewer, chosen.opened.section.xy[7])
    assert chosen.cell == 7
    assert ours.inspector.title.text().endswith(str(chosen.opened.section.ids[7]))


def test_two_sections_keep_their_own_results(
    viewer: Viewer,
    sample_data: Path,
    bundle: api.Bundle,
    wait: Wait,
    tmp_path: Path,
) -> None:
    """The left half of the sample as a section of its own, each annotated, each with a look."""
    whole = api.open_section(sample_data / "section.zarr")
    left = whole.section.xy[:, 0] < np.median(whole.section.xy[:, 0])
    half = whole.table[left].copy()
    half.uns, half.obsm["spatial"] = {}, whole.section.xy[left]
    half.write_h5ad(tmp_path / "left half.h5ad")

    dock = open_in(viewer, sample_data / "section.zarr", wait)
    session = dock.session
    shown = {}
    for path in (None, tmp_path / "left half.h5ad"):
        if path is not None:
            before = session.state.opened
            session.section.open(path)
            wait(lambda before=before: session.state.opened is not before and not session.busy)
            assert session.state.result is None
        ready(dock, bundle, wait)
        click(dock.annotate.run_button)
        wait(lambda: session.state.result is not None and not session.busy)
        name = dock.section.sections.box.currentText()
        cells = sum(int(text.replace(",", "")) for text in texts(dock.legend.table, COUNT))
        assert cells == len(session.state.opened.section)
        if path is None:
            click_cell(dock.legend.table, 0, NAME)  # alone, in this section
        shown[name] = (session.state.label, texts(dock.legend.table, COUNT), drawn(viewer))
        keep(viewer, f"at-once-3-{'left-half' if path else 'whole'}")

    turn_to(dock, "Section")
    whole_name, half_name = shown
    for name in (whole_name, half_name, whole_name):
        choose(dock.section.sections.box, name)
        wait(lambda: session.state.result is not None and not session.busy)
        label, counts, picture = shown[name]
        assert session.state.label == label
        assert texts(dock.legend.table, COUNT) == counts
        assert changed(picture, drawn(viewer)) < 0.01
    dock.section.sections.box.setFocus()
    QTest.keyClick(dock.section.sections.box, Qt.Key.Key_Down)
    wait(lambda: dock.section.sections.box.currentText() == half_name and not session.busy)
    assert session.state.label is None
