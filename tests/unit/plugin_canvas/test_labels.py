"""The label pyramid: right cell at the right place, at every level, without napari."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.path import Path as Ring

from napari_tagscope.canvas.drawn import DrawnCells
from napari_tagscope.canvas.labels import LabelPyramid
from napari_tagscope.canvas.raster import fill_polygons
from napari_tagscope.canvas.tiles import COARSEST, TILE
from tagscope.core.section import CellOutlines


def outlines_of(rings: list[np.ndarray]) -> CellOutlines:
    sizes = [len(ring) for ring in rings]
    vertices = np.concatenate([*rings, np.zeros((0, 2))]).astype(np.float32)
    return CellOutlines(vertices, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))


def grid(side: int, pitch: float = 10.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] * pitch
    return np.stack([x.ravel(), y.ravel()], axis=1) + rng.uniform(-1, 1, (side * side, 2)) + 500


def blobs(xy: np.ndarray, radius: float = 4.0, corners: int = 9, seed: int = 0) -> CellOutlines:
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    reach = radius * rng.uniform(0.7, 1.1, (len(xy), corners))
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * reach[..., None]
    return outlines_of(list(ring + xy[:, None]))


def position(pyramid: LabelPyramid, level: int, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pixel = pyramid.pixel * 2**level
    y0, x0 = pyramid.origin
    return ((xy[:, 1] - y0) / pixel).astype(int), ((xy[:, 0] - x0) / pixel).astype(int)


def test_polygons_fill_what_matplotlib_says_is_inside() -> None:
    rng = np.random.default_rng(3)
    ring = rng.uniform(-5, 40, (9, 2))  # crosses itself and the image's edge
    image = np.zeros((30, 35), np.int32)
    fill_polygons(image, ring, np.array([9]), np.array([7], np.int32))
    x, y = np.meshgrid(np.arange(35) + 0.5, np.arange(30) + 0.5)
    centers = np.stack([x.ravel(), y.ravel()], axis=1)
    # even-odd by hand: matplotlib counts windings
    a, b = ring, np.roll(ring, -1, axis=0)
    crosses = (a[:, 1] > centers[:, 1:2]) != (b[:, 1] > centers[:, 1:2])
    at = a[:, 0] + (centers[:, 1:2] - a[:, 1]) * (b[:, 0] - a[:, 0]) / (b[:, 1] - a[:, 1])
    odd = (crosses & (centers[:, 0:1] < at)).sum(axis=1) % 2 == 1
    assert odd.any()
    assert np.array_equal(image.ravel() == 7, odd)


def test_a_polygon_s_interior_carries_its_cell() -> None:
    xy = grid(12)
    outlines = blobs(xy)
    pyramid = LabelPyramid(xy, outlines)
    level = np.asarray(pyramid.levels[0])
    rows, columns = np.nonzero(level)
    y = pyramid.origin[0] + (rows + 0.5) * pyramid.pixel
    x = pyramid.origin[1] + (columns + 0.5) * pyramid.pixel
    found = level[rows, columns] - 1
    for cell in (0, 17, 80, 143):
        here = found == cell
        assert here.sum() > 100
        inside = Ring(outlines.ring(cell)).contains_points(
            np.stack([x[here], y[here]], 1), radius=0
        )
        # the rim may differ by the rounding of an edge
        assert inside.mean() > 0.98


def test_every_cell_is_found_at_its_centroid() -> None:
    xy = grid(20)
    for outlines in (None, blobs(xy)):
        pyramid = LabelPyramid(xy, outlines)
        rows, columns = position(pyramid, 0, xy)
        picked = [pyramid.at(y, x) for x, y in xy]
        assert picked == list(range(400))
        assert np.array_equal(np.asarray(pyramid.levels[0])[rows, columns], np.arange(1, 401))


def test_no_cell_is_lost_at_the_fine_level() -> None:
    xy = grid(15)
    rings = [blobs(xy[[i]], seed=i).ring(0) for i in range(225)]
    rings[7] = xy[7] + np.array([[0, 0], [1e-3, 0], [0, 1e-3]])  # far less than a pixel
    rings[8] = np.zeros((0, 2))  # none: a disc
    pyramid = LabelPyramid(xy, outlines_of(rings))
    assert set(np.unique(pyramid.levels[0])) == set(range(226))


def test_levels_halve_and_agree() -> None:
    xy = grid(24)
    pyramid = LabelPyramid(xy, blobs(xy))
    assert len(pyramid) > 2
    for fine, coarse in zip(pyramid.shapes, pyramid.shapes[1:], strict=False):
        assert (fine[0], fine[1]) == (2 * coarse[0], 2 * coarse[1])
    for level in range(1, len(pyramid)):
        rows, columns = position(pyramid, level, xy)
        found = np.asarray(pyramid.levels[level])[rows, columns]
        assert (found == np.arange(1, len(xy) + 1)).mean() > 0.95


def test_a_window_is_the_same_cut_from_one_tile_or_many() -> None:
    xy = grid(13)
    pyramid = LabelPyramid(xy, blobs(xy))
    level = pyramid.levels[0]
    assert level.shape[0] > 2 * TILE
    whole = np.asarray(level)
    assert np.array_equal(level[TILE - 40 : TILE + 30, 3 : 2 * TILE + 5],
                          whole[TILE - 40 : TILE + 30, 3 : 2 * TILE + 5])  # fmt: skip
    assert np.array_equal(level[..., 100], whole[:, 100])
    assert np.array_equal(level[5:400:7, ::-3], whole[5:400:7, ::-3])
    assert level[300, 301] == whole[300, 301]
    assert level[10:10, :].shape == (0, whole.shape[1])
    with pytest.raises(IndexError):
        level[whole.shape[0]]


def test_touching_cells_are_parted_where_they_are_large_enough() -> None:
    squares = [
        np.array([[x, y], [x + 10, y], [x + 10, y + 10], [x, y + 10]], float)
        for y in range(0, 100, 10)
        for x in range(0, 100, 10)
    ]
    xy = np.array([square.mean(axis=0) for square in squares])
    pyramid = LabelPyramid(xy, outlines_of(squares))
    fine = np.asarray(pyramid.levels[0])
    # going right, a cell is followed by background before the next cell begins
    follows = (fine[:, 1:] != fine[:, :-1]) & (fine[:, 1:] > 0) & (fine[:, :-1] > 0)
    assert not follows.any()
    inner = fine[: int(100 / pyramid.pixel), : int(100 / pyramid.pixel)]
    assert 0.01 < (inner == 0).mean() < 0.1


def test_where_discs_meet_the_nearest_cell_wins() -> None:
    lattice = np.stack(np.meshgrid(np.arange(6) * 10.0, np.arange(6) * 10.0), -1).reshape(-1, 2)
    xy = np.concatenate([lattice, [[106.0, 0.0], [100.0, 0.0]]])
    pyramid = LabelPyramid(xy)
    assert pyramid.diameter == pytest.approx(10.0)
    assert pyramid.at(0.0, 102.4) == 37
    assert pyramid.at(0.0, 103.6) == 36
    assert pyramid.at(0.0, 75.0) == -1


@pytest.mark.parametrize("count", [0, 1])
def test_hardly_any_cells(count: int) -> None:
    pyramid = LabelPyramid(np.full((count, 2), 7.0))
    assert len(np.unique(pyramid.levels[-1])) == 1 + count
    assert pyramid.at(7.0, 7.0) == count - 1
    assert pyramid.nearest(7.0, 8.0, 5.0) == count - 1
    assert pyramid.nearest(70.0, 8.0, 5.0) == -1


def test_cells_at_one_place_and_cells_without_a_place() -> None:
    xy = np.array([[1.0, 1.0], [1.0, 1.0], [np.nan, 2.0]])
    pyramid = LabelPyramid(xy)
    assert pyramid.at(1.0, 1.0) in (0, 1)
    assert 3 not in np.asarray(pyramid.levels[0])


def test_polygons_away_from_the_centroids_are_drawn_where_they_are() -> None:
    xy = grid(5)
    rings = [ring.ring(0) for ring in (blobs(xy[[i]], seed=i) for i in range(25))]
    rings[3] = rings[3] + np.float32(400)
    rings[4] = np.full((4, 2), np.nan, np.float32)
    pyramid = LabelPyramid(xy, outlines_of(rings))
    x, y = rings[3].mean(axis=0)
    assert pyramid.at(y, x) == 3
    assert pyramid.at(xy[4, 1], xy[4, 0]) == 4  # a broken polygon becomes a disc


def test_the_tile_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    xy = grid(20)
    small = LabelPyramid(xy, cache_bytes=4 * TILE * TILE * 4)
    roomy = LabelPyramid(xy)
    drawn: list[int] = []
    draw = DrawnCells.draw
    monkeypatch.setattr(DrawnCells, "draw", lambda *a: drawn.append(1) or draw(*a))
    assert np.array_equal(np.asarray(small.levels[0]), np.asarray(roomy.levels[0]))
    assert len(drawn) > 10
    assert len(small._tiles) == 4


def test_a_million_cells_cost_little_where_they_are_small() -> None:
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 10_000, (1_000_000, 2))
    pyramid = LabelPyramid(xy)
    coarse = np.asarray(pyramid.levels[-1])
    assert max(coarse.shape) <= COARSEST
    assert (coarse > 0).mean() > 0.9
    tiles = len(pyramid._tiles)
    assert tiles == 1  # nothing else was drawn for it


def test_areas_leave_no_gap_on_a_lattice_and_end_at_their_reach() -> None:
    lattice = np.stack(np.meshgrid(np.arange(9) * 10.0, np.arange(9) * 10.0), -1).reshape(-1, 2)
    pyramid = LabelPyramid(lattice)
    discs = np.asarray(pyramid.levels[0])
    pyramid.shape = "areas"
    areas = np.asarray(pyramid.levels[0])
    rng = np.random.default_rng(0)
    for x, y in rng.uniform(-10, 90, (400, 2)):
        away = np.hypot(*(lattice - [x, y]).T)
        near, next_one = np.sort(away)[:2]
        if next_one - near < 0.6 or abs(near - 7.5) < 0.3:
            continue  # at a border
        assert pyramid.at(y, x) == (int(away.argmin()) if near < 7.5 else -1)
    assert (areas > 0).sum() > 1.2 * (discs > 0).sum()
    pyramid.shape = "discs"
    assert np.array_equal(np.asarray(pyramid.levels[0]), discs)


def test_spots_are_as_wide_as_they_are() -> None:
    lattice = np.stack(np.meshgrid(np.arange(9) * 100.0, np.arange(9) * 100.0), -1).reshape(-1, 2)
    pyramid = LabelPyramid(lattice, spot_diameter=55.0)
    assert pyramid.diameter == 55.0
    assert pyramid.at(27.0, 0.0) == 0
    assert pyramid.at(28.5, 0.0) == -1
    pyramid.shape = "areas"
    assert pyramid.at(48.5, 0.0) == 0
    assert pyramid.at(51.5, 0.0) == 9
