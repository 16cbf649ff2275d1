"""Drawn tiles on disk: compressed, whole or not at all, the least recently used going first."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_cache_path

from napari_tagscope.canvas import raster

FOLDER = "TAGSCOPE_CACHE"  # environment: another folder than the system's for caches
LIMIT = 1 << 30  # bytes
KEPT_SHARE = 0.8  # of the limit, left after tiles were thrown away
FASTEST = 1  # zlib's level: labels repeat so much that a better one saves little


class TileCache:
    """Label tiles in files of a folder, up to ``limit`` bytes.

    A cache may always fail: what cannot be read is drawn, what cannot be written is not kept.
    """

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self._folder = folder
        self._limit = limit
        self._used: int | None = None

    def read(self, name: str, shape: tuple[int, int]) -> raster.Labels | None:
        """The tile of a name, None where there is none or its file is damaged."""
        path = self._folder / f"{name}.tile"
        try:
            packed = zlib.decompress(path.read_bytes())
            tile = np.frombuffer(packed, np.int32).reshape(shape)
            os.utime(path)  # used now, for the order of eviction
        except (OSError, ValueError, zlib.error):
            return None
        return tile

    def write(self, name: str, tile: raster.Labels) -> None:
        """Keep a tile; its file appears whole or not at all."""
        packed = zlib.compress(tile.tobytes(), FASTEST)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._folder) as aside:
                partial = Path(aside) / "tile"
                partial.write_bytes(packed)
                partial.replace(self._folder / f"{name}.tile")
        except OSError:  # a full disk, a folder that may not be written
            return
        self._make_room(len(packed))

    def _make_room(self, written: int) -> None:
        """Throw away the tiles used longest ago, where there are too many."""
        self._used = self._total() if self._used is None else self._used + written
        if self._used <= self._limit:
            return
        files = sorted(_sizes(self._folder), key=lambda file: file[0])
        self._used = sum(size for _, size, _ in files)
        for _, size, path in files:
            if self._used <= KEPT_SHARE * self._limit:
                break
            path.unlink(missing_ok=True)
            self._used -= size

    def _total(self) -> int:
        return sum(size for _, size, _ in _sizes(self._folder))


@cache
def shared_cache() -> TileCache:
    """The user's cache of tiles."""
    folder = os.environ.get(FOLDER)
    return TileCache((Path(folder) if folder else user_cache_path("tagscope")) / "tiles")


def digest_of(parts: Iterable[Any]) -> str:
    """A name for what arrays and other values say; arrays by their bytes."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        said = part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode()
        digest.update(said)
    return digest.hexdigest()


def _sizes(folder: Path) -> list[tuple[float, int, Path]]:
    """When every file was last used, its size and its path."""
    found = []
    for path in folder.glob("*.tile"):
        with suppress(FileNotFoundError):  # another window throws tiles away too
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    return found
