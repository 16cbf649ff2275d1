"""The cells that the canvas is measured with: a square section, cells 10 µm apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from napari_tagscope.canvas.labels import LabelPyramid
from tagscope.core.labels import default_colors
from tagscope.core.panel import GenePanel
from tagscope.core.section import CellOutlines, Cells, Section

TYPES = 12
COLORS = default_colors(TYPES)
LABELLED = 6.0  # pixels a cell is wide in an image of labels: no cell is lost, and no more


def positions(count: int) -> npt.NDArray[np.float64]:
    """(count, 2) x and y in µm."""
    rng = np.random.default_rng(0)
    side = int(np.ceil(np.sqrt(count)))
    y, x = np.mgrid[:side, :side] * 10.0
    xy = np.stack([x.ravel(), y.ravel()], axis=1)[:count]
    return xy + rng.uniform(-2, 2, (count, 2))


def polygons(xy: npt.NDArray[np.float64], corners: int = 12) -> CellOutlines:
    """A polygon around every centroid."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    reach = np.random.default_rng(0).uniform(3.5, 5.2, (len(xy), corners, 1))
    rings = xy[:, None] + np.stack([np.cos(angle), np.sin(angle)], axis=-1) * reach
    return CellOutlines(
        rings.reshape(-1, 2).astype(np.float32), np.arange(len(xy) + 1, dtype=np.int64) * corners
    )


def section(count: int) -> Section:
    """Cells with centroids alone, in memory."""
    values = sp.csr_matrix((count, 1), dtype=np.float32)
    cells = Cells(values, GenePanel(("Gad2",)), np.arange(count).astype(str))
    return Section(cells, positions(count))


def codes_of(count: int) -> Iterator[npt.NDArray[np.int64]]:
    """A category of every cell, two kinds in turn."""
    codes = np.random.default_rng(1).integers(0, TYPES, count)
    return cycle([codes, (codes + 1) % TYPES])


def values_of(count: int) -> Iterator[npt.NDArray[np.float32]]:
    """A number from 0 to 1 of every cell, two kinds in turn."""
    values = np.random.default_rng(1).random(count).astype(np.float32)
    return cycle([values, 1 - values])


@dataclass(frozen=True)
class Labelled:
    """Cells as one image of labels, (rows, columns) int32: cell i is i + 1, background 0.

    ``pixel`` in µm; ``origin`` (y, x) of the first pixel's corner in µm.
    """

    image: npt.NDArray[np.int32]
    pixel: float
    origin: tuple[float, float]

    @classmethod
    def of(cls, cells: Section) -> Labelled:
        """The smallest image of a section in which its cells are ``LABELLED`` pixels wide."""
        pyramid = LabelPyramid(cells.xy)
        wide = [i for i in range(len(pyramid)) if pyramid.cell_width(i) >= LABELLED]
        image = np.array(pyramid.levels[wide[-1]])
        return cls(image, pyramid.pixel * (1 << wide[-1]), pyramid.origin)

    def save(self, path: Path) -> None:
        """Write it to an ``.npz``."""
        np.savez(path, image=self.image, pixel=self.pixel, origin=self.origin)

    @classmethod
    def load(cls, path: Path) -> Labelled:
        """Read what :meth:`save` wrote."""
        with np.load(path) as saved:
            y, x = saved["origin"]
            return cls(saved["image"], float(saved["pixel"]), (float(y), float(x)))


@dataclass(frozen=True)
class Tissue:
    """A section, and its cells as one image of labels for those who need it."""

    section: Section
    labelled: Callable[[], Labelled]
