"""The legends of a viewer in one place: of cell types, and of domains where there are any."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_tagscope.controllers.domain_legend import DomainLegend
from napari_tagscope.controllers.legend import LegendController
from napari_tagscope.state import ViewerState
from napari_tagscope.views.legend_view import DomainLegendView, LegendView


class Legends(QWidget):
    """Turns to the legend of what was found last."""

    def __init__(
        self, viewer_state: ViewerState, types: LegendController, domains: DomainLegend
    ) -> None:
        super().__init__()
        self._viewer_state = viewer_state
        self.types, self.domains = LegendView(types), DomainLegendView(domains)
        self.types_button = QPushButton("Cell types")
        self.types_button.setToolTip("List the cell types")
        self.domains_button = QPushButton("Domains")
        self.domains_button.setToolTip("List the domains")
        self.switch = QButtonGroup(self)
        self.buttons = QWidget()
        row = QHBoxLayout(self.buttons)
        row.setContentsMargins(0, 0, 0, 0)
        for button in (self.types_button, self.domains_button):
            button.setCheckable(True)
            self.switch.addButton(button)
            row.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for widget in (self.buttons, self.types, self.domains):
            column.addWidget(widget)
        self.types_button.clicked.connect(lambda: self.turn_to(self.types))
        self.domains_button.clicked.connect(lambda: self.turn_to(self.domains))
        self._follow()

    def turn_to(self, legend: QWidget) -> None:
        """Show one of the legends."""
        there = self._viewer_state.domains is not None
        legend = legend if there else self.types
        self.buttons.setVisible(there)
        self.types_button.setChecked(legend is self.types)
        self.domains_button.setChecked(legend is self.domains)
        self.types.setVisible(legend is self.types)
        self.domains.setVisible(legend is self.domains)

    def _follow(self) -> None:
        """Follow the viewer's state, as long as the widget lives."""
        state = self._viewer_state
        followed = (
            (state.domains_changed, self._on_domains),
            (state.result_changed, self._on_result),
        )
        for signal, slot in followed:
            signal.connect(slot)
            self.destroyed.connect(
                lambda _=None, signal=signal, slot=slot: signal.disconnect(slot, missing_ok=True)
            )
        self.turn_to(self.domains if state.result is None else self.types)

    def _on_domains(self, found: Any) -> None:
        self.turn_to(self.types if found is None else self.domains)

    def _on_result(self, result: Any) -> None:
        self.turn_to(self.domains if result is None else self.types)
