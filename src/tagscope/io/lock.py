"""One writer at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tagscope.errors import OutputError
from tagscope.io.atomic import escaped, is_running, made_parents, write_failure

if TYPE_CHECKING:
    from filelock import SoftFileLock

_PATIENCE = 0.3  # seconds, in which the lock of a process that is gone is taken over
_NAMELESS = 3.0  # seconds, in which a lock is named or was made by a process killed before that


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other writers of ``path`` away by a lock file beside it, which names its owner.

    The lock of a process of this machine that has died counts for nothing.

    Raises
    ------
    OutputError
        If another process, or another thread of this one, writes there.
    """
    from filelock import SoftFileLock, Timeout

    place = path.with_name(f".{path.name}.lock")
    lock = SoftFileLock(place, timeout=_PATIENCE, poll_interval=0.02, thread_local=False)
    with made_parents(path):
        try:
            _acquire(lock, place)
        except Timeout as error:
            raise _busy(path, place) from error
        except OSError as error:
            raise write_failure(error, path, place) or error from error
        try:
            _sweep(place)
            yield
        finally:
            lock.release()


def _acquire(lock: SoftFileLock, place: Path) -> None:
    from filelock import Timeout

    try:
        lock.acquire()
    except Timeout:
        if _owner(place) is not None:
            raise
        with suppress(Timeout):
            lock.acquire(timeout=_NAMELESS)
            return
        if _owner(place) is None:
            place.unlink(missing_ok=True)
        lock.acquire()


def _owner(lock: Path) -> str | None:
    """Who holds a lock, None where it does not tell."""
    with suppress(OSError, ValueError):
        process, machine = lock.read_text().split()[:2]
        return f"process {process} on {machine}"
    return None


def _sweep(lock: Path) -> None:
    """Remove what a process leaves that is killed while it takes over the lock of another."""
    start = f"{lock.name}.break."
    for rest in lock.parent.glob(f"{escaped(start)}*"):
        process = rest.name.removeprefix(start).split(".", 1)[0]
        if process.isdigit() and not is_running(int(process)):
            rest.unlink(missing_ok=True)


def _busy(path: Path, lock: Path) -> OutputError:
    return OutputError(
        f"{path} is being written by {_owner(lock) or 'another process'}.",
        "One process writes at a time.",
        f"Try again when it is done; if that process is gone, remove {lock}.",
    )
