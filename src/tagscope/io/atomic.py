"""Outputs that appear whole or not at all.

Everything is written beside its place, on the same file system, and put there by one rename. A
kill at any moment leaves the old output or the new one, never a part of either.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import shutil
import socket
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from tagscope.errors import OutputError
from tagscope.jobs import JobCancelled, JobContext

_PARTIAL = "partial"
_REPLACED = "replaced"
_PATIENCE = 10.0  # seconds
_SYNCING = "files onto the disk"
_SWAPPING = "swapping"
_SYNCED_AT_ONCE = 8  # so that the device may order them
_BETWEEN_STEPS = 0.2  # seconds
_ZARR_MARKS = frozenset({"zarr.json", ".zgroup", ".zattrs", ".zmetadata"})

# Linux: renameat2(..., RENAME_EXCHANGE); macOS: renamex_np(..., RENAME_SWAP). Both are 2.
_EXCHANGE_FLAG = 2
_AT_FDCWD = -100

_REASONS = {
    errno.ENOSPC: (
        "there is no space left on the device",
        "Free some space, or write elsewhere.",
    ),
    errno.EDQUOT: ("the disk quota is used up", "Free some space, or write elsewhere."),
    errno.EFBIG: ("the file would be larger than the system allows", "Write elsewhere."),
    errno.EROFS: ("the file system is read-only", "Write into a folder where you may."),
    errno.EACCES: ("writing there is not permitted", "Write into a folder where you may."),
    errno.EPERM: ("writing there is not permitted", "Write into a folder where you may."),
    errno.EIO: ("the device reported an input/output error", "Check the disk, or write elsewhere."),
    errno.ENAMETOOLONG: ("the name is too long", "Choose a shorter name."),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "Choose another path."),
}

# numbers that reading an input or making something else may raise just as well
_INPUTS_TOO = frozenset({errno.EACCES, errno.EPERM, errno.ENOTDIR})


def _nothing() -> None:
    """Check nothing more."""


@contextmanager
def written_whole(
    path: Path,
    *,
    overwrite: bool = False,
    context: JobContext | None = None,
    last_check: Callable[[], None] = _nothing,
) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; on success it becomes ``path``, in one step.

    The body makes a file or a folder at the path it is given, which has the suffix of ``path`` and
    does not exist yet. On any exception, a cancelled job included, it is removed again and whatever
    stood at ``path`` is as it was. Missing parent folders are made. ``context`` hears of the files
    that reach the device and of the swap, before which a cancel is answered for the last time;
    ``last_check`` may raise right before it.

    Raises
    ------
    OutputError
        If ``path`` exists and ``overwrite`` is not set, if a folder to be overwritten holds
        something quite different, or if writing fails (disk full, read-only, not permitted).
    """
    path = Path(os.path.realpath(path))
    recover(path)
    if not overwrite:
        refuse_existing(path)
    with made_parents(path):
        _sweep(path)
        partial = beside(path)
        try:
            yield partial
            _refuse_unlike(partial, path)
            context = context or JobContext()
            flush(partial, context)
            context.step(_SWAPPING, 0, 1)
            last_check()
            if context.cancelled:
                raise JobCancelled(_SWAPPING)
            put_in_place(partial, path)
        except BaseException as error:
            _let_zarr_finish()
            remove(partial)
            failure = write_failure(error, path, partial)
            if failure is None:
                raise
            raise failure from error
        with contextlib.suppress(JobCancelled):  # what is done is done
            context.step(_SWAPPING, 1, 1)


def refuse_existing(path: Path) -> None:
    """Refuse to replace what nobody asked to replace.

    Raises
    ------
    OutputError
        If ``path`` exists.
    """
    if path.exists():
        raise OutputError(
            f"{path} exists already.",
            "An output is not replaced unasked.",
            "Choose another path, or ask for it to be replaced.",
            {"overwrite": True},
        )


@contextmanager
def made_parents(path: Path) -> Iterator[None]:
    """Make missing parent folders; those that are empty in the end are removed again."""
    made = _make_parents(path)
    try:
        yield
    finally:
        _remove_empty(made)


def beside(path: Path, purpose: str = _PARTIAL) -> Path:
    """A fresh hidden name in the folder of ``path``, with its suffix and its writer's process."""
    owner = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return path.with_name(f".{path.name}.{purpose}-{owner}{path.suffix}")


def put_in_place(new: Path, path: Path) -> None:
    """Make ``new`` be ``path``; whatever stood there is removed afterwards.

    A file replaces a file, and the two are exchanged where the system can, in one atomic step.
    Otherwise the old folder steps aside first, and :func:`recover` puts it back should the process
    die before the new one stands in its place.
    """
    if not path.exists() or (path.is_file() and new.is_file()):
        os.replace(new, path)
    elif exchange(new, path):
        remove(new)
    else:
        replaced = beside(path, _REPLACED)
        os.rename(path, replaced)
        try:
            os.rename(new, path)
        except OSError:
            os.rename(replaced, path)
            raise
        remove(replaced)
    _sync_folder(path.parent)


def exchange(first: Path, second: Path) -> bool:
    """Exchange two paths atomically; False where the system or the file system cannot."""
    one, two = os.fsencode(first), os.fsencode(second)
    library = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    if sys.platform == "darwin":
        swap = getattr(library, "renamex_np", None)
        return swap is not None and swap(one, two, _EXCHANGE_FLAG) == 0
    swap = getattr(library, "renameat2", None)
    return swap is not None and swap(_AT_FDCWD, one, _AT_FDCWD, two, _EXCHANGE_FLAG) == 0


def recover(path: Path) -> None:
    """Put back what :func:`put_in_place` had set aside when its process was killed."""
    if path.exists() or not path.parent.is_dir():
        return
    for replaced in sorted(path.parent.glob(f".{escaped(path.name)}.{_REPLACED}-*")):
        os.rename(replaced, path)
        return


def remove(path: Path) -> None:
    """Remove a file or folder if it is there. A stubborn rest is left: its name is hidden."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def flush(path: Path, context: JobContext) -> None:
    """Have the system put a file, or all files of a folder, onto the device.

    A file with a second name is part of an older output too, and was put there then. A cancel does
    not wait for the device.
    """
    if os.name != "posix":
        return
    files = [path] if path.is_file() else (p for p in path.rglob("*") if p.is_file())
    fresh = [file for file in files if file.stat().st_nlink == 1]
    pool = ThreadPoolExecutor(_SYNCED_AT_ONCE)
    try:
        waiting = {pool.submit(_sync, file) for file in fresh}
        while waiting:
            context.step(_SYNCING, len(fresh) - len(waiting), len(fresh))
            done, waiting = wait(waiting, _BETWEEN_STEPS)
            for synced in done:
                synced.result()
        context.step(_SYNCING, len(fresh), len(fresh))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def write_failure(error: BaseException, path: Path, partial: Path) -> OutputError | None:
    """The message for a failed write, or None where ``error`` is about something else."""
    code = _error_number(error)
    if code not in _REASONS or (code in _INPUTS_TOO and not _concerns(error, path, partial)):
        return None
    reason, fix = _REASONS[code]
    return OutputError(
        f"{path} could not be written: {reason}.",
        "Nothing that was on disk has been changed.",
        fix,
        {"out": None},
    )


def _let_zarr_finish() -> None:
    """Wait for the chunks that zarr still writes after the first of them has failed.

    Its tasks run on: they would make the folder again that is about to be removed.
    """
    if "zarr.core.sync" not in sys.modules:
        return
    from zarr.core.sync import sync

    async def rest() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=_PATIENCE)

    sync(rest())


def _concerns(error: BaseException, path: Path, partial: Path) -> bool:
    """Whether an error names the output (or no file at all) and not some input."""
    name = str(getattr(error, "filename", "") or "")
    return not name or any(name.startswith(str(p)) for p in (partial, path, path.parent))


def _error_number(error: BaseException) -> int:
    """The system's error number behind an exception, 0 for none.

    HDF5 reports a full disk as a ``RuntimeError`` on closing, with the number in the text alone.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno:
            return seen.errno
        for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
            if isinstance(seen, OSError | RuntimeError) and f"errno = {code}," in str(seen):
                return code
        seen = seen.__cause__ or seen.__context__
    return 0


def _make_parents(path: Path) -> list[Path]:
    """Make the missing parent folders; returns them, outermost first."""
    missing = [p for p in path.parents if not p.exists()][::-1]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if isinstance(error, FileExistsError):
            error.errno = errno.ENOTDIR
        failure = write_failure(error, path, path)
        if failure is None:
            raise
        raise failure from error
    return missing


def _remove_empty(folders: list[Path]) -> None:
    for folder in reversed(folders):
        with contextlib.suppress(OSError):
            folder.rmdir()


def _refuse_unlike(new: Path, path: Path) -> None:
    """Protect a folder full of other things from a mistyped ``--out`` with ``--overwrite``."""
    if not path.is_dir() or not any(path.iterdir()):
        return
    old = {p.name for p in path.iterdir() if p.is_file()}
    fresh = {p.name for p in new.iterdir() if p.is_file()} if new.is_dir() else set()
    if not (old & fresh or (old & _ZARR_MARKS and fresh & _ZARR_MARKS)):
        raise OutputError(
            f"{path} is a folder with other contents.",
            "Only an earlier output of the same kind is replaced.",
            "Choose another path, or remove the folder yourself.",
        )


def _sweep(path: Path) -> None:
    """Remove what killed processes of this machine left half-written for the same path."""
    start = f".{path.name}.{_PARTIAL}-{socket.gethostname()}-"
    for rest in path.parent.glob(f"{escaped(start)}*"):
        process = rest.name.removeprefix(start).split("-", 1)[0]
        if process.isdigit() and not is_running(int(process)):
            remove(rest)


def is_running(process: int) -> bool:
    """Whether a process of this machine lives; True where that cannot be told."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def escaped(name: str) -> str:
    """A name as a glob pattern that matches itself alone."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _sync(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    """Have a rename reach the device; not every file system can sync a folder."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
