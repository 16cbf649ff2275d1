"""Train a bundle: a reference, its label column, epochs, and a curve while it learns."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_tagscope.controllers.training import TrainingController
from napari_tagscope.controllers.training_state import (
    Model,
    TrainingState,
    summary_text,
    training_text,
)
from napari_tagscope.views.bundle_chooser import BundleChooser
from napari_tagscope.views.card import FailureBox, bind, eliding_label, hint_label
from napari_tagscope.views.learning_curve import LearningCurve
from napari_tagscope.views.table import Column, Row, Table

MODELS: dict[Model, tuple[str, str]] = {
    "cellmemory": ("CellMemory", "Genes compete for memory slots: attention by gene and by slot"),
    "cellpatch": ("CellPatch", "Genes are gathered into patches: attention by gene, no slots"),
}
ANEW = ("no bundle: start anew", "All weights are learned from the reference")
COLUMNS = (
    Column("type", "Type"),
    Column("cells", "Labelled cells", 10, "{:,}".format),
)


class TrainingForm(QWidget):
    """The view of a :class:`TrainingController`."""

    def __init__(self, controller: TrainingController) -> None:
        super().__init__()
        self._controller = controller
        self.reference = eliding_label("no reference chosen")
        self.browse_button = QPushButton("Browse…")
        self.browse_button.setToolTip("Choose an .h5ad of single cells with known types")
        self.sample_button = QPushButton("Sample")
        self.sample_button.setToolTip("Take the sample's reference")
        self.column = QComboBox()
        self.column.setToolTip("The column that holds the cell types")
        self.column.setAccessibleName("Label column")
        self.counts = hint_label()
        self.types = Table("Types of the reference", COLUMNS, most_rows=7, sortable=True)
        self.model = QComboBox()
        for model, (text, tip) in MODELS.items():
            self.model.addItem(text, model)
            self.model.setItemData(self.model.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.model.setToolTip("The network that learns; each annotates under a key of its own")
        self.model.setAccessibleName("Model to train")
        self.start = BundleChooser(
            "Bundle to start from",
            "A CellPatch whose weights training goes on from, such as one pretrained on many cells",
            ANEW,
        )
        self.name = QLineEdit()
        self.name.setToolTip("What the bundle is called; a number is added where it is taken")
        self.name.setAccessibleName("Name of the bundle")
        self.epochs = QSpinBox()
        self.epochs.setRange(0, 1000)
        self.epochs.setSpecialValueText("automatic")
        self.epochs.setToolTip("The most passes over the reference; it stops earlier when it can")
        self.epochs.setAccessibleName("Epochs")
        self.train_button = QPushButton("Train")
        self.train_button.setToolTip("Train on the genes shared with the open section")
        self.stop_button = QPushButton("Stop, keep the best")
        self.stop_button.setToolTip("Stop training and keep the best epoch so far")
        self.curve = LearningCurve()
        self.summary = hint_label()
        self.failure = FailureBox()
        self._lay_out()
        self.browse_button.clicked.connect(self._choose_reference)
        self.sample_button.clicked.connect(controller.choose_sample_reference)
        self.column.activated.connect(self._on_column)
        self.model.activated.connect(lambda i: controller.choose_model(self.model.itemData(i)))
        self.start.chosen.connect(controller.choose_start)
        self.name.textEdited.connect(controller.set_name)
        self.epochs.valueChanged.connect(lambda value: controller.set_epochs(value or None))
        self.train_button.clicked.connect(controller.train)
        self.stop_button.clicked.connect(controller.stop)
        bind(self, controller, self.show_state)

    def show_state(self, state: TrainingState) -> None:
        """Show what the controller knows."""
        name = state.reference.name if state.reference else "no reference chosen"
        self.reference.setText("reading…" if state.reading else name)
        self.reference.setToolTip(str(state.reference or ""))
        names = [column.name for column in state.columns]
        if [self.column.itemData(i) for i in range(self.column.count())] != names:
            self.column.clear()
            for column in state.columns:
                self.column.addItem(f"{column.name} ({column.types:,} types)", column.name)
        self.column.setCurrentIndex(names.index(state.column) if state.column in names else -1)
        self.column.setEnabled(bool(names) and not state.running)
        self.counts.setText(summary_text(state))
        self.counts.setVisible(bool(self.counts.text()))
        types = () if state.summary is None or state.history else state.summary.types
        self.types.show_rows([Row(one, one[0]) for one in types])
        self.model.setCurrentIndex(self.model.findData(state.model))
        self.model.setEnabled(not state.running)
        self.start.show_bundles(state.starts, state.start, optional=True)
        self.start.setEnabled(not state.running)
        self.form.setRowVisible(self.start, state.model == "cellpatch")
        if not self.name.hasFocus():
            self.name.setText(state.name)
        self.name.setEnabled(bool(state.column) and not state.running)
        self.epochs.setValue(state.epochs or 0)
        self.train_button.setEnabled(state.ready)
        self.train_button.setVisible(not state.running)
        self.stop_button.setVisible(state.running)
        self.stop_button.setEnabled(not state.stopping)
        self.curve.show_history(state.history)
        self.summary.setText(training_text(state))
        self.summary.setVisible(bool(self.summary.text()))
        self.failure.show_failure(state.failure)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.addWidget(self.reference, 1)
        row.addWidget(self.browse_button)
        row.addWidget(self.sample_button)
        fit = QHBoxLayout()
        fit.addWidget(self.epochs)
        fit.addStretch(1)
        fit.addWidget(self.train_button)
        fit.addWidget(self.stop_button)
        self.form = form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Reference", row)
        form.addRow("Labels", self.column)
        form.addRow(self.counts)
        form.addRow(self.types)
        form.addRow("Model", self.model)
        form.addRow("Start from", self.start)
        form.addRow("Name", self.name)
        form.addRow("Epochs", fit)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(form)
        for widget in (self.curve, self.summary, self.failure):
            column.addWidget(widget)

    def _on_column(self, index: int) -> None:
        self._controller.choose_column(str(self.column.itemData(index)))

    def _choose_reference(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Open a reference", "", "AnnData (*.h5ad)")
        if chosen:
            self._controller.choose_reference(Path(chosen))
