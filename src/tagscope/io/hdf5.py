"""HDF5 files written so that a full disk is an error like any other.

HDF5 crashes the process when a write fails while it closes a dataset or a file. Here no write fails
for HDF5: after the first failure all that follows is kept in memory, and the failure is raised by
whoever writes, between two blocks.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagscope.io.compare import Step, blocks, nbytes_of, row_bytes, same_blocks

PACKING = {"compression": "gzip"}
"""How anndata is to write small arrays."""

# Of numbers as these, higher levels spare less than a tenth, at half the speed.
_LEVEL = 1
_SMALL = 1 << 20  # bytes of an array that is copied and compared in one go

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


def is_group(node: Any) -> bool:
    """Whether a group is one of an HDF5 file."""
    import h5py

    return isinstance(node, h5py.Group)


def write_array(parent: Any, name: str, values: npt.NDArray[Any], rows: int, step: Step) -> Any:
    """A new array in chunks of so many rows, which are packed by several threads.

    HDF5 itself packs one chunk at a time. Shuffled, first bytes with first bytes, numbers take less
    room and half the time.
    """
    across = values.shape[1:]
    array = parent.create_dataset(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=(rows, *across),
        maxshape=(None, *across),
        compression="gzip",
        compression_opts=_LEVEL,
        shuffle=True,
    )
    with ThreadPoolExecutor() as pool:
        for block in blocks(values, rows):
            starts = range(block.start, block.stop, rows)
            chunks = pool.map(partial(_packed, values, rows), starts)
            for start, chunk in zip(starts, chunks, strict=True):
                array.id.write_direct_chunk((start, *(0 for _ in across)), chunk)
                step(min(rows, block.stop - start) * row_bytes(values))
    return array


def _packed(values: npt.NDArray[Any], rows: int, start: int) -> bytes:
    """A chunk as HDF5 shuffles and packs it; the last is filled up with zeros."""
    chunk = np.zeros((rows, *values.shape[1:]), values.dtype)
    part = values[start : start + rows]
    chunk[: len(part)] = part
    shuffled = chunk.view(np.uint8).reshape(-1, chunk.itemsize).T
    # measurements repeat no longer pattern: to look for one takes twice as long and packs no better
    strategy = zlib.Z_RLE if values.dtype.kind in "fc" else zlib.Z_DEFAULT_STRATEGY
    packer = zlib.compressobj(_LEVEL, strategy=strategy)
    return packer.compress(shuffled.tobytes()) + packer.flush()


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

    if _is_small(array):
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
    places = _places(array)
    for place in places:
        mask, content = array.id.read_direct_chunk(place)
        copy.id.write_direct_chunk(place, content, mask)
        step(array.nbytes // len(places))


def is_copy(array: Any, copy: Any, step: Step) -> bool:
    """Whether an array is the same as its copy, whose chunks must lie there as they are."""
    if _is_small(array) or array.chunks is None:
        return same_blocks(array, copy, step)
    if (array.shape, array.dtype) != (copy.shape, copy.dtype):
        return False
    places = _places(array)
    if not array.id.get_create_plist().equal(copy.id.get_create_plist()):
        return False
    if places != _places(copy):
        return False
    for place in places:
        if array.id.read_direct_chunk(place) != copy.id.read_direct_chunk(place):
            return False
        step(array.nbytes // len(places))
    return True


def _is_small(array: Any) -> bool:
    """Small arrays and texts are copied and compared as a whole."""
    return not array.shape or array.nbytes < _SMALL or array.dtype.hasobject


def _places(array: Any) -> list[tuple[int, ...]]:
    """Where the chunks that an array has on disk begin, in order."""
    found: list[Any] = []
    array.id.chunk_iter(found.append)
    return sorted(chunk.chunk_offset for chunk in found)


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
