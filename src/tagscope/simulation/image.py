"""A two-channel picture of the section: nuclei and membranes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from tagscope.jobs import JobContext
from tagscope.simulation.outlines import Outlines
from tagscope.simulation.streams import stream

Floats = npt.NDArray[np.float64]

CHANNELS = ("DAPI", "Membrane")
NUCLEUS = 0.58  # radius of the nucleus over that of the cell
_TILE = 1536
_HALO = 25.0  # µm; no outline reaches farther from its seed
_MEMBRANE = 0.7  # µm, thickness
_TISSUE = 10.0  # grey level of tissue between the cells


def draw_image(
    outlines: Outlines,
    extent: tuple[float, float],
    pixel_size: float,
    seed: int,
    context: JobContext,
) -> npt.NDArray[np.uint8]:
    """Grey levels (2, rows, columns) of ``CHANNELS``, drawn tile by tile."""
    columns, rows = (int(np.ceil(length / pixel_size)) for length in extent)
    image = np.zeros((len(CHANNELS), rows, columns), np.uint8)
    rng = stream(seed, "stain")
    stain = rng.lognormal(0, 0.25, (len(outlines.seeds), 2))
    tree = KDTree(outlines.seeds)
    corners = [(r, c) for r in range(0, rows, _TILE) for c in range(0, columns, _TILE)]
    for index, (top, left) in enumerate(corners):
        context.step("drawing the image", index, len(corners))
        shape = (min(_TILE, rows - top), min(_TILE, columns - left))
        tile = _draw_tile(outlines, tree, stain, (top, left), shape, pixel_size)
        image[:, top : top + shape[0], left : left + shape[1]] = tile
    context.step("drawing the image", len(corners), len(corners))
    return image


def _draw_tile(
    outlines: Outlines,
    tree: KDTree,
    stain: Floats,
    corner: tuple[int, int],
    shape: tuple[int, int],
    pixel_size: float,
) -> npt.NDArray[np.uint8]:
    """Each pixel belongs to the nearest seed; its place in that cell's outline decides its grey."""
    halo = int(np.ceil(_HALO / pixel_size))
    origin = np.array([corner[1] - halo, corner[0] - halo]) * pixel_size
    size = np.array([shape[1] + 2 * halo, shape[0] + 2 * halo])
    owner, distance = _nearest_seeds(outlines.seeds, tree, origin, size, pixel_size)
    inner = (slice(halo, halo + shape[0]), slice(halo, halo + shape[1]))
    owner, distance = owner[inner], distance[inner]
    near = distance < _HALO
    y, x = np.nonzero(near)
    xy = (np.column_stack([x + corner[1], y + corner[0]]).astype(np.float64) + 0.5) * pixel_size
    grey = np.zeros((2, *shape), np.uint8)
    grey[:, y, x] = _grey(outlines, stain, owner[near], xy, distance[near])
    return grey


def _nearest_seeds(
    seeds: Floats, tree: KDTree, origin: Floats, size: npt.NDArray[np.int64], pixel_size: float
) -> tuple[npt.NDArray[np.int64], Floats]:
    """The nearest seed of every pixel of a window and its distance in µm, (rows, columns) each;
    infinitely far in a window without seeds."""
    half = size * pixel_size / 2
    around = np.array(tree.query_ball_point(origin + half, np.hypot(*half)), dtype=np.int64)
    spots = np.floor((seeds[around] - origin) / pixel_size).astype(np.int64)
    within = ((spots >= 0) & (spots < size)).all(axis=1)
    around, spots = around[within], spots[within]
    owner = np.full(size[::-1], -1, np.int64)
    if not len(around):
        return owner, np.full(owner.shape, np.inf)
    owner[spots[:, 1], spots[:, 0]] = around
    far, (row, column) = distance_transform_edt(owner < 0, return_indices=True)
    return owner[row, column], np.asarray(far * pixel_size, dtype=np.float64)


def _grey(
    outlines: Outlines, stain: Floats, cell: npt.NDArray[np.int64], xy: Floats, far: Floats
) -> npt.NDArray[np.uint8]:
    """Grey levels (2, M) of places ``xy`` (M, 2) whose nearest seed is ``cell``'s, ``far`` away."""
    away = xy - outlines.seeds[cell]
    edge = outlines.edge(cell, xy)
    beyond = np.hypot(*away.T) - edge
    reach = 1 + beyond / edge
    tissue = _TISSUE * np.exp(-((far / 14.0) ** 2))
    nucleus = 1 / (1 + np.exp(np.clip((reach / NUCLEUS - 1) * 14, -50, 50)))
    spots = np.cos(2.1 * away[:, 0] + cell) * np.cos(2.3 * away[:, 1] - 2 * cell)
    dapi = tissue * 0.5 + 135 * stain[cell, 0] * nucleus * (0.82 + 0.18 * spots)
    rim = np.exp(-((beyond / _MEMBRANE) ** 2))
    membrane = tissue + stain[cell, 1] * (22 * (beyond < 0) + 105 * rim)
    return np.asarray(np.clip(np.stack([dapi, membrane]), 0, 255), dtype=np.uint8)
