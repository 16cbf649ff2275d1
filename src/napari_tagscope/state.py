"""What one viewer shows: the open section, the results on view, and what is selected in it.

Panels know this state and not each other: what is chosen in one of them is chosen in all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from psygnal import Signal

if TYPE_CHECKING:
    from tagscope.api import AnnotationResult, DomainMap, LabelAgreement, OpenedSection


Rows = npt.NDArray[np.int64]

_NONE: Rows = np.zeros(0, np.int64)


class ViewerState:
    """The state of one viewer. Every setter emits its event only when something changed."""

    section_changed = Signal(object)
    """``OpenedSection | None``. Results and selection have been cleared by then."""
    result_changed = Signal(object)
    """``AnnotationResult | None``: the result on view."""
    domains_changed = Signal(object)
    """``DomainMap | None``: the domains on view."""
    agreement_changed = Signal(object)
    """``LabelAgreement | None``: the comparison of models on view."""
    label_selected = Signal(object)
    """``str | None``: a cell type, None for all."""
    domain_selected = Signal(object)
    """``str | None``: a domain, None for all."""
    gene_selected = Signal(object)
    """``str | None``: a gene."""
    cell_selected = Signal(object)
    """``int | None``: a row of the section."""
    rows_selected = Signal(object)
    """``Rows``: several cells, (n,) rows in ascending order; none of them for no selection."""

    def __init__(self) -> None:
        self._opened: OpenedSection | None = None
        self._choices: dict[str, Any] = {}
        self._result: AnnotationResult | None = None
        self._results: dict[str, AnnotationResult] = {}
        self._agreement: LabelAgreement | None = None
        self._domains: DomainMap | None = None
        self._label: str | None = None
        self._domain: str | None = None
        self._gene: str | None = None
        self._cell: int | None = None
        self._rows: Rows = _NONE

    @property
    def opened(self) -> OpenedSection | None:
        """The open section."""
        return self._opened

    @property
    def choices(self) -> dict[str, Any]:
        """What the section was opened with: table, layer and the like."""
        return dict(self._choices)

    @property
    def result(self) -> AnnotationResult | None:
        """The result on view."""
        return self._result

    @property
    def results(self) -> dict[str, AnnotationResult]:
        """The results of the section that were on view so far, the latest of every key."""
        return dict(self._results)

    @property
    def agreement(self) -> LabelAgreement | None:
        """The comparison of models on view."""
        return self._agreement

    @property
    def domains(self) -> DomainMap | None:
        """The domains on view."""
        return self._domains

    @property
    def label(self) -> str | None:
        """The selected cell type."""
        return self._label

    @property
    def domain(self) -> str | None:
        """The selected domain."""
        return self._domain

    @property
    def gene(self) -> str | None:
        """The selected gene."""
        return self._gene

    @property
    def cell(self) -> int | None:
        """The selected cell."""
        return self._cell

    @property
    def rows(self) -> Rows:
        """Rows of the selected cells, ascending and read-only; empty for none."""
        return self._rows

    def set_section(
        self,
        opened: OpenedSection | None,
        choices: Mapping[str, Any] | None = None,
        results: Mapping[str, AnnotationResult] | None = None,
    ) -> None:
        """Open another section, with ``results`` it had before: nothing of the last one stays."""
        if opened is self._opened:
            return
        self.select_cell(None)
        self.select_rows(_NONE)
        self.select_gene(None)
        self.set_result(None)
        self.set_domains(None)
        self.set_agreement(None)
        self._results = dict(results or {})
        self._opened = opened
        self._choices = dict(choices or {})
        self.section_changed.emit(opened)

    def set_result(self, result: AnnotationResult | None) -> None:
        """Show another result; a selected cell type that it does not have is let go."""
        if result is self._result:
            return
        if self._label is not None and (
            result is None or self._label not in result.annotation.labels.names
        ):
            self.select_label(None)
        self._result = result
        if result is not None:
            self._results[result.key] = result
        self.result_changed.emit(result)

    def set_domains(self, domains: DomainMap | None) -> None:
        """Show other domains; a selected domain that is not among them is let go."""
        if domains is self._domains:
            return
        if self._domain is not None and (
            domains is None or self._domain not in domains.domains.names
        ):
            self.select_domain(None)
        self._domains = domains
        self.domains_changed.emit(domains)

    def set_agreement(self, agreement: LabelAgreement | None) -> None:
        """Show another comparison of models."""
        if agreement is not self._agreement:
            self._agreement = agreement
            self.agreement_changed.emit(agreement)

    def select_label(self, label: str | None) -> None:
        """Select a cell type, None for all."""
        if label != self._label:
            self._label = label
            self.label_selected.emit(label)

    def select_domain(self, domain: str | None) -> None:
        """Select a domain, None for all."""
        if domain != self._domain:
            self._domain = domain
            self.domain_selected.emit(domain)

    def select_gene(self, gene: str | None) -> None:
        """Select a gene."""
        if gene != self._gene:
            self._gene = gene
            self.gene_selected.emit(gene)

    def select_cell(self, cell: int | None) -> None:
        """Select a cell by its row."""
        if cell != self._cell:
            self._cell = cell
            self.cell_selected.emit(cell)

    def select_rows(self, rows: npt.ArrayLike) -> None:
        """Select several cells by their rows, in any order; none for no selection."""
        chosen: Rows = np.array(rows, np.int64)
        if (chosen[1:] <= chosen[:-1]).any():  # sorting a million takes longer than a frame
            chosen = np.unique(chosen)
        chosen.flags.writeable = False
        if not np.array_equal(chosen, self._rows):
            self._rows = chosen
            self.rows_selected.emit(chosen)
