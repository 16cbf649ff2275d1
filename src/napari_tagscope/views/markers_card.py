"""Marker genes of a domain."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QLineEdit

from napari_tagscope.controllers.markers import MarkersController, MarkersState
from napari_tagscope.controllers.numbers import percent
from napari_tagscope.views.card import Card, FailureBox, bind, hint_label
from napari_tagscope.views.domain_box import copy, copy_button, domain_box, list_domains
from napari_tagscope.views.table import Column, Row, Table
from napari_tagscope.views.theme import Colors

MOST_ROWS = 10
AUC = "{:.2f}".format
CHANGE = "{:+.2f}".format
FOUND_BY_EXPRESSION = (
    "Domains were found by expression: that genes differ between them is what they are made of, "
    "and is no test."
)
MARKERS = (
    Column(
        "gene",
        "Genes that are higher in the domain: click one to paint its expression",
        ranked=True,
    ),
    Column(
        "AUC", "Probability that a cell of the domain has more of it than another", 10, AUC, "auc"
    ),
    Column("log2", "Log2 fold change of the mean: domain over all other cells", 7, CHANGE),
    Column("here", "Share of the domain's cells in which it was seen", 7, percent),
    Column("else", "Share of all other cells in which it was seen", 7, percent),
)


class MarkersCard(Card):
    """The view of a :class:`MarkersController`; genes are compared once it is unfolded."""

    def __init__(self, controller: MarkersController) -> None:
        super().__init__("Marker genes", "Genes that tell a domain from all others", opened=False)
        self._controller = controller
        self.domains = domain_box("The domain whose genes are listed")
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter")
        self.filter.setToolTip("Keep only genes whose name contains this")
        self.filter.setAccessibleName("Filter the genes")
        self.filter.setClearButtonEnabled(True)
        self.copy_button = copy_button("Copy the list, to paste into a spreadsheet")
        self.table = Table("Marker genes of a domain", MARKERS, most_rows=MOST_ROWS, sortable=True)
        self.note = hint_label()
        self.note.setText(FOUND_BY_EXPRESSION)
        self.hint = hint_label()
        self.failure = FailureBox()
        above = QHBoxLayout()
        above.addWidget(self.domains, 1)
        above.addWidget(self.filter, 1)
        above.addWidget(self.copy_button)
        self.body.addLayout(above)
        self.add(self.hint, self.table, self.note, self.failure)
        self.domains.activated.connect(lambda i: controller.choose_domain(self.domains.itemText(i)))
        self.filter.textChanged.connect(self.table.proxy.setFilterFixedString)
        self.table.row_chosen.connect(self._on_row)
        self.copy_button.clicked.connect(lambda: copy(controller.as_text()))
        self.heading.toggled.connect(controller.look)
        bind(self, controller, self.show_state)

    def show_state(self, state: MarkersState) -> None:
        """Show what the controller knows."""
        list_domains(self.domains, state.domains, state.domain)
        self.table.show_rows(
            [
                Row(
                    (r.gene, r.auc, r.log2_fold_change, r.share_inside, r.share_outside),
                    f"{r.gene}: click to paint it",
                )
                for r in state.rows
            ]
        )
        self.table.mark(next((n for n, r in enumerate(state.rows) if r.gene == state.gene), -1))
        for widget in (self.domains, self.filter, self.copy_button, self.note):
            widget.setVisible(bool(state.rows))
        self.hint.setText(state.hint)
        self.hint.setVisible(bool(state.hint))
        self.failure.show_failure(state.failure)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.table.set_colors(colors)

    def _on_row(self, row: int) -> None:
        self._controller.choose_gene(str(self.table.rows[row].values[0]))
