"""Tiles on disk: what comes back, what is thrown away, and what a broken file does."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from napari_tagscope.canvas import labels
from napari_tagscope.canvas.drawn import TILE, DrawnCells
from napari_tagscope.canvas.labels import LabelPyramid
from napari_tagscope.canvas.tile_cache import TileCache, shared_cache
from tagscope.core.section import LabelImage

SHAPE = (TILE, TILE)


def tile(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1 << 30, SHAPE, dtype=np.int32)


def positions(side: int = 12) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2) * 10.0


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts tiles drawn, each of them worth keeping."""
    made: list[int] = []
    draw = DrawnCells.draw
    monkeypatch.setattr(labels, "WORTH_KEEPING", -1.0)
    monkeypatch.setattr(DrawnCells, "draw", lambda *a, **k: made.append(1) or draw(*a, **k))
    return made


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    cache = TileCache(tmp_path)
    assert cache.read("a-0-0-0", SHAPE) is None
    cache.write("a-0-0-0", tile(0))
    assert np.array_equal(cache.read("a-0-0-0", SHAPE), tile(0))
    assert [path.name for path in files(tmp_path)] == ["a-0-0-0.tile"]


@pytest.mark.parametrize("damage", [b"", b"no zlib", None])
def test_a_damaged_tile_is_drawn_again(
    tmp_path: Path, damage: bytes | None, drawings: list[int]
) -> None:
    first = np.asarray(LabelPyramid(positions(), disk=TileCache(tmp_path)).levels[0])
    for path in files(tmp_path):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    drawings.clear()
    again = np.asarray(LabelPyramid(positions(), disk=TileCache(tmp_path)).levels[0])
    assert np.array_equal(first, again)
    count = len(drawings)
    assert count == len(files(tmp_path))
    np.asarray(LabelPyramid(positions(), disk=TileCache(tmp_path)).levels[0])
    assert len(drawings) == count  # what was damaged was mended


def test_the_tiles_used_longest_ago_go_first(tmp_path: Path) -> None:
    size = 1_050_000  # noise does not compress
    cache = TileCache(tmp_path, limit=5 * size)
    for number in range(5):
        cache.write(str(number), tile(number))
        os.utime(tmp_path / f"{number}.tile", (number, number))
    assert cache.read("0", SHAPE) is not None
    cache.write("5", tile(5))
    assert {path.stem for path in files(tmp_path)} == {"0", "3", "4", "5"}
    TileCache(tmp_path, limit=2 * size).write("6", tile(6))
    assert [path.stem for path in files(tmp_path)] == ["6"]


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = TileCache(tmp_path / "file")
    cache.write("a", tile(0))
    assert cache.read("a", SHAPE) is None


def test_a_disk_that_fills_up_is_no_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    TileCache(tmp_path).write("a", tile(0))
    assert list(tmp_path.iterdir()) == []


def test_a_tile_is_drawn_once_and_another_section_s_is_not_taken(
    tmp_path: Path, drawings: list[int]
) -> None:
    def drawn(xy: np.ndarray, shape: str = "discs", **named: object) -> int:
        drawings.clear()
        pyramid = LabelPyramid(xy, disk=TileCache(tmp_path), **named)
        pyramid.shape = shape
        np.asarray(pyramid.levels[-1])
        return len(drawings)

    xy = positions()
    assert drawn(xy) == 1
    assert drawn(xy) == 0
    assert drawn(xy, "areas") == 1
    assert drawn(xy, spot_diameter=7.0) == 1
    assert drawn(xy * 1.01) == 1
    assert drawn(xy) == 0


def test_tiles_of_a_label_image_are_kept_where_its_changes_can_be_told(tmp_path: Path) -> None:
    def digest(identity: str) -> str | None:
        level = np.zeros((90, 90), np.int32)
        image = LabelImage((level,), (np.eye(3),), np.arange(144), identity)
        return LabelPyramid(positions(), labels=image, disk=TileCache(tmp_path)).digest

    assert digest("") is None
    assert digest("a") == digest("a") != digest("b")


def test_tiles_that_are_drawn_quickly_are_not_written(tmp_path: Path) -> None:
    pyramid = LabelPyramid(positions(3), disk=TileCache(tmp_path))
    np.asarray(pyramid.levels[-1])
    assert labels.WORTH_KEEPING > 0
    assert len(files(tmp_path)) <= len(pyramid._tiles)


def test_two_writers_of_one_tile(tmp_path: Path) -> None:
    cache = TileCache(tmp_path)
    writers = [threading.Thread(target=cache.write, args=("a", tile(0))) for _ in range(4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        found = cache.read("a", SHAPE)
        assert found is None or np.array_equal(found, tile(0))
    assert len(files(tmp_path)) == 1


def test_the_user_s_cache_may_be_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shared_cache.cache_clear()
    monkeypatch.setenv("TAGSCOPE_CACHE", str(tmp_path))
    shared_cache().write("a", tile(0))
    assert (tmp_path / "tiles" / "a.tile").is_file()
    shared_cache.cache_clear()
