"""What a panel keeps of every open section, to give it back when the section is shown again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import ReferenceType, ref

if TYPE_CHECKING:
    from tagscope.api import OpenedSection

T = TypeVar("T")


class PerSection(Generic[T]):
    """Things kept by section; a section that nobody else holds takes its own along."""

    def __init__(self) -> None:
        self._left: list[tuple[ReferenceType[OpenedSection], T]] = []
        self._shown: ReferenceType[OpenedSection] | None = None

    def exchange(self, opened: OpenedSection | None, leaving: T) -> T | None:
        """Keep ``leaving`` of the section on view until now; what was kept of ``opened``, None
        where it is new."""
        if self._shown is not None:
            self._left.append((self._shown, leaving))
        self._shown = None if opened is None else ref(opened)
        alive = [(left, kept) for left, kept in self._left if left() is not None]
        self._left = [(left, kept) for left, kept in alive if left() is not opened]
        return next((kept for left, kept in alive if left() is opened), None)
