"""The row of the Section panel that shows images and transcripts, as a person uses it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari import Viewer
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_tagscope.views.layers_row import LayersRow
from napari_tagscope.views.open import show_dock
from napari_tagscope.views.session import session_of


def test_images_and_transcripts(
    viewer: Viewer, sample_data: Path, wait: Callable[[Callable[[], object]], None]
) -> None:
    row = show_dock(viewer).findChild(LayersRow)
    session = session_of(viewer)
    assert not row.images.isVisible()
    session.section.open(sample_data / "section.zarr")
    wait(lambda: not session.busy)
    assert row.images.isVisible()
    QTest.mouseClick(row.images, Qt.MouseButton.LeftButton)
    wait(lambda: not session.busy)
    names = [layer.name for layer in viewer.layers]
    assert names[:2] == ["morphology · DAPI", "morphology · Membrane"]
    QTest.mouseClick(row.transcripts, Qt.MouseButton.LeftButton)
    assert "Select a gene" in row.transcripts.toolTip()
    session.state.select_gene("Gad1")
    wait(lambda: not session.busy)
    assert viewer.layers[-1].name == "transcripts · Gad1"
    assert "Gad1" in row.transcripts.toolTip()
    QTest.mouseClick(row.keep, Qt.MouseButton.LeftButton)
    session.state.select_gene("Plp1")
    wait(lambda: not session.busy)
    assert viewer.layers[-1].name == "transcripts · 2 genes"
    assert not row.keep.isChecked()
    QTest.mouseClick(row.images, Qt.MouseButton.LeftButton)
    QTest.mouseClick(row.transcripts, Qt.MouseButton.LeftButton)
    assert [layer.name for layer in viewer.layers] == ["counts per cell"]
