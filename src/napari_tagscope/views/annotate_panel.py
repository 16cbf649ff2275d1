"""Choose or train a bundle, annotate, compare, save."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QMenu,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_tagscope.controllers.annotate import AnnotateController, AnnotateState
from napari_tagscope.controllers.bundle_card import card_of
from napari_tagscope.controllers.bundles import about
from napari_tagscope.controllers.comparison import ComparisonController
from napari_tagscope.controllers.training import TrainingController
from napari_tagscope.views.bundle_card import BundleCardView
from napari_tagscope.views.bundle_chooser import BundleChooser
from napari_tagscope.views.card import FailureBox, bind, hint_label
from napari_tagscope.views.comparison_view import ComparisonView
from napari_tagscope.views.fold import Fold
from napari_tagscope.views.theme import Colors
from napari_tagscope.views.training_form import TrainingForm

if TYPE_CHECKING:
    from tagscope.api import Bundle


class AnnotatePanel(QWidget):
    """The view of an :class:`AnnotateController`, with training and comparison."""

    def __init__(
        self,
        controller: AnnotateController,
        training: TrainingController,
        comparison: ComparisonController,
    ) -> None:
        super().__init__()
        self._controller = controller
        self.bundles = BundleChooser(
            "Bundle", "A trained model: those made here, and those opened before"
        )
        self.remove_button = QPushButton("Remove")
        self.remove_button.setToolTip("Take this bundle out of the list; its files stay")
        self.about = hint_label()
        self.card = BundleCardView()
        self.card_toggle = Fold(
            "About this bundle",
            "What it was trained on, how, and how well it does, type by type",
            self.card,
        )
        self.training = TrainingForm(training)
        self.train_toggle = Fold(
            "Train one from a reference",
            "Train a bundle on single cells whose types are known",
            self.training,
        )
        self.run_button = QPushButton("Annotate")
        self.run_button.setObjectName("main")
        self.run_button.setToolTip("Give every cell a type; cells in view come first")
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop annotating")
        self.attention = QCheckBox("Attention scores")
        self.attention.setToolTip("Also keep how much attention each gene gets in each cell")
        self.save_button = QPushButton("Save")
        self.save_menu = QMenu(self.save_button)
        self.save_button.setMenu(self.save_menu)
        self.save_button.setToolTip("Write types, confidence and attention into a store")
        self.hint = hint_label()
        self.failure = FailureBox()
        self.comparison = ComparisonView(comparison)
        self.compare_toggle = Fold(
            "Compare with a column",
            "Compare the types with labels that the section has",
            self.comparison,
        )
        self._lay_out()
        self._connect()
        bind(self, controller, self.show_state)

    def show_state(self, state: AnnotateState) -> None:
        """Show what the controller knows."""
        self.bundles.show_bundles(state.known, state.chosen)
        self.about.setText("" if state.bundle is None else about(state.bundle))
        self.about.setToolTip("" if state.bundle is None else str(state.bundle.path))
        self.remove_button.setEnabled(state.chosen is not None and not state.running)
        self._show_card(state.bundle)
        self.run_button.setEnabled(state.ready)
        self.run_button.setVisible(not state.running)
        self.cancel_button.setVisible(state.running)
        self.attention.setChecked(state.attention)
        self.attention.setVisible(state.may_attend)
        self.save_button.setEnabled(state.can_save and not state.saving and not state.running)
        self.hint.setText(hint(state))
        self.hint.setVisible(bool(self.hint.text()))
        self.failure.show_failure(state.failure)

    def _show_card(self, bundle: Bundle | None) -> None:
        for widget in (self.about, self.card_toggle):
            widget.setVisible(bundle is not None)
        if bundle is None:
            self.card_toggle.setChecked(False)
        else:
            self.card.show_card(card_of(bundle))

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.training.curve.set_colors(colors)

    def _lay_out(self) -> None:
        choose = QHBoxLayout()
        choose.addWidget(self.bundles, 1)
        choose.addWidget(self.remove_button)
        act = QHBoxLayout()
        act.addWidget(self.run_button)
        act.addWidget(self.cancel_button)
        act.addWidget(self.attention)
        act.addStretch(1)
        act.addWidget(self.save_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(choose)
        above = (self.about, self.card_toggle, self.card, self.train_toggle, self.training)
        below = (self.hint, self.failure, self.compare_toggle, self.comparison)
        for widget in above:
            column.addWidget(widget)
        column.addLayout(act)
        for notice in below:
            column.addWidget(notice)

    def _connect(self) -> None:
        controller = self._controller
        self.bundles.chosen.connect(controller.choose)
        self.remove_button.clicked.connect(controller.forget)
        self.run_button.clicked.connect(controller.run)
        self.cancel_button.clicked.connect(controller.cancel)
        self.attention.toggled.connect(controller.set_attention)
        for text, act in (("Into this store", self._save_here), ("As a copy…", self._save_copy)):
            action = self.save_menu.addAction(text)
            assert action is not None
            action.triggered.connect(act)

    def _save_here(self) -> None:
        replaces = self._controller.state.replaces
        if replaces:
            question = f"The store already has an annotation {replaces!r}. Replace it?"
            yes = QMessageBox.StandardButton.Yes
            if QMessageBox.question(self, "Replace the annotation?", question) != yes:
                return
        self._controller.save()

    def _save_copy(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(
            self, "Save an annotated copy", "annotated.zarr", "Store or AnnData (*.zarr *.h5ad)"
        )
        if chosen:
            self._controller.save(Path(chosen))


def hint(state: AnnotateState) -> str:
    """What to do next, or what was just done."""
    if state.saving:
        return "Saving…"
    if state.saved is not None:
        return f"Saved to {state.saved}"
    if state.running:
        return "Cells in view come first."
    if not state.has_section:
        return "Open a section to annotate it."
    if state.chosen is None and not state.can_save:
        return "Choose a bundle, or train one from a labelled reference."
    if state.chosen is not None and state.bundle is None and state.failure is None:
        return "Reading the bundle…"
    return "" if state.can_save else "Press Annotate: cells in view come first."
