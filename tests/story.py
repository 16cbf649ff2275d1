"""A window with a section, as somebody works through it: the story that tests tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from napari import Viewer
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from napari_tagscope.views.open import show_dock
from pictures import keep

Wait = Callable[[Callable[[], object]], None]


@dataclass(frozen=True)
class Facts:
    """What differs between the sections of the story.

    ``path`` and ``reference`` are None where their buttons for the sample are clicked; ``known``
    is the column of true labels. ``agreement`` is what a short training reaches at least,
    and ``shared`` counts genes that the reference has too.
    """

    name: str
    cells: int
    genes: int
    shared: int
    known: str
    agreement: float
    gene_sets: Path
    path: Path | None = None
    reference: Path | None = None
    orthologues: Path | None = None


class Story:
    """A window, who waits for it, and which section it is about."""

    def __init__(self, viewer: Viewer, wait: Wait, facts: Facts, patch: pytest.MonkeyPatch) -> None:
        self.viewer, self.facts, self.patch = viewer, facts, patch
        self._wait, self._step = wait, 0
        self.dock = show_dock(viewer)
        self.session = self.dock.session
        self.state = self.session.state
        viewer.window.activate()  # else it gets no focus, and no shortcuts
        QTest.qWaitForWindowActive(viewer.window._qt_window)

    def wait(self, condition: Callable[[], object] = lambda: True) -> None:
        """Wait until a condition holds and no job runs."""
        self._wait(lambda: condition() and not self.session.busy)

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds, whatever runs meanwhile."""
        self._wait(condition)

    def keep(self, what: str) -> None:
        """Keep a picture of this step."""
        self._step += 1
        keep(self.viewer, f"story-{self.facts.name}-{self._step:02}-{what}")

    def answer(self, dialog: str, path: Path | None) -> None:
        """What the person chooses in the next file dialogs."""
        self.patch.setattr(QFileDialog, dialog, lambda *_: (str(path), ""))

    def visible(self) -> list[str]:
        """Names of the layers on view."""
        return [layer.name for layer in self.viewer.layers if layer.visible]

    def press(self, key: Qt.Key, modifier: Qt.KeyboardModifier) -> None:
        """Press a key while the tissue has the keyboard."""
        native = self.viewer.window._qt_viewer.canvas.native
        native.setFocus()
        QTest.keyClick(native, key, modifier)
