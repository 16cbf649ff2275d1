"""Closing a window leaves nothing behind: no widget, thread, section or canvas."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path
from typing import Any

from napari import Viewer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_tagscope.views.open import show_dock, show_result
from napari_tagscope.views.session import Session, session_of
from tagscope import api


def work(viewer: Viewer, section: Path, bundle: api.Bundle, wait: Any) -> Session:
    """What a person does in a window, once through."""
    session = show_result(viewer, section)
    wait(lambda: session.state.opened is not None and not session.busy)
    session.layers.set_images(True)
    session.annotate.use(bundle)
    wait(lambda: session.annotate.state.ready and not session.busy)
    session.annotate.run()
    wait(lambda: session.state.result is not None and not session.busy)
    session.state.select_gene("Gad1")
    session.attention.show_quantity("both")
    session.layers.set_transcripts(True)
    session.state.select_cell(5)
    wait(lambda: not session.busy)
    viewer.scene.camera.zoom *= 20
    QApplication.processEvents()
    return session


def watched(viewer: Viewer, session: Session) -> dict[str, weakref.ref[Any]]:
    canvas, opened = session.painter.canvas, session.state.opened
    assert canvas is not None
    assert opened is not None
    parts = {
        "viewer": viewer,
        "window": viewer.window._qt_window,
        "dock": show_dock(viewer),
        "session": session,
        "state": session.state,
        "canvas": canvas,
        "pyramid": canvas.pyramid,
        "section": opened.section,
        "table": opened.table,
        "result": session.state.result,
    }
    return {name: weakref.ref(part) for name, part in parts.items()}


def ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "tagscope" in thread.name]


def test_a_closed_window_leaves_nothing(
    sample_data: Path, bundle: api.Bundle, wait: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("TAGSCOPE_CACHE", str(tmp_path))
    before = set(QApplication.topLevelWidgets())
    viewer = Viewer()
    session = work(viewer, sample_data / "section.zarr", bundle, wait)
    parts = watched(viewer, session)
    viewer.close()
    del viewer, session
    for _ in range(5):
        QTest.qWait(20)
        gc.collect()
    assert [name for name, part in parts.items() if part() is not None] == []
    assert ours() == []
    assert set(QApplication.topLevelWidgets()) - before == set()


def test_a_section_that_is_closed_lets_go(
    viewer: Viewer, sample_data: Path, annotated: Path, wait: Any
) -> None:
    session = show_result(viewer, sample_data / "section.zarr")
    wait(lambda: session.state.opened is not None and not session.busy)
    first = session.state.opened
    assert first is not None
    gone = [weakref.ref(first.section), weakref.ref(session.painter.canvas)]
    layers = len(viewer.layers)
    session.section.close()
    wait(lambda: session.state.opened is None and not session.busy)
    del first
    session.section.open(annotated)
    wait(lambda: session.state.opened is not None and not session.busy)
    QTest.qWait(20)
    gc.collect()
    assert [part() for part in gone] == [None, None]
    assert session_of(viewer) is session
    assert len(viewer.layers) == layers + 1  # its types, beside its counts
