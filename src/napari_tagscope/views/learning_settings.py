"""How a STAGATE learns from the section: which cells it connects, and for how long."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QSizePolicy,
    QSpinBox,
    QStackedWidget,
    QWidget,
)

from napari_tagscope.controllers.domains import DomainsController
from napari_tagscope.controllers.domains_state import Connect, DomainsState

_TIP = Qt.ItemDataRole.ToolTipRole
GRAPHS: dict[Connect, tuple[str, str]] = {
    "nearest": ("Nearest", "So many cells next to each, however far"),
    "radius": ("Radius", "All cells that are no farther"),
    "delaunay": ("Touching", "Cells whose Voronoi regions touch (Delaunay)"),
}


class LearningSettings(QWidget):
    """Controls of what takes long: a change is another set of features, to be asked for."""

    def __init__(self, controller: DomainsController) -> None:
        super().__init__()
        self.graph = QComboBox()
        self.graph.setToolTip("Which cells a cell is connected with, and learns from")
        self.graph.setAccessibleName("Cells that are connected")
        self.graph.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        for graph, (text, tip) in GRAPHS.items():
            self.graph.addItem(text, graph)
            self.graph.setItemData(self.graph.count() - 1, tip, _TIP)
        self.nearest = QSpinBox()
        self.nearest.setRange(1, 60)
        self.nearest.setToolTip("How many of the nearest cells a cell is connected with")
        self.nearest.setAccessibleName("Nearest cells connected")
        self.radius = QDoubleSpinBox()
        self.radius.setRange(0.001, 1_000_000)
        self.radius.setDecimals(3)
        self.radius.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        self.radius.setToolTip("Cells are connected up to this distance, in the scale bar's unit")
        self.radius.setAccessibleName("Radius within which cells are connected")
        self.reach = QStackedWidget()
        for widget in (self.nearest, self.radius, QWidget()):
            self.reach.addWidget(widget)
        self.reach.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.epochs = QSpinBox()
        self.epochs.setRange(0, 100_000)
        self.epochs.setSingleStep(100)
        self.epochs.setSpecialValueText("automatic")
        self.epochs.setToolTip(
            "Passes over all cells, automatic as many as the model usually takes: fewer are quicker"
        )
        self.epochs.setAccessibleName("Passes over the cells")
        for box in (self.nearest, self.radius, self.epochs):
            box.setKeyboardTracking(False)
        row = QHBoxLayout()
        row.addWidget(self.graph, 1)
        row.addWidget(self.reach, 1)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(3)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Connect", row)
        form.addRow("Epochs", self.epochs)
        self.graph.activated.connect(
            lambda i: controller.set_learning(graph=self.graph.itemData(i))
        )
        self.nearest.valueChanged.connect(lambda value: controller.set_learning(nearest=value))
        self.radius.valueChanged.connect(lambda value: controller.set_learning(radius=value))
        self.epochs.valueChanged.connect(
            lambda value: controller.set_learning(epochs=value or None)
        )

    def show_state(self, state: DomainsState) -> None:
        """Show the settings, where the model learns."""
        self.setVisible(state.kind.learns)
        learning = state.learning
        places = [self.graph.itemData(i) for i in range(self.graph.count())]
        self.graph.setCurrentIndex(places.index(learning.graph))
        self.reach.setCurrentIndex(places.index(learning.graph))
        boxes = (self.nearest, self.radius, self.epochs)
        for box in boxes:
            box.blockSignals(True)
        self.nearest.setValue(learning.nearest)
        self.radius.setValue(learning.radius or 0.0)
        self.epochs.setValue(learning.epochs or 0)
        for box in boxes:
            box.blockSignals(False)
        self.setEnabled(not state.reading)
