"""How far a save is."""

from __future__ import annotations

from tagscope.jobs import JobContext

_MB = 10**6


class Meter:
    """How far a stage of a save is, told to its owner in MB."""

    def __init__(self, context: JobContext, stage: str) -> None:
        self._context = context
        self._stage = stage
        self._done = self._total = 0

    def expect(self, size: int) -> None:
        """More bytes are to come."""
        self._total += size

    def __call__(self, size: int = 0) -> None:
        """So many bytes are done; raises where the job was cancelled."""
        self._done = min(self._done + size, self._total)
        self._context.step(self._stage, self._done // _MB, max(1, -(-self._total // _MB)))

    def tick(self, _size: int = 0) -> None:
        """Nothing is done that counts, but it takes time."""
        self()

    def finish(self) -> None:
        """All is done."""
        self._total = max(1, -(-self._total // _MB)) * _MB
        self(self._total)


class Meters:
    """How far writing and reading back are."""

    def __init__(self, context: JobContext) -> None:
        self.writing = Meter(context, "writing MB")
        self.verifying = Meter(context, "verifying MB")

    def expect(self, size: int) -> None:
        """So many bytes are to be written, and read back."""
        self.writing.expect(size)
        self.verifying.expect(size)
