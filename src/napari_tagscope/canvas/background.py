"""Drawing in a thread of its own what takes too long for a frame."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock, Thread

from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject, QTimer, Signal

TileKey = tuple[int, int, int]  # level, row and column of a tile

MOST_WANTED = 200  # tiles: more than a screen shows; what was asked for before is out of view
SHOWN_EVERY = 120  # ms between pictures while tiles arrive: each costs what a frame does


def not_drawn(error: Exception) -> None:
    """Tell a person that something stays as coarse as it is."""
    show_warning(f"Part of the picture stays coarse, as it could not be drawn: {error}")


class Background(QObject):
    """Draws tiles in a thread, what was asked for last first, and tells the thread of its maker.

    ``draw`` runs in the thread. ``drawn`` is called where this object was made, soon after tiles
    have come and once none is left; ``failed`` likewise with the first error. A tile that could not
    be drawn is not tried again. The thread lives as long as there is something to draw.
    """

    _arrived = Signal()

    def __init__(
        self,
        draw: Callable[[TileKey], None],
        drawn: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        super().__init__()
        self._draw, self._drawn, self._failed = draw, drawn, failed
        self._wanted: dict[TileKey, None] = {}
        self._thread: Thread | None = None
        self._lock = Lock()
        self._failures: dict[TileKey, Exception] = {}
        self._told = False
        self._closed = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SHOWN_EVERY)
        self._timer.timeout.connect(self._show)
        self._arrived.connect(self._on_arrived)

    @property
    def busy(self) -> bool:
        """Whether something is drawn, or waits for it."""
        return self._thread is not None

    def ask(self, keys: list[TileKey]) -> None:
        """Draw these tiles next, in their order; from any thread."""
        with self._lock:
            if self._closed:
                return
            for key in reversed(keys):
                self._wanted.pop(key, None)
                if key not in self._failures:
                    self._wanted[key] = None
            for key in list(self._wanted)[:-MOST_WANTED]:
                del self._wanted[key]
            if self._wanted and self._thread is None:
                self._thread = Thread(target=self._work, name="tagscope-tiles")
                self._thread.start()

    def finish(self) -> None:
        """Wait until all is drawn, and show it."""
        thread = self._thread
        if thread is not None:
            thread.join()
        self._show()

    def close(self) -> None:
        """Draw nothing more; waits for the tile in hand."""
        with self._lock:
            self._closed = True
            self._wanted.clear()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        """Runs in the thread."""
        while (key := self._next()) is not None:
            try:
                self._draw(key)
            except Exception as error:  # noqa: BLE001 - the thread's edge: whatever it is, it is shown
                self._failures[key] = error
            self._arrived.emit()
        self._arrived.emit()

    def _next(self) -> TileKey | None:
        with self._lock:
            if not self._wanted:
                self._thread = None
                return None
            return self._wanted.popitem()[0]

    def _on_arrived(self) -> None:
        if not self.busy:
            self._show()
        elif not self._timer.isActive():
            self._timer.start()

    def _show(self) -> None:
        self._timer.stop()
        if self._failures and not self._told:
            self._told = True
            self._failed(next(iter(self._failures.values())))
        if not self._closed:
            self._drawn()
