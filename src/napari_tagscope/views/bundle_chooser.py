"""Choose a bundle: of those that are known, or any folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QPushButton, QSizePolicy, QWidget


class BundleChooser(QWidget):
    """Bundles in a box, and a button that browses for others; it keeps no choice of its own.

    ``name`` is read to who cannot see it. ``without`` is the text of the choice of no bundle, which
    is offered where that will do, and its tooltip.
    """

    chosen = Signal(object)  # the Path that a person chose, None for no bundle

    def __init__(self, name: str, tip: str, without: tuple[str, str] = ("", "")) -> None:
        super().__init__()
        self._without = without
        self.box = QComboBox()
        self.box.setToolTip(tip)
        self.box.setAccessibleName(name)
        self.box.setPlaceholderText("Choose a bundle")
        self.box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.browse_button = QPushButton("Browse…")
        self.browse_button.setToolTip("Choose a bundle's folder")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.box, 1)
        row.addWidget(self.browse_button)
        self.box.activated.connect(lambda place: self.chosen.emit(self.box.itemData(place)))
        self.browse_button.clicked.connect(self._browse)

    def show_bundles(
        self, known: Sequence[Path], chosen: Path | None, *, optional: bool = False
    ) -> None:
        """List known bundles, the chosen one always, and no bundle first where that will do."""
        paths: list[Path | None] = [*known]
        if chosen is not None and chosen not in paths:
            paths.insert(0, chosen)
        if optional:
            paths.insert(0, None)
        if [self.box.itemData(i) for i in range(self.box.count())] != paths:
            self.box.clear()
            for path in paths:
                text, tip = self._without if path is None else (path.name, str(path))
                self.box.addItem(text, path)
                self.box.setItemData(self.box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        wanted = optional or chosen is not None
        self.box.setCurrentIndex(paths.index(chosen) if wanted else -1)

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open a bundle (a folder with bundle.json)")
        if folder:
            self.chosen.emit(Path(folder))
