"""What changes across the boundary between two domains: genes, and the curve of one."""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QPushButton, QSpinBox, QWidget

from napari_tagscope.controllers.boundary import BoundaryController, BoundaryState, Curve
from napari_tagscope.views.card import Card, FailureBox, bind, eliding_label, hint_label
from napari_tagscope.views.domain_box import copy, copy_button, domain_box, list_domains
from napari_tagscope.views.table import Column, Row, Table
from napari_tagscope.views.theme import Colors

MOST_ROWS = 10
CHANGES = (
    Column("gene", "Genes by how much they change: click one to paint its expression", ranked=True),
    Column(
        "log2",
        "Log2 fold change next to the boundary, from the first domain to the second",
        8,
        "{:+.2f}".format,
    ),
    Column(
        "AUC",
        "Probability that a cell of the second domain has more of it than one of the first",
        7,
        "{:.2f}".format,
    ),
)


class BoundaryCurve(pg.PlotWidget):  # type: ignore[misc]
    """A gene's mean value by distance from a boundary, which is a line at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(130)
        self.setAccessibleName("The gene across the boundary")
        self.setMenuEnabled(False)
        self.setMouseEnabled(x=False, y=False)
        self.hideButtons()
        self.line = self.plot(symbol="o", symbolSize=6)
        self.middle = pg.InfiniteLine(0)
        self.addItem(self.middle)
        self._colors: Colors | None = None

    def show_curve(self, curve: Curve | None, state: BoundaryState) -> None:
        """Draw a gene's curve; nothing without one."""
        self.setVisible(curve is not None)
        if curve is None:
            return
        self.line.setData(curve.distance, curve.mean)
        self.setXRange(-state.within, state.within, padding=0.02)
        self.setToolTip(
            f"Mean of {curve.gene}, {state.scale}, by distance from the boundary: "
            f"left of 0 in {state.first}, right of it in {state.second}"
        )
        self.setLabel("bottom", f"{state.first} ← {state.unit} → {state.second}")
        self.setTitle(
            f"{curve.gene} · mean {state.scale}",
            size="9pt",
            **({"color": self._colors.text} if self._colors else {}),
        )

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self.setBackground(colors.background)
        for side in ("left", "bottom"):
            self.getAxis(side).setPen(colors.muted)
            self.getAxis(side).setTextPen(colors.muted)
        self.line.setPen(pg.mkPen(colors.expression, width=2))
        self.line.setSymbolBrush(colors.expression)
        self.line.setSymbolPen(colors.expression)
        self.middle.setPen(pg.mkPen(colors.muted, width=1))
        title: Any = self.getPlotItem().titleLabel
        self.setTitle(title.text, color=colors.text, size="9pt")


class BoundaryCard(Card):
    """The view of a :class:`BoundaryController`."""

    def __init__(self, controller: BoundaryController) -> None:
        super().__init__("Boundary", "What changes from one domain to the next", opened=False)
        self._controller = controller
        self.first = domain_box("The domain on one side")
        self.second = domain_box("The domain on the other side: those that adjoin come first")
        self.within = QSpinBox()
        self.within.setRange(1, 100_000)
        self.within.setKeyboardTracking(False)
        self.within.setToolTip(
            "Cells up to this far from the other domain are compared, in 4 bands"
        )
        self.within.setAccessibleName("Distance from the boundary")
        self.near_button = QPushButton("Select cells")
        self.near_button.setToolTip("Select the cells that were compared: all others stand back")
        self.copy_button = copy_button("Copy all genes in all bands, to paste into a spreadsheet")
        self.table = Table("Genes across the boundary", CHANGES, most_rows=MOST_ROWS, sortable=True)
        self.curve = BoundaryCurve()
        self.near = eliding_label(muted=True)
        self.hint = hint_label()
        self.failure = FailureBox()
        self._lay_out()
        for box in (self.first, self.second):
            box.activated.connect(lambda _: self._choose())
        self.within.valueChanged.connect(lambda value: controller.set_within(float(value)))
        self.table.row_chosen.connect(self._on_row)
        self.near_button.clicked.connect(controller.select_near)
        self.copy_button.clicked.connect(lambda: copy(controller.as_text()))
        self.heading.toggled.connect(controller.look)
        bind(self, controller, self.show_state)

    def show_state(self, state: BoundaryState) -> None:
        """Show what the controller knows."""
        list_domains(self.first, state.domains, state.first)
        others = (name for name in state.domains if name not in (state.first, *state.adjoining))
        list_domains(self.second, (*state.adjoining, *others), state.second)
        self.choices.setVisible(bool(state.domains))
        self.within.blockSignals(True)
        self.within.setValue(round(state.within))
        self.within.blockSignals(False)
        self.within.setSuffix(f" {state.unit}")
        self.table.show_rows(
            [
                Row((r.gene, r.log2_fold_change, r.auc), f"{r.gene}: click to paint it")
                for r in state.rows
            ]
        )
        gene = "" if state.curve is None else state.curve.gene
        self.table.mark(next((n for n, r in enumerate(state.rows) if r.gene == gene), -1))
        self.curve.show_curve(state.curve, state)
        self.near.setText(f"{state.near:,} cells within {state.within:g} {state.unit}")
        for widget in (self.near, self.near_button, self.copy_button):
            widget.setVisible(bool(state.rows))
        self.hint.setText(_hint(state))
        self.hint.setVisible(bool(self.hint.text()))
        self.failure.show_failure(state.failure)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.table.set_colors(colors)
        self.curve.set_colors(colors)

    def _lay_out(self) -> None:
        between = QHBoxLayout()
        between.addWidget(self.first, 1)
        between.addWidget(self.second, 1)
        self.choices = QWidget()
        form = QFormLayout(self.choices)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("From, to", between)
        form.addRow("Within", self.within)
        foot = QHBoxLayout()
        foot.addWidget(self.near, 1)
        foot.addWidget(self.near_button)
        foot.addWidget(self.copy_button)
        self.add(self.choices, self.hint, self.table, self.curve)
        self.body.addLayout(foot)
        self.add(self.failure)

    def _choose(self) -> None:
        first, second = self.first.currentText(), self.second.currentText()
        again = first == self._controller.state.first  # else the second is proposed
        self._controller.choose(first, second if again else "")

    def _on_row(self, row: int) -> None:
        self._controller.choose_gene(str(self.table.rows[row].values[0]))


def _hint(state: BoundaryState) -> str:
    if not state.domains:
        return "Find domains, and what changes from one to the next is shown here."
    if state.running:
        return "Comparing…"
    if state.first and state.first == state.second:
        return "A boundary lies between two domains: choose another beside it."
    return "" if state.ready else "Choose two domains that adjoin."
