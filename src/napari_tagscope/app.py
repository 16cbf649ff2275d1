"""``tagscope view``: napari with the TAGscope dock, for looking or for taking pictures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import napari
from qtpy.QtWidgets import QApplication

from napari_tagscope.views.open import show_dock, show_result
from tagscope.errors import OutputError

if TYPE_CHECKING:
    from napari_tagscope.views.session import Session

SIZE = (1680, 1000)
PATIENCE = 120.0
_FRAME = 0.03


def open_window(
    section: Path | None = None, *, gene: str | None = None, screenshots: Path | None = None
) -> None:
    """Open napari with the dock, and ``section`` in it; returns when the window is closed.

    ``gene`` is painted with its attention. With ``screenshots`` the window is photographed into
    that folder (``window_types.png``, and ``window_attention.png`` where a gene is painted) and
    closed.

    Raises
    ------
    OutputError
        If nothing was shown to photograph within two minutes.
    """
    viewer = napari.Viewer(title="TAGscope")
    viewer.window.resize(*SIZE)
    session = None
    if section is None:
        show_dock(viewer)
    else:
        session = show_result(viewer, section, gene=None if screenshots else gene)
    if screenshots is None:
        napari.run()
        return
    try:
        _photograph(viewer, session, gene, screenshots)
    finally:
        viewer.close()


def _photograph(
    viewer: napari.Viewer, session: Session | None, gene: str | None, folder: Path
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    settle(session)
    _save(viewer, folder / "window_types.png")
    if session is not None and gene is not None:
        session.attention.choose_gene_with_its_type(gene)
        settle(session)
        _save(viewer, folder / "window_attention.png")


def settle(session: Session | None, seconds: float = 1.0) -> None:
    """Let jobs end and the canvas draw: until nothing has run for ``seconds``.

    Raises
    ------
    OutputError
        If jobs still run after two minutes.
    """
    started = quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < seconds:
        QApplication.processEvents()
        time.sleep(_FRAME)
        now = time.monotonic()
        if session is not None and session.busy:
            quiet_since = now
        if now - started > PATIENCE:
            raise OutputError(
                f"The window was still busy after {PATIENCE:.0f} s.",
                "A picture is taken when all jobs have ended.",
                "Open it without --screenshot and see what it is doing.",
            )
    if session is not None:
        session.painter.settle()
        QApplication.processEvents()


def _save(viewer: napari.Viewer, path: Path) -> None:
    viewer.screenshot(str(path), canvas_only=False, flash=False)
    print(f"wrote {path}")  # noqa: T201 - this is the command's answer
