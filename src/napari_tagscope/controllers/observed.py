"""A frozen state that tells when it is replaced by a different one."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from psygnal import Signal, SignalInstance

S = TypeVar("S")


class Observed(Generic[S]):
    """Holds a controller's state, a frozen dataclass; views show it, tests compare it."""

    changed = Signal(object)
    """The new state."""

    def __init__(self, state: S) -> None:
        self._state = state

    @property
    def state(self) -> S:
        """What the panel shows."""
        return self._state

    def _update(self, **changes: Any) -> None:
        """Replace some fields; tells nobody where nothing differs."""
        from dataclasses import replace

        new = replace(self._state, **changes)  # type: ignore[type-var]
        if new != self._state:
            self._state = new
            emitter: SignalInstance = self.changed
            emitter.emit(new)
