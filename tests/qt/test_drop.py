"""Folders and files dragged onto the window, through napari's own drop handling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from napari import Viewer
from napari._qt.dialogs.qt_reader_dialog import QtReaderDialog
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QDialogButtonBox

from napari_tagscope.views.session import session_of
from tagscope import api

COPY, LEFT, NO_KEYS = (
    Qt.DropAction.CopyAction,
    Qt.MouseButton.LeftButton,
    Qt.KeyboardModifier.NoModifier,
)


@pytest.fixture(scope="module")
def xenium(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run as a Xenium instrument leaves it; its folder's name says nothing."""
    config = api.SimulateConfig(cells=500, reference_cells=1000)
    return api.simulate(tmp_path_factory.mktemp("run") / "out", config, layout="xenium") / "section"


@pytest.fixture(scope="module")
def h5ad(xenium: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("table") / "section.h5ad"
    return api.export(xenium, "h5ad", out)


def drop(viewer: Viewer, path: Path) -> None:
    """Drag a file or folder from a file manager onto the middle of the window, and let go."""
    window = viewer.window._qt_window
    middle = window.rect().center()
    under = window.childAt(middle)
    at = under.mapFrom(window, middle)
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    entering = QDragEnterEvent(QPoint(at), COPY, mime, LEFT, NO_KEYS)
    QApplication.sendEvent(under, entering)
    assert entering.isAccepted()
    QApplication.sendEvent(under, QDropEvent(QPointF(at), COPY, mime, LEFT, NO_KEYS))


def choose_tagscope() -> None:
    """Answer napari's question which reader to take, if it asks."""
    dialog = QApplication.activeModalWidget()
    if not isinstance(dialog, QtReaderDialog):
        return
    [button] = [b for b in dialog.reader_btn_group.buttons() if b.text() == "TAGscope"]
    button.click()
    dialog.persist_checkbox.setChecked(False)
    dialog.btn_box.button(QDialogButtonBox.StandardButton.Ok).click()


@pytest.mark.parametrize("kind", ["store", "xenium", "h5ad"])
def test_what_is_dropped_on_the_window_opens(
    viewer: Viewer,
    kind: str,
    sample_data: Path,
    request: pytest.FixtureRequest,
    wait: Callable[[Callable[[], object]], None],
) -> None:
    path = sample_data / "section.zarr" if kind == "store" else request.getfixturevalue(kind)
    answer = QTimer()
    answer.timeout.connect(choose_tagscope)
    answer.start(50)
    drop(viewer, path)
    session = session_of(viewer)
    wait(lambda: session.state.opened is not None and not session.busy)
    answer.stop()
    assert session.state.opened.source.path == path
    assert [layer.name for layer in viewer.layers] == ["counts per cell"]
    assert any("TAGscope" in name for name in viewer.window.dock_widgets)
