"""What domains are made of: bars of the types of a column, one a domain."""

from __future__ import annotations

from qtpy.QtWidgets import QApplication, QComboBox, QHBoxLayout, QPushButton, QSizePolicy

from napari_tagscope.controllers.composition import CompositionController, CompositionState
from napari_tagscope.views.card import Card, FailureBox, bind, eliding_label, hint_label
from napari_tagscope.views.composition_bars import CompositionBars
from napari_tagscope.views.theme import Colors

POINT = "Click a part to select its cells, a name for the domain."


class CompositionCard(Card):
    """The view of a :class:`CompositionController`."""

    def __init__(self, controller: CompositionController) -> None:
        super().__init__("What domains are made of", "Cell types of every domain")
        self._controller = controller
        self.columns = QComboBox()
        self.columns.setToolTip("The annotation on view, or a column of labels of the section")
        self.columns.setAccessibleName("Types that are counted")
        self.columns.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.bars = CompositionBars()
        self.pointed = eliding_label(POINT, muted=True)
        self.copy_button = QPushButton("Copy table")
        self.copy_button.setToolTip("Copy the counts, to paste into a spreadsheet")
        self.hint = hint_label()
        self.failure = FailureBox()
        foot = QHBoxLayout()
        foot.addWidget(self.pointed, 1)
        foot.addWidget(self.copy_button)
        self.add(self.columns, self.hint, self.bars)
        self.body.addLayout(foot)
        self.add(self.failure)
        self.columns.activated.connect(lambda i: controller.choose_column(self.columns.itemText(i)))
        self.bars.picked.connect(controller.choose)
        self.bars.domain_picked.connect(controller.choose_domain)
        self.bars.pointed.connect(self._on_pointed)
        self.copy_button.clicked.connect(self._copy)
        bind(self, controller, self.show_state)

    def show_state(self, state: CompositionState) -> None:
        """Show what the controller knows."""
        if [self.columns.itemText(i) for i in range(self.columns.count())] != list(state.columns):
            self.columns.clear()
            self.columns.addItems(state.columns)
        self.columns.setCurrentIndex(self.columns.findText(state.column))
        self.columns.setVisible(bool(state.columns))
        found = state.composition
        for widget in (self.bars, self.pointed, self.copy_button):
            widget.setVisible(found is not None)
        if found is not None:
            if found != self.bars.composition:
                self._on_pointed(POINT)
            self.bars.show_composition(found, state.domain, state.chosen)
        self.hint.setText(state.hint)
        self.hint.setVisible(bool(state.hint))
        self.failure.show_failure(state.failure)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.bars.set_colors(colors)

    def _on_pointed(self, text: str) -> None:
        self.pointed.setText(text)
        self.pointed.setToolTip(text)

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self._controller.as_text())
