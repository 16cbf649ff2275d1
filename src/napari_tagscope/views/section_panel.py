"""Open a store, a vendor's folder, an ``.h5ad`` or the sample, and see what was found."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_tagscope.controllers.recent import RecentSection
from napari_tagscope.controllers.section import SectionController, SectionState
from napari_tagscope.controllers.section_card import Card as SectionCard
from napari_tagscope.views.card import FailureBox, bind, eliding_label, hint_label
from napari_tagscope.views.findings_box import FindingsBox
from napari_tagscope.views.open_sections_row import OpenSectionsRow
from napari_tagscope.views.section_choices import SectionChoices

LOOKS = {
    "filled": "Cells filled",
    "translucent": "Cells translucent",
    "outlines": "Outlines only",
    "both": "Filled and outlined",
}
SHAPES = {"discs": "Centroids as discs", "areas": "Centroids as areas"}
SHORT = (9, 15)  # letters of a value that has room left and right of another
EMPTY = "Open a SpatialData store, a vendor's folder or an .h5ad, or try the sample."


class SectionPanel(QWidget):
    """The view of a :class:`SectionController`."""

    def __init__(self, controller: SectionController) -> None:
        super().__init__()
        self._controller = controller
        self._recent: tuple[RecentSection, ...] = ()
        self.store_button = QPushButton("Store…")
        self.store_button.setToolTip(
            "Open a SpatialData store (.zarr), or the folder a machine left"
        )
        self.file_button = QPushButton("File…")
        self.file_button.setToolTip('Open an .h5ad with coordinates in obsm["spatial"], or a .gef')
        self.recent_button = QPushButton("Recent")
        self.recent_menu = QMenu(self.recent_button)
        self.recent_menu.setToolTipsVisible(True)
        self.recent_button.setMenu(self.recent_menu)
        self.sample_button = QPushButton("Sample")
        self.sample_button.setToolTip("Open the simulated cortex, whose true types are known")
        self.hint = hint_label()
        self.sections = OpenSectionsRow(controller)
        self.choices = SectionChoices(controller)
        self.grid_holder = QWidget()
        self.grid = QGridLayout(self.grid_holder)
        self.grid.setContentsMargins(0, 0, 0, 0)
        self.grid.setHorizontalSpacing(10)
        self.grid.setVerticalSpacing(1)
        self.keys = QComboBox()
        self.keys.setToolTip("The annotation on view, of those the section carries")
        self.keys.setAccessibleName("Annotation on view")
        self.looks = _choice(LOOKS, "How cells are drawn where they are large enough", "Look")
        self.shapes = _choice(SHAPES, "What is drawn for a cell without an outline", "Shape")
        self.failure = FailureBox()
        self.findings = FindingsBox(controller.apply_offer)
        self._lay_out()
        self.store_button.clicked.connect(self._choose_store)
        self.file_button.clicked.connect(self._choose_file)
        self.sample_button.clicked.connect(controller.open_sample)
        self.keys.textActivated.connect(controller.show_key)
        self.looks.activated.connect(lambda i: controller.choose_look(self.looks.itemData(i)))
        self.shapes.activated.connect(lambda i: controller.choose_shape(self.shapes.itemData(i)))
        bind(self, controller, self.show_state)

    def show_state(self, state: SectionState) -> None:
        """Show what the controller knows."""
        self.hint.setText(f"{state.opening}…" if state.opening else EMPTY)
        self.hint.setVisible(bool(state.opening) or state.card is None)
        self._show_card(state.card)
        failure, found = state.failure, state.findings
        told = failure is not None and any(f.found == failure.error.found for f in found)
        self.failure.show_failure(None if told else failure)
        self.findings.show_findings(found if failure is not None else ())
        self._show_recent(state.recent)
        self.keys.setVisible(len(state.keys) > 1)
        if [self.keys.itemText(i) for i in range(self.keys.count())] != list(state.keys):
            self.keys.clear()
            self.keys.addItems(state.keys)
        self.keys.setCurrentText(state.key)
        self.looks.setVisible(state.card is not None)
        self.looks.setCurrentIndex(self.looks.findData(state.look))
        self.shapes.setVisible(state.card is not None and state.shapeless)
        self.shapes.setCurrentIndex(self.shapes.findData(state.shape))

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        for button in (
            self.store_button, self.file_button, self.recent_button, self.sample_button,
        ):  # fmt: skip
            buttons.addWidget(button)
        drawing = QHBoxLayout()
        for box in (self.looks, self.shapes):
            drawing.addWidget(box)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.sections)
        column.addLayout(buttons)
        for widget in (
            self.hint, self.failure, self.findings, self.grid_holder, self.choices, self.keys,
        ):  # fmt: skip
            column.addWidget(widget)
        column.insertLayout(column.indexOf(self.keys), drawing)

    def _show_card(self, card: SectionCard | None) -> None:
        self.grid_holder.setVisible(card is not None)
        if card is None:
            return
        while (item := self.grid.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        row = column = 0
        for name, value in card.rows:
            wide = len(value) > SHORT[column // 2]
            if wide and column:
                row, column = row + 1, 0
            left = QLabel(name)
            left.setObjectName("muted")
            right = eliding_label(value)
            right.setToolTip(f"{name}: {value}")
            self.grid.addWidget(left, row, column)
            self.grid.addWidget(right, row, column + 1, 1, 3 if wide else 1)
            row, column = (row + 1, 0) if wide or column else (row, 2)
        for column, stretch in ((1, 2), (3, 3)):
            self.grid.setColumnStretch(column, stretch)

    def _show_recent(self, recent: tuple[RecentSection, ...]) -> None:
        self.recent_button.setEnabled(bool(recent))
        self.recent_button.setToolTip(
            "Open a section again as it was" if recent else "Sections that you open are listed here"
        )
        if recent == self._recent:
            return
        self._recent = recent
        self.recent_menu.clear()
        for entry in recent:
            action = self.recent_menu.addAction(f"{entry.path.name}  ({entry.path.parent.name})")
            assert action is not None
            chosen = ", ".join(f"{name} {value}" for name, value in entry.choices.items())
            action.setToolTip(f"{entry.path}\n{chosen}" if chosen else str(entry.path))
            action.triggered.connect(lambda _, wanted=entry: self._controller.open_recent(wanted))

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


def _choice(texts: dict[str, str], tip: str, name: str) -> QComboBox:
    box = QComboBox()
    for value, text in texts.items():
        box.addItem(text, value)
    box.setToolTip(tip)
    box.setAccessibleName(name)
    return box
