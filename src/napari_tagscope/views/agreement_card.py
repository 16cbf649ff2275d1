"""Compare the annotations of a section: who agrees, any two beside each other, doubtful cells."""

from __future__ import annotations

from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
)

from napari_tagscope.controllers.agreement import AgreementController, AgreementState
from napari_tagscope.controllers.comparison import ComparisonState, ModelComparison
from napari_tagscope.controllers.numbers import number, percent
from napari_tagscope.views.card import Card, FailureBox, bind, hint_label
from napari_tagscope.views.comparison_view import ComparisonView
from napari_tagscope.views.fold import Fold
from napari_tagscope.views.table import Column, Row, Table
from napari_tagscope.views.theme import Colors

PAIRS = (
    Column("models", "Click two models to see their confusion"),
    Column("same label", "Share of the cells that both gave a label", 12, percent, "share"),
    Column("kappa", "Cohen's kappa: what is left of it beyond chance, 1 at most", 6, number),
)
DOUBTFUL = (
    Column("doubtful cells", "What the models say, the commonest label first: click to look"),
    Column("doubt", "Models that disagree first, then unsure ones, of 1 at most", 6, number),
)
LINES = 6  # of the doubtful cells at once


class AgreementCard(Card):
    """The view of an :class:`AgreementController`, and of two models beside each other."""

    def __init__(self, controller: AgreementController, comparison: ModelComparison) -> None:
        super().__init__(
            "Agreement of models", "Where the annotations of this section agree, and where not"
        )
        self._controller, self._comparison = controller, comparison
        self.boxes: dict[str, QCheckBox] = {}
        self.models = QVBoxLayout()
        self.compare_button = QPushButton("Compare models")
        self.compare_button.setObjectName("main")
        self.compare_button.setToolTip("Compare the models that are ticked; paint who agrees")
        self.save_button = QPushButton("Save")
        self.save_button.setToolTip(
            "Write who agrees, the doubt and the label of most into the section's store"
        )
        self.copy_button = QPushButton("Copy")
        self.copy_button.setToolTip("Copy the doubtful cells as text, for a spreadsheet")
        self.hint = hint_label()
        self.told = hint_label()
        self.pairs = Table("Pairs of models", PAIRS)
        self.confusion = ComparisonView(comparison, "")
        self.confusion_toggle = Fold(
            "Confusion", "The labels of two models beside each other", self.confusion
        )
        self.back_button = QPushButton("Previous")
        self.back_button.setToolTip("Go back to the doubtful cell before")
        self.next_button = QPushButton("Next doubtful cell")
        self.next_button.setToolTip("Go to the next doubtful cell: of the selection, else of all")
        self.place = QLabel()
        self.place.setObjectName("muted")
        self.doubtful = Table("Doubtful cells", DOUBTFUL, most_rows=LINES)
        self.failure = FailureBox()
        self._lay_out()
        self._connect()
        bind(self, controller, self.show_state)
        bind(self, comparison, self.show_pair)

    def show_state(self, state: AgreementState) -> None:
        """Show what the controller knows; nothing before there are two annotations."""
        self.setVisible(state.offered)
        self._show_models(state)
        self.compare_button.setEnabled(state.ready)
        self.hint.setText(state.hint)
        self.hint.setVisible(bool(state.hint))
        self.told.setText(state.told)
        self.told.setVisible(bool(state.told))
        self.pairs.show_rows(
            [
                Row(
                    (f"{one.first} · {one.second}", one.agreement, one.kappa),
                    f"{one.first} and {one.second}, over {one.cells:,} cells that both labelled",
                )
                for one in state.pairs
            ]
        )
        found = bool(state.compared)
        for widget in (
            self.confusion_toggle, self.back_button, self.next_button, self.place,
            self.copy_button, self.save_button,
        ):  # fmt: skip
            widget.setVisible(found)
        self.save_button.setEnabled(not state.saving)
        self.confusion.setVisible(found and self.confusion_toggle.isChecked())
        self.doubtful.show_rows([Row((one.said, one.doubt), one.id) for one in state.doubtful])
        rows = [one.row for one in state.doubtful]
        self.doubtful.mark(rows.index(state.cell) if state.cell in rows else -1)
        self.place.setText(state.place)
        self.failure.show_failure(state.failure)

    def show_pair(self, state: ComparisonState) -> None:
        """Say whose labels are the rows, and whose the columns, of the confusion."""
        first, second = self._comparison.first, state.column
        self.confusion.columns.hide()
        self.confusion.matrix.name_axes(first, second)
        pairs = [(one.first, one.second) for one in self._controller.state.pairs]
        self.pairs.mark(pairs.index((first, second)) if (first, second) in pairs else -1)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        for table in (self.pairs, self.doubtful):
            table.set_colors(colors)
        self.confusion.matrix.set_colors(colors)

    def _show_models(self, state: AgreementState) -> None:
        if list(self.boxes) != list(state.keys):
            for box in self.boxes.values():
                self.models.removeWidget(box)
                box.deleteLater()
            self.boxes = {key: QCheckBox(key) for key in state.keys}
            for key, box in self.boxes.items():
                box.setToolTip(f"Take the annotation {key} into the comparison")
                box.toggled.connect(lambda on, key=key: self._controller.choose(key, on))
                self.models.addWidget(box)
        for key, box in self.boxes.items():
            box.blockSignals(True)
            box.setChecked(key in state.chosen)
            box.blockSignals(False)

    def _lay_out(self) -> None:
        choose = QHBoxLayout()
        choose.addLayout(self.models, 1)
        choose.addWidget(self.compare_button)
        choose.addWidget(self.save_button)
        step = QHBoxLayout()
        step.addWidget(self.back_button)
        step.addWidget(self.next_button)
        step.addWidget(self.place, 1)
        step.addWidget(self.copy_button)
        self.body.addLayout(choose)
        self.add(self.hint, self.told, self.pairs, self.confusion_toggle, self.confusion)
        self.body.addLayout(step)
        self.add(self.doubtful, self.failure)

    def _connect(self) -> None:
        controller = self._controller
        self.compare_button.clicked.connect(controller.compare)
        self.back_button.clicked.connect(lambda: controller.step(-1))
        self.next_button.clicked.connect(lambda: controller.step(1))
        self.save_button.clicked.connect(controller.save)
        self.copy_button.clicked.connect(self._copy)
        self.pairs.row_chosen.connect(self._on_pair)
        self.doubtful.row_chosen.connect(self._on_cell)

    def _on_pair(self, row: int) -> None:
        pair = self._controller.state.pairs[row]
        self._comparison.choose_pair(pair.first, pair.second)
        self.confusion_toggle.setChecked(True)

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self._controller.as_text())

    def _on_cell(self, row: int) -> None:
        self._controller.go_to(self._controller.state.doubtful[row].row)
