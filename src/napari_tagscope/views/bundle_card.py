"""A bundle's card: what it was trained on, how, and how well it does, type by type."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFormLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_tagscope.controllers.bundle_card import BundleCard
from napari_tagscope.views.table import Column, Row, Table

_SCORE = "{:.3f}".format
COLUMNS = (
    Column("type", "Type"),
    Column("cells", "Cells of the reference", 9, "{:,}".format),
    Column(
        "prec.",
        "Precision: share of the held-out cells given this type that are of it",
        8,
        _SCORE,
    ),
    Column("recall", "Share of this type's held-out cells that were given it", 8, _SCORE),
    Column("F1", "Harmonic mean of precision and recall, on held-out cells", 8, _SCORE),
)


class BundleCardView(QWidget):
    """Shows a :class:`BundleCard`."""

    def __init__(self) -> None:
        super().__init__()
        self.card: BundleCard | None = None
        self.facts = QFormLayout()
        self.facts.setContentsMargins(0, 0, 0, 0)
        self.facts.setVerticalSpacing(2)
        self.types = Table("Types of the bundle", COLUMNS, most_rows=7, sortable=True)
        self.copy_button = QPushButton("Copy genes")
        self.copy_button.setToolTip("Copy the names of the model's genes, one a line")
        self.copy_button.clicked.connect(self._copy)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(self.facts)
        column.addWidget(self.types)
        column.addWidget(self.copy_button, 0, Qt.AlignmentFlag.AlignRight)

    def show_card(self, card: BundleCard) -> None:
        """Show another bundle's card."""
        if card == self.card:
            return
        self.card = card
        while self.facts.rowCount():
            self.facts.removeRow(0)
        for name, value in card.facts:
            self.facts.addRow(_label(name, muted=True), _label(value))
        self.types.show_rows(
            [Row((t.name, t.cells, t.precision, t.recall, t.f1), t.name) for t in card.types]
        )

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText("\n".join(self.card.genes if self.card else ()))


def _label(text: str, *, muted: bool = False) -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    if muted:
        label.setObjectName("muted")
        return label
    label.setWordWrap(True)
    label.setToolTip(text)
    label.setTextInteractionFlags(
        Qt.TextInteractionFlag.TextSelectableByMouse
        | Qt.TextInteractionFlag.TextSelectableByKeyboard
    )
    return label
