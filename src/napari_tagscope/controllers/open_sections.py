"""The sections that one viewer holds: the one on view, and those left aside with all they had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_tagscope.controllers.painter import Look, Shape
from napari_tagscope.controllers.section_card import Card
from napari_tagscope.state import Rows, ViewerState

if TYPE_CHECKING:
    from tagscope.api import AnnotationResult, DomainMap, LabelAgreement, OpenedSection


@dataclass(frozen=True)
class Left:
    """What was on view and selected when a section was left; ``seen`` is the painter's.

    Of one that has just been opened, the results it came with.
    """

    result: AnnotationResult | None
    domains: DomainMap | None = None
    label: str | None = None
    domain: str | None = None
    gene: str | None = None
    cell: int | None = None
    rows: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    seen: Any = None
    agreement: LabelAgreement | None = None

    @classmethod
    def of(cls, state: ViewerState, seen: Any) -> Left:
        """What is on view now."""
        return cls(
            state.result, state.domains, state.label, state.domain, state.gene, state.cell,
            state.rows, seen, state.agreement,
        )  # fmt: skip

    def put_back(self, state: ViewerState) -> None:
        """Show and select it again."""
        state.set_domains(self.domains)
        state.set_agreement(self.agreement)
        state.set_result(self.result)  # painted over the others
        state.select_label(self.label)
        state.select_domain(self.domain)
        state.select_gene(self.gene)
        state.select_cell(self.cell)
        state.select_rows(self.rows)


@dataclass(eq=False)
class OpenSection:
    """One section. ``alternatives`` are choices it could have been opened with in place of its
    own; ``results`` those shown so far by key; ``left`` is None while it is on view."""

    opened: OpenedSection
    choices: dict[str, Any]
    card: Card
    alternatives: dict[str, tuple[str, ...]]
    keys: tuple[str, ...]
    look: Look
    shape: Shape
    results: dict[str, AnnotationResult] = field(default_factory=dict)
    left: Left | None = None

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.opened.source.path

    @property
    def shapeless(self) -> bool:
        """Whether its cells are centroids alone."""
        section = self.opened.section
        return section.outlines is None and section.labels is None


def titles_of(sections: Sequence[OpenSection]) -> tuple[str, ...]:
    """Names to choose by; those of one name are told apart by their folders."""
    names = [section.card.title for section in sections]
    return tuple(
        f"{name} · {section.path.absolute().parent.name}" if names.count(name) > 1 else name
        for name, section in zip(names, sections, strict=True)
    )
