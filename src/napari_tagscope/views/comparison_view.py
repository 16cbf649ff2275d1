"""Compare types, or domains, with a column: numbers, and a matrix to pick cells from."""

from __future__ import annotations

from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_tagscope.controllers.comparison import (
    ColumnComparison,
    ComparisonState,
    agreement_text,
)
from napari_tagscope.views.card import FailureBox, bind, eliding_label, hint_label
from napari_tagscope.views.confusion_matrix import ConfusionMatrix

POINT = "Click a square to select its cells."


class ComparisonView(QWidget):
    """The view of a :class:`ColumnComparison`; ``given`` is what people call what is compared."""

    def __init__(self, controller: ColumnComparison, given: str = "type given") -> None:
        super().__init__()
        self._controller = controller
        self.columns = QComboBox()
        self.columns.setToolTip("A column of labels that the section has")
        self.columns.setAccessibleName("Column to compare with")
        self.columns.setPlaceholderText("Choose a column")
        self.columns.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.hint = hint_label()
        self.numbers = hint_label()
        self.numbers.setToolTip(
            "Agreement: share of cells given the column's own label. Macro-F1: mean F1 over its "
            "types, rare ones alike. ARI and NMI compare groups whatever their names: 1 is alike"
        )
        self.matrix = ConfusionMatrix(given)
        self.pointed = eliding_label(POINT, muted=True)
        self.copy_button = QPushButton("Copy table")
        self.copy_button.setToolTip("Copy the counts, to paste into a spreadsheet")
        self.failure = FailureBox()
        self._lay_out()
        self.columns.activated.connect(lambda i: controller.choose_column(self.columns.itemText(i)))
        self.matrix.picked.connect(controller.choose)
        self.matrix.pointed.connect(self._on_pointed)
        self.copy_button.clicked.connect(self._copy)
        bind(self, controller, self.show_state)

    def show_state(self, state: ComparisonState) -> None:
        """Show what the controller knows."""
        if [self.columns.itemText(i) for i in range(self.columns.count())] != list(state.columns):
            self.columns.clear()
            self.columns.addItems(state.columns)
        self.columns.setCurrentIndex(self.columns.findText(state.column))
        self.columns.setVisible(bool(state.columns))
        self.hint.setText("Comparing…" if state.running else state.hint)
        self.hint.setVisible(bool(self.hint.text()))
        self.numbers.setText(agreement_text(state))
        for widget in (self.numbers, self.matrix, self.pointed, self.copy_button):
            widget.setVisible(state.confusion is not None)
        if state.confusion is not None:
            if state.confusion != self.matrix.confusion:
                self._on_pointed(POINT)
            self.matrix.show_confusion(state.confusion, state.chosen)
        self.failure.show_failure(state.failure)

    def _lay_out(self) -> None:
        foot = QHBoxLayout()
        foot.addWidget(self.pointed, 1)
        foot.addWidget(self.copy_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 0, 0, 0)
        column.setSpacing(4)
        for widget in (self.columns, self.hint, self.numbers, self.matrix):
            column.addWidget(widget)
        column.addLayout(foot)
        column.addWidget(self.failure)

    def _on_pointed(self, text: str) -> None:
        self.pointed.setText(text)
        self.pointed.setToolTip(text)

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self._controller.as_text())
