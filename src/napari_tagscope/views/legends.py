"""The legends of a viewer in one place: of cell types, and of all else that was painted."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_tagscope.controllers.agreement_legend import AgreementLegend
from napari_tagscope.controllers.domain_legend import DomainLegend
from napari_tagscope.controllers.legend import LegendController
from napari_tagscope.state import ViewerState
from napari_tagscope.views.legend_view import AgreementLegendView, DomainLegendView, LegendView


class Legends(QWidget):
    """Turns to the legend of what was found last."""

    def __init__(
        self,
        viewer_state: ViewerState,
        types: LegendController,
        domains: DomainLegend,
        agreement: AgreementLegend,
    ) -> None:
        super().__init__()
        self._viewer_state = viewer_state
        self.types, self.domains = LegendView(types), DomainLegendView(domains)
        self.agreement = AgreementLegendView(agreement)
        self.types_button = QPushButton("Cell types")
        self.types_button.setToolTip("List the cell types")
        self.domains_button = QPushButton("Domains")
        self.domains_button.setToolTip("List the domains")
        self.agreement_button = QPushButton("Agreement")
        self.agreement_button.setToolTip("List who agrees on how many cells")
        self._legends: dict[QPushButton, QWidget] = {
            self.types_button: self.types,
            self.domains_button: self.domains,
            self.agreement_button: self.agreement,
        }
        self._shown: QWidget = self.types
        self.switch = QButtonGroup(self)
        self.buttons = QWidget()
        row = QHBoxLayout(self.buttons)
        row.setContentsMargins(0, 0, 0, 0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.buttons)
        for button, legend in self._legends.items():
            button.setCheckable(True)
            button.clicked.connect(lambda _, legend=legend: self.turn_to(legend))
            self.switch.addButton(button)
            row.addWidget(button)
            column.addWidget(legend)
        self._follow(types)

    def turn_to(self, legend: QWidget) -> None:
        """Show one of the legends, that of cell types in place of one that has nothing."""
        there: dict[QWidget, bool] = {
            self.types: True,
            self.domains: self._viewer_state.domains is not None,
            self.agreement: self._viewer_state.agreement is not None,
        }
        self._shown = legend = legend if there[legend] else self.types
        self.buttons.setVisible(sum(there.values()) > 1)
        for button, one in self._legends.items():
            button.setVisible(there[one])
            button.setChecked(one is legend)
            one.setVisible(one is legend)

    def _follow(self, types: LegendController) -> None:
        """Follow the viewer's state, as long as the widget lives."""
        state = self._viewer_state
        followed = (
            (state.domains_changed, self._on_domains),
            (state.result_changed, self._on_result),
            (state.agreement_changed, self._on_agreement),
            (types.begun, self._on_begun),
        )
        for signal, slot in followed:
            signal.connect(slot)
            self.destroyed.connect(
                lambda _=None, signal=signal, slot=slot: signal.disconnect(slot, missing_ok=True)
            )
        self.turn_to(self.domains if state.result is None else self.types)

    def _on_begun(self) -> None:
        self.turn_to(self.types)

    def _on_domains(self, found: Any) -> None:
        self.turn_to(self.types if found is None else self.domains)

    def _on_result(self, result: Any) -> None:
        self.turn_to(self.domains if result is None else self.types)

    def _on_agreement(self, found: Any) -> None:
        self.turn_to(self._shown if found is None else self.agreement)
