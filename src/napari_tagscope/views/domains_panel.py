"""Find the domains of a section: features once, then number, method and smoothing live."""

from __future__ import annotations

import math
from pathlib import Path

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_tagscope.controllers.domain_outlines import DomainOutlines, OutlinesState
from napari_tagscope.controllers.domains import DomainsController
from napari_tagscope.controllers.domains_state import (
    DomainsState,
    Model,
    Settings,
    Way,
    hint,
)
from napari_tagscope.controllers.pretraining import PretrainingController
from napari_tagscope.views.bundle_chooser import BundleChooser
from napari_tagscope.views.card import FailureBox, bind, hint_label
from napari_tagscope.views.fold import Fold
from napari_tagscope.views.learning_settings import LearningSettings
from napari_tagscope.views.pretraining_form import PretrainingForm
from napari_tagscope.views.theme import Colors

NO_BUNDLE = ("no bundle: start from this section", "All weights are learned from this section")
SETTLE_MS = 250  # after the last move of a control
MOST_DOMAINS, MOST_NEIGHBORS = 30, 60
STEPS = 20  # of the resolution's slider for every doubling
LEAST_POWER, MOST_POWER = -5, 3  # powers of two that the slider spans
MODELS: dict[Model, tuple[str, str]] = {
    "smoothed": (
        "Smoothed expression",
        "Principal components of the cells' expression, averaged over neighbours: "
        "needs no training",
    ),
    "omnicell": (
        "OmniCell",
        "How a trained model sees each cell, beside its expression, averaged over neighbours",
    ),
    "stagate": (
        "STAGATE",
        "What a graph attention auto-encoder learns from this section: cells with those around "
        "them. It needs no bundle",
    ),
    "cellpatch-stagate": (
        "CellPatch + STAGATE",
        "A CellPatch's patches of genes, and a STAGATE behind them, learn from this section "
        "together. A pretrained CellPatch may be the start; it takes longer than STAGATE",
    ),
}
WAYS: dict[Way, tuple[str, str]] = {
    "mixture": ("Mixture", "Gaussians that share one covariance, the likeliest of 10 starts"),
    "kmeans": ("k-means", "The tightest of 10 starts"),
    "leiden": ("Leiden, by resolution", "Communities of cells alike; a resolution says how fine"),
    "leiden by number": (
        "Leiden, by number",
        "Communities of cells alike, at a resolution searched for that number of domains",
    ),
}


class DomainSettings(QWidget):
    """Controls that move domains live; a move is passed on once it has settled."""

    def __init__(self, controller: DomainsController) -> None:
        super().__init__()
        self._controller = controller
        self.way = _box("Method of clustering", WAYS)
        self.count = QSpinBox()
        self.count.setRange(2, MOST_DOMAINS)
        self.count_slider = _slider("Number of domains", 2, MOST_DOMAINS)
        self.resolution = _slider("Resolution", LEAST_POWER * STEPS, MOST_POWER * STEPS)
        self.resolution_value = QLabel()
        self.neighbors = QSpinBox()
        self.neighbors.setRange(0, MOST_NEIGHBORS)
        self.neighbors_slider = _slider("Neighbours averaged over", 0, MOST_NEIGHBORS)
        self.refine = QCheckBox("Smooth borders")
        self.refine.setToolTip(
            "Give every cell the domain of most cells next to it: fewer stray cells, "
            "and thin domains may be lost"
        )
        for box, name in ((self.count, "Number of domains"), (self.neighbors, "Neighbours")):
            box.setAccessibleName(name)
        self._tell()
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self._pass_on)
        self._lay_out()
        self._connect()

    def show_state(self, state: DomainsState) -> None:
        """Show settings, unless some are moved right now."""
        settings = state.settings
        self.form.setRowVisible(self.count_row, not settings.by_resolution)
        self.form.setRowVisible(self.resolution_row, settings.by_resolution)
        if not self._settle.isActive():
            self._show(settings)

    def _show(self, settings: Settings) -> None:
        """Set the controls without telling anybody."""
        controls = (
            (self.count, settings.n_domains),
            (self.count_slider, settings.n_domains),
            (self.neighbors, settings.neighbors),
            (self.neighbors_slider, settings.neighbors),
            (self.resolution, round(math.log2(settings.resolution) * STEPS)),
        )
        for control, value in controls:
            control.blockSignals(True)
            control.setValue(value)
            control.blockSignals(False)
        self.way.setCurrentIndex(self.way.findData(settings.way))
        self.refine.blockSignals(True)
        self.refine.setChecked(settings.refine)
        self.refine.blockSignals(False)
        self._show_resolution()

    def _tell(self) -> None:
        for control in (self.count, self.count_slider):
            control.setToolTip("How many domains there are; nobody knows, look at several")
        for control in (self.neighbors, self.neighbors_slider):
            control.setToolTip(
                "Cells around each over which its features are averaged: more of them give larger "
                "and smoother domains"
            )
        self.resolution.setToolTip("Leiden's resolution: the higher, the more domains")

    def _lay_out(self) -> None:
        self.count_row = _row(self.count_slider, self.count)
        self.resolution_row = _row(self.resolution, self.resolution_value)
        self.neighbors_row = _row(self.neighbors_slider, self.neighbors)
        self.form = QFormLayout(self)
        self.form.setContentsMargins(0, 0, 0, 0)
        self.form.setVerticalSpacing(3)
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for label, widget in (
            ("Cluster by", self.way),
            ("Domains", self.count_row),
            ("Resolution", self.resolution_row),
            ("Neighbours", self.neighbors_row),
        ):
            self.form.addRow(label, widget)
        self.form.addRow("", self.refine)

    def _connect(self) -> None:
        for slider, box in (
            (self.count_slider, self.count),
            (self.neighbors_slider, self.neighbors),
        ):
            slider.valueChanged.connect(box.setValue)
            box.valueChanged.connect(slider.setValue)
            box.valueChanged.connect(lambda _: self._settle.start())
        self.resolution.valueChanged.connect(lambda _: self._settle.start())
        self.resolution.valueChanged.connect(self._show_resolution)
        self.way.activated.connect(lambda i: self._controller.set(way=self.way.itemData(i)))
        self.refine.toggled.connect(lambda checked: self._controller.set(refine=checked))

    def _show_resolution(self) -> None:
        self.resolution_value.setText(f"{self._resolution:.3g}")

    @property
    def _resolution(self) -> float:
        return float(2 ** (self.resolution.value() / STEPS))

    def _pass_on(self) -> None:
        self._controller.set(
            n_domains=self.count.value(),
            resolution=self._resolution,
            neighbors=self.neighbors.value(),
        )


class DomainsPanel(QWidget):
    """The view of a :class:`DomainsController`, with the training of a small model."""

    def __init__(
        self,
        controller: DomainsController,
        outlines: DomainOutlines,
        pretraining: PretrainingController,
    ) -> None:
        super().__init__()
        self._controller = controller
        self.model = _box("What cells are compared by", MODELS)
        self.bundles = BundleChooser(
            "Bundle of the model",
            "Bundles of the model: those trained here, and those opened before",
            NO_BUNDLE,
        )
        self.training = PretrainingForm(pretraining)
        self.train_toggle = Fold(
            "Train a small model on this section",
            "Let a small OmniCell learn from this section, without labels",
            self.training,
        )
        self.learning = LearningSettings(controller)
        self.settings = DomainSettings(controller)
        self.run_button = QPushButton("Find domains")
        self.run_button.setObjectName("main")
        self.run_button.setToolTip("Give every cell a domain, and paint them")
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop; the domains on view stay")
        self.outlines = QCheckBox("Outlines")
        self.outlines.setToolTip("Draw the domains' outlines over the cells, whatever is painted")
        self.keys_label = QLabel("On view")
        self.keys = QComboBox()
        self.keys.setToolTip("Domains that this section has: those stored, and those found now")
        self.keys.setAccessibleName("Domains on view")
        self.keys.setPlaceholderText("Show stored domains")
        self.keys.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.told = hint_label()
        self.hint = hint_label()
        self.failure = FailureBox()
        self.outline_failure = FailureBox()
        self._lay_out()
        self._connect()
        bind(self, controller, self.show_state)
        bind(self, outlines, self.show_outlines)
        self.outlines.toggled.connect(outlines.show)

    def show_state(self, state: DomainsState) -> None:
        """Show what the controller knows."""
        self.model.setCurrentIndex(self.model.findData(state.model))
        self.bundles.show_bundles(state.known, state.chosen, optional=not state.kind.needs)
        self.bundles.setVisible(bool(state.kind.takes))
        self.learning.show_state(state)
        self.train_toggle.setVisible(state.model == "omnicell")
        if state.model != "omnicell":
            self.train_toggle.setChecked(False)
        self.settings.show_state(state)
        busy = state.reading or state.clustering
        self.run_button.setEnabled(state.ready and not busy)
        self.run_button.setVisible(not busy)
        self.cancel_button.setVisible(busy)
        _fill(self.keys, [(key, key, f"Domains {key}") for key in state.keys])
        self.keys.setCurrentIndex(self.keys.findData(state.key))
        for widget in (self.keys_label, self.keys):
            widget.setVisible(bool(state.keys))
        self.told.setText(state.told)
        self.told.setVisible(bool(state.told))
        self.hint.setText(hint(state))
        self.failure.show_failure(state.failure)

    def show_outlines(self, state: OutlinesState) -> None:
        """Show whether outlines are drawn."""
        self.outlines.setChecked(state.shown)
        self.outline_failure.show_failure(state.failure)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.training.curve.set_colors(colors)

    def _lay_out(self) -> None:
        act = QHBoxLayout()
        act.addWidget(self.run_button)
        act.addWidget(self.cancel_button)
        act.addWidget(self.outlines)
        act.addStretch(1)
        shown = QHBoxLayout()
        shown.addWidget(self.keys_label)
        shown.addWidget(self.keys, 1)
        compare = QFormLayout()
        compare.setContentsMargins(0, 0, 0, 0)
        compare.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        compare.addRow("Compare by", self.model)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(compare)
        for widget in (
            self.bundles, self.train_toggle, self.training, self.learning, self.settings,
        ):  # fmt: skip
            column.addWidget(widget)
        column.addLayout(act)
        column.addLayout(shown)
        for notice in (self.told, self.hint, self.failure, self.outline_failure):
            column.addWidget(notice)

    def _connect(self) -> None:
        controller = self._controller
        self.model.activated.connect(lambda i: controller.choose_model(self.model.itemData(i)))
        self.bundles.chosen.connect(self._on_bundle)
        self.run_button.clicked.connect(controller.run)
        self.cancel_button.clicked.connect(controller.cancel)
        self.keys.activated.connect(lambda i: controller.show_key(self.keys.itemData(i)))

    def _on_bundle(self, path: Path | None) -> None:
        if path is None:
            self._controller.start_anew()
        else:
            self._controller.choose(path)


def _fill(box: QComboBox, entries: list[tuple[str, object, str]]) -> None:
    """List entries, each a text, what it stands for, and its tooltip."""
    if [box.itemData(i) for i in range(box.count())] == [data for _, data, _ in entries]:
        return
    box.clear()
    for text, data, tip in entries:
        box.addItem(text, data)
        box.setItemData(box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)


def _box(
    name: str, entries: dict[Model, tuple[str, str]] | dict[Way, tuple[str, str]]
) -> QComboBox:
    box = QComboBox()
    box.setAccessibleName(name)
    box.setToolTip(name)
    box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    _fill(box, [(text, data, tip) for data, (text, tip) in entries.items()])
    return box


def _slider(name: str, low: int, high: int) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(low, high)
    slider.setAccessibleName(name)
    return slider


def _row(wide: QWidget, narrow: QWidget) -> QWidget:
    widget = QWidget()
    row = QHBoxLayout(widget)
    row.setContentsMargins(0, 0, 0, 0)
    row.addWidget(wide, 1)
    row.addWidget(narrow)
    return widget
