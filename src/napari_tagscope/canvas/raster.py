"""Drawing many cells into a label image at once: polygons, discs, and the borders between cells.

Everything is vectorised over cells, so that a tile costs per pixel and not per cell. Pixel
``(r, c)`` has its centre at ``(c + 0.5, r + 0.5)``; coordinates are x, y in pixels of the image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

Window = tuple[int, int, int, int]  # first and last row, first and last column

AT_ONCE = 1 << 20  # pixels written in one step: bounds the memory of drawing


def assembled(
    window: Window,
    size: tuple[int, int],
    dtype: np.dtype[Any],
    block: Callable[[int, int], npt.NDArray[Any]],
    channels: tuple[int, ...] = (),
) -> npt.NDArray[Any]:
    """A window of an image that is cut into blocks; ``block(i, j)`` is that of a row and column.

    ``size`` is that of every block but the last of a row or column, which may be smaller, and
    ``channels`` the shape of a pixel.
    """
    r0, r1, c0, c1 = window
    out = np.zeros((max(r1 - r0, 0), max(c1 - c0, 0), *channels), dtype)
    if out.size == 0:
        return out
    for i in range(r0 // size[0], -(-r1 // size[0])):
        for j in range(c0 // size[1], -(-c1 // size[1])):
            top, left = i * size[0], j * size[1]
            a, b = max(r0, top), min(r1, top + size[0])
            c, d = max(c0, left), min(c1, left + size[1])
            part = block(i, j)[a - top : b - top, c - left : d - left]
            out[a - r0 : b - r0, c - c0 : d - c0] = part
    return out


def ranges(starts: Indices, counts: Indices) -> Indices:
    """The numbers ``start, start + 1, …`` of every range, one after the other."""
    total = int(counts.sum())
    before = np.cumsum(counts) - counts
    numbers: Indices = np.arange(total, dtype=np.int64) + np.repeat(starts - before, counts)
    return numbers


def fill_polygons(image: Labels, vertices: Points, sizes: Indices, labels: Labels) -> None:
    """Fill rings by the even-odd rule; where rings overlap the later one wins.

    ``vertices`` (V, 2) of all rings one after the other, ``sizes`` (n,) vertices of each ring, at
    least one; ``labels`` (n,). A pixel belongs to a ring that holds its centre. Parts outside the
    image are left out.
    """
    if len(sizes) == 0:
        return
    height, width = image.shape
    ring, row, x = _crossings(vertices, sizes, height)
    # one sort orders the crossings by ring, then row, then x: x is the remainder
    stride = width + 2
    key = (ring * height + row) * float(stride) + np.clip(x, 0, width)
    key.sort()
    line = np.floor(key / stride)
    columns = np.ceil(key - line * stride - 0.5).astype(np.int64)
    first, last = columns[0::2], columns[1::2]
    line = line[0::2].astype(np.int64)
    lengths = np.maximum(last - first, 0)
    spans = ranges((line % height) * width + first, lengths)
    image.reshape(-1)[spans] = np.repeat(labels[line // height], lengths)


def _crossings(
    vertices: Points, sizes: Indices, height: int
) -> tuple[Indices, Indices, npt.NDArray[np.float64]]:
    """Where the rings' edges cross the rows' centre lines: ring, row and x of every crossing."""
    ends = np.cumsum(sizes)
    following = np.arange(1, len(vertices) + 1)
    following[ends - 1] = ends - sizes
    x0, y0 = vertices[:, 0], vertices[:, 1]
    x1, y1 = x0[following], y0[following]
    top = np.clip(np.ceil(np.minimum(y0, y1) - 0.5), 0, height).astype(np.int64)
    bottom = np.clip(np.ceil(np.maximum(y0, y1) - 0.5), 0, height).astype(np.int64)
    counts = bottom - top
    rows = ranges(top, counts)
    rise = np.where(y1 == y0, 1.0, y1 - y0)
    slope = (x1 - x0) / rise
    x = np.repeat(x0 - y0 * slope, counts) + (rows + 0.5) * np.repeat(slope, counts)
    rings = np.repeat(np.repeat(np.arange(len(sizes)), sizes), counts)
    return rings, rows, x


def stamp_discs(image: Labels, centers: Points, radius: float, labels: Labels) -> None:
    """Draw discs of one radius in pixels; where discs meet, the nearest centre's wins.

    ``centers`` (n, 2) may lie outside the image. Distances are between pixels, so a meeting line is
    right to one pixel.
    """
    reach = int(np.ceil(radius))
    height, width = image.shape
    near = ((centers >= -reach) & (centers <= [width + reach, height + reach])).all(axis=1)
    if not near.any():
        return
    labels = labels[near]
    framed = np.zeros((height + 4 * reach + 2, width + 4 * reach + 2), np.int32)
    inner = (slice(2 * reach, 2 * reach + height), slice(2 * reach, 2 * reach + width))
    framed[inner] = image
    column, row = np.floor(centers[near]).astype(np.int64).T + 2 * reach
    middle = row * framed.shape[1] + column
    pixels = framed.reshape(-1)
    dy, dx = _disc(radius).T
    offsets = (dy * framed.shape[1] + dx)[:, None]
    # all cells' farthest pixels first: of those written to one place the last stays
    step = max(1, AT_ONCE // len(middle))
    for start in range(0, len(offsets), step):
        pixels[middle + offsets[start : start + step]] = labels
    image[:] = framed[inner]


def _disc(radius: float) -> npt.NDArray[np.int64]:
    """Offsets (K, 2) of the pixels of a disc, the farthest first."""
    reach = int(radius)
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    distance = dy**2 + dx**2
    inside = distance <= radius**2
    order = np.argsort(-distance[inside], kind="stable")
    return np.stack([dy[inside], dx[inside]], axis=1)[order]


def cut_borders(image: Labels, width: int) -> Labels:
    """``image`` without its last ``width`` rows and columns, touching cells parted by background.

    A pixel becomes background where another cell begins within ``width`` right of it or below it.
    """
    rows, columns = image.shape[0] - width, image.shape[1] - width
    here = image[:rows, :columns]
    border = np.zeros(here.shape, np.bool_)
    for step in range(1, width + 1):
        for other in (image[:rows, step : columns + step], image[step : rows + step, :columns]):
            border |= (other != here) & (other != 0)
    return np.where(border, np.int32(0), here)


def inner_edges(image: Labels, width: int) -> Mask:
    """Whether each pixel of a cell lies within ``width`` pixels of another label or background."""
    edges = np.zeros(image.shape, np.bool_)
    for step in range(1, width + 1):
        below = image[step:] != image[:-step]
        edges[step:] |= below
        edges[:-step] |= below
        beside = image[:, step:] != image[:, :-step]
        edges[:, step:] |= beside
        edges[:, :-step] |= beside
    edges &= image != 0
    return edges


def grown(mask: Mask) -> Mask:
    """A mask and the pixels that touch it."""
    tall = mask.copy()
    tall[1:] |= mask[:-1]
    tall[:-1] |= mask[1:]
    wide = tall.copy()
    wide[:, 1:] |= tall[:, :-1]
    wide[:, :-1] |= tall[:, 1:]
    return wide


def restore_lost(image: Labels, centers: Points, labels: Labels) -> None:
    """Give every cell that has no pixel the one under its centre, where that lies in the image."""
    drawn = np.zeros(max(int(image.max()), int(labels.max(initial=0))) + 1, np.bool_)
    drawn[image.reshape(-1)] = True
    lost = ~drawn[labels]
    column, row = np.floor(centers[lost]).astype(np.int64).T
    inside = (row >= 0) & (row < image.shape[0]) & (column >= 0) & (column < image.shape[1])
    image[row[inside], column[inside]] = labels[lost][inside]
