"""Opening things from outside the dock: the file reader, the sample menu, the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import QEventLoop

from napari_tagscope.views.dock import TagscopeDock
from napari_tagscope.views.session import Session, session_of

PLUGIN = "tagscope"
DOCK = "TAGscope"


def show_dock(viewer: Any) -> TagscopeDock:
    """The viewer's TAGscope dock, made if it is not there, in a tab beside others of its side."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, DOCK, tabify=True)
    assert isinstance(dock, TagscopeDock)
    return dock


def open_sample(viewer: Any) -> Session:
    """Open the sample in a viewer, as the panel's button does; returns when it is there.

    The window stays alive meanwhile: events are handled while waiting.
    """
    show_dock(viewer)
    session = session_of(viewer)
    loop = QEventLoop()
    session.runner.ended.connect(loop.quit)
    session.section.open_sample()
    while session.section.state.opening and session.busy:
        loop.exec()
    session.runner.ended.disconnect(loop.quit)
    return session


def show_result(
    viewer: Any, store_path: str | Path, key: str | None = None, gene: str | None = None
) -> Session:
    """Open an annotated store in a viewer, with its types, TAGs and attention maps.

    Returns at once: the session's ``busy`` is False when all is shown. ``key`` is the annotation
    to show, the latest if None; ``gene`` is painted with its attention, and the type that
    attends to it most is listed.
    """
    show_dock(viewer)
    session = session_of(viewer)
    if gene is not None:
        wanted = gene

        def paint(result: Any) -> None:
            if result is not None:
                session.state.result_changed.disconnect(paint)
                session.attention.choose_gene_with_its_type(wanted)

        session.state.result_changed.connect(paint)
    session.section.open(Path(store_path), key=key)
    return session
