"""HDF5 files written so that a full disk is an error like any other.

HDF5 crashes the process when a write fails while it closes a dataset or a file. Here no write fails
for HDF5: after the first failure all that follows is kept in memory, and the failure is raised by
whoever writes, between two blocks.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tagscope.io.compare import Step, blocks, nbytes_of

Check = Callable[[], None]
"""Raises the failure to write, if there was one."""


@contextmanager
def created(path: Path) -> Iterator[tuple[Any, Check]]:
    """A new HDF5 file, and a check to be called after every few megabytes written.

    Raises
    ------
    OSError
        On leaving, if anything could not be written.
    """
    import h5py  # type: ignore[import-untyped]

    with path.open("w+b", buffering=0) as raw:
        stream = _Stream(raw)
        with h5py.File(stream, "w") as file:
            yield file, stream.check
        stream.check()


def copy_group(source: Any, target: Any, skipped: Collection[str], step: Step) -> None:
    """Copy everything of a group but the paths in ``skipped``, compressed as it is."""
    _copy_attributes(source, target)
    for name in source:
        node = source[name]
        if node.name in skipped:
            continue
        if hasattr(node, "shape"):
            _copy_array(node, target, name, step)
        else:
            copy_group(node, target.create_group(name), skipped, step)


def _copy_array(array: Any, target: Any, name: str, step: Step) -> None:
    """Small arrays and texts by HDF5, large ones a chunk at a time as they lie on disk."""
    from h5py import h5d

    if not array.shape or array.nbytes < 1 << 20 or array.dtype.hasobject:
        target.file.copy(array, target, name)
        step(nbytes_of(array))
        return
    layout = array.id.get_create_plist()
    h5d.create(target.id, name.encode(), array.id.get_type(), array.id.get_space(), layout)
    copy = target[name]
    _copy_attributes(array, copy)
    if array.chunks is None:
        for block in blocks(array):
            copy[block] = array[block]
            step(array[block].nbytes)
        return
    stored: list[Any] = []
    array.id.chunk_iter(stored.append)
    for chunk in stored:
        mask, content = array.id.read_direct_chunk(chunk.chunk_offset)
        copy.id.write_direct_chunk(chunk.chunk_offset, content, mask)
        step(array.nbytes // len(stored))


def _copy_attributes(source: Any, target: Any) -> None:
    for name, value in source.attrs.items():
        target.attrs[name] = value


class _Stream(io.RawIOBase):
    """A file for HDF5 whose writes never fail: what the disk does not take stays in memory."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._failure: OSError | None = None
        self._kept: list[tuple[int, bytes]] = []
        self._position = 0
        self._size = 0

    def check(self) -> None:
        """Raise the first failure."""
        if self._failure is not None:
            raise self._failure

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def write(self, content: Any) -> int:
        view = memoryview(content).cast("B")
        if self._failure is None:
            try:
                self._write_all(view)
            except OSError as error:
                self._failure = error
        if self._failure is not None:
            self._kept.append((self._position, bytes(view)))
        self._position += len(view)
        self._size = max(self._size, self._position)
        return len(view)

    def _write_all(self, view: memoryview) -> None:
        self._file.seek(self._position)
        while view:
            view = view[self._file.write(view) :]

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        start, stop = self._position, self._position + len(view)
        self._file.seek(start)
        got = self._file.readinto(view) or 0
        view[got:] = bytes(len(view) - got)
        for offset, content in self._kept:
            first, last = max(start, offset), min(stop, offset + len(content))
            if first < last:
                view[first - start : last - start] = content[first - offset : last - offset]
        self._position = stop
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        size = self._position if size is None else size
        if self._failure is None:
            try:
                self._file.truncate(size)
            except OSError as error:
                self._failure = error
        self._size = size
        return size
