"""What a tile costs drawn anew, and read from disk: which tiles are worth keeping.

Run with ``pytest tests/bench/test_canvas_tiles.py --benchmark-only``.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from canvas_tissue import polygons, positions
from napari_tagscope.canvas.drawn import TILE
from napari_tagscope.canvas.labels import LabelPyramid
from napari_tagscope.canvas.tile_cache import TileCache
from tagscope import api

LEVELS = [0, 2, 4, 5, 6, 7]


@pytest.fixture(scope="module", params=["polygons", "discs", "areas", "label image"])
def pyramid(request: pytest.FixtureRequest) -> LabelPyramid:
    if request.param == "label image":
        shared = request.getfixturevalue("shared")
        section = api.open_section(shared / "data/vendor/xenium_mouse_5k_23cells.zarr").section
        return LabelPyramid(section.xy, section.outlines, labels=section.labels)
    xy = positions(300_000)
    made = LabelPyramid(xy, polygons(xy, corners=20) if request.param == "polygons" else None)
    made.shape = "areas" if request.param == "areas" else "discs"
    return made


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("how", ["drawn", "written", "read"])
def test_a_tile(
    benchmark: BenchmarkFixture, pyramid: LabelPyramid, how: str, level: int, tmp_path: Path
) -> None:
    if level >= len(pyramid):
        pytest.skip("fewer levels")
    rows, columns = pyramid.shapes[level]
    place = (level, rows // TILE // 2 * TILE, columns // TILE // 2 * TILE)
    tile = pyramid._draw(*place)
    cache = TileCache(tmp_path)
    cache.write("tile", tile)
    work = {
        "drawn": lambda: pyramid._draw(*place),
        "written": lambda: cache.write("tile", tile),
        "read": lambda: cache.read("tile", tile.shape),
    }[how]
    benchmark.extra_info["kilobytes"] = (tmp_path / "tile.tile").stat().st_size // 1000
    benchmark.pedantic(work, rounds=5, warmup_rounds=1)
