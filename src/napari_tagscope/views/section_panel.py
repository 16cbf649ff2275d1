"""Open a store, a vendor's folder, an ``.h5ad`` or the sample, and see what was found."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_tagscope.controllers.section import Card as SectionCard
from napari_tagscope.controllers.section import SectionController, SectionState
from napari_tagscope.views.card import FailureBox, FindingsBox, bind, hint_label

EMPTY = "Open a SpatialData store, a vendor's folder or an .h5ad, or try the sample."


class SectionPanel(QWidget):
    """The view of a :class:`SectionController`."""

    def __init__(self, controller: SectionController) -> None:
        super().__init__()
        self._controller = controller
        self.store_button = QPushButton("Store…")
        self.store_button.setToolTip(
            "Open a SpatialData store (.zarr), or the folder a machine left"
        )
        self.file_button = QPushButton("File…")
        self.file_button.setToolTip('Open an .h5ad with coordinates in obsm["spatial"], or a .gef')
        self.sample_button = QPushButton("Sample")
        self.sample_button.setToolTip("Open the simulated cortex, whose true types are known")
        self.hint = hint_label()
        self.title = QElidingLabel()
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.grid_holder = QWidget()
        self.grid = QGridLayout(self.grid_holder)
        self.grid.setContentsMargins(0, 0, 0, 0)
        self.grid.setHorizontalSpacing(10)
        self.grid.setVerticalSpacing(1)
        self.keys = QComboBox()
        self.keys.setToolTip("The annotation on view, of those the section carries")
        self.keys.setAccessibleName("Annotation on view")
        self.failure = FailureBox()
        self.findings = FindingsBox(controller.apply_offer)
        self._lay_out()
        self.store_button.clicked.connect(self._choose_store)
        self.file_button.clicked.connect(self._choose_file)
        self.sample_button.clicked.connect(controller.open_sample)
        self.keys.textActivated.connect(controller.show_key)
        bind(self, controller, self.show_state)

    def show_state(self, state: SectionState) -> None:
        """Show what the controller knows."""
        self.hint.setText(f"{state.opening}…" if state.opening else EMPTY)
        self.hint.setVisible(bool(state.opening) or state.card is None)
        self._show_card(state.card)
        self.failure.show_failure(state.failure)
        self.findings.show_findings(state.findings)
        self.keys.setVisible(len(state.keys) > 1)
        if [self.keys.itemText(i) for i in range(self.keys.count())] != list(state.keys):
            self.keys.clear()
            self.keys.addItems(state.keys)
        self.keys.setCurrentText(state.key)

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        for button in (self.store_button, self.file_button, self.sample_button):
            buttons.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(buttons)
        for widget in (
            self.hint, self.title, self.grid_holder, self.keys, self.failure, self.findings,
        ):  # fmt: skip
            column.addWidget(widget)

    def _show_card(self, card: SectionCard | None) -> None:
        self.title.setVisible(card is not None)
        self.grid_holder.setVisible(card is not None)
        if card is None:
            return
        self.title.setText(card.title)
        self.title.setToolTip(card.path)
        while (item := self.grid.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        for index, (name, value) in enumerate(card.rows):
            row, column = index // 2, 2 * (index % 2)
            left = QLabel(name)
            left.setObjectName("muted")
            right = QElidingLabel(value)
            right.setToolTip(f"{name}: {value}")
            right.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            self.grid.addWidget(left, row, column)
            self.grid.addWidget(right, row, column + 1)
        for column, stretch in ((1, 2), (3, 3)):
            self.grid.setColumnStretch(column, stretch)

    def _choose_store(self) -> None:
        title = "Open a SpatialData store or a vendor's output folder"
        chosen = QFileDialog.getExistingDirectory(self, title)
        if chosen:
            self._controller.open(Path(chosen))

    def _choose_file(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self, "Open a section", "", "AnnData or Stereo-seq (*.h5ad *.gef)"
        )
        if chosen:
            self._controller.open(Path(chosen))
