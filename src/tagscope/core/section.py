"""Read-only snapshots of cells: a section of tissue, a labelled reference."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tagscope.core.hierarchy import LabelTree
from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel


@dataclass(frozen=True)
class Cells:
    """Cells and what was measured in them. Shared by reference, never edited.

    ``values`` (N, G) CSR float32: raw counts, or log-normalised values where ``normalised``.
    ``panel`` G genes; ``ids`` (N,) unique cell ids.
    """

    values: sp.csr_matrix
    panel: GenePanel
    ids: npt.NDArray[np.str_]
    normalised: bool = False

    def __post_init__(self) -> None:
        expected = (len(self.ids), len(self.panel))
        if self.values.shape != expected:
            raise ValueError(f"values are {self.values.shape}, cells and panel say {expected}")

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def totals(self) -> npt.NDArray[np.float64]:
        """Sum of values per cell, (N,)."""
        return np.asarray(self.values.sum(axis=1), dtype=np.float64).ravel()

    def take(self, rows: npt.NDArray[np.int64]) -> Cells:
        """The cells of the given rows, in their order."""
        return replace(self, values=self.values[rows], ids=self.ids[rows])

    def restrict(self, panel: GenePanel) -> Cells:
        """These cells over ``panel``'s genes in its order; genes that were not measured are zero.

        Values of a gene that several columns carry are taken from the first.
        """
        columns = panel.columns_in(self.panel)
        present = np.flatnonzero(columns >= 0)
        gather = sp.csr_matrix(
            (np.ones(len(present), np.float32), (columns[present], present)),
            shape=(len(self.panel), len(panel)),
        )
        return replace(self, values=sp.csr_matrix(self.values @ gather), panel=panel)


@dataclass(frozen=True)
class CellOutlines:
    """Cell polygons as flat arrays, one exterior ring per cell, in µm.

    ``vertices`` (V, 2) float32, columns x and y; ``offsets`` (N + 1,) int64: cell i owns
    ``vertices[offsets[i]:offsets[i + 1]]``, an empty range for a cell without a polygon.
    """

    vertices: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def ring(self, cell: int) -> npt.NDArray[np.float32]:
        """Vertices of one cell, (V_i, 2)."""
        return self.vertices[self.offsets[cell] : self.offsets[cell + 1]]


@dataclass(frozen=True)
class LabelImage:
    """Cells as a store's own image of labels, read where it is looked at.

    ``levels``: arrays (rows, columns) of integers, the largest first, that read what they are
    indexed by. ``affines``: a (3, 3) matrix each from its pixels to µm; pixel (r, c) reaches from
    c to c + 1 in x and from r to r + 1 in y. ``ids`` (N,) int64: the label of every cell, 0 for a
    cell without. ``identity`` is another when the image on disk is, "" where nothing tells.
    """

    levels: tuple[Any, ...]
    affines: tuple[npt.NDArray[np.float64], ...]
    ids: npt.NDArray[np.int64]
    identity: str = ""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class SideBySide:
    """Sections that were moved so that they lie side by side.

    ``names`` S sections; ``codes`` (N,) int64 into them; ``offsets`` (S, 2) by which each was
    moved, in the unit of ``Section.xy``.
    """

    names: tuple[str, ...]
    codes: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.float64]

    @property
    def moves(self) -> npt.NDArray[np.float64]:
        """By how much every cell was moved, (N, 2)."""
        return np.asarray(self.offsets[self.codes])


@dataclass(frozen=True)
class Section:
    """A section of tissue: cells with positions.

    ``xy`` (N, 2) float64 centroids, columns x and y, in ``unit`` (``"µm"``, or ``"unknown"`` where
    the file does not tell). ``outlines`` are the cells' polygons and ``labels`` their label image
    where the store has them. ``spot_diameter``: width of cells that are circles, in ``unit``.
    ``pieces``: where it is several sections side by side, which cell is of which.
    """

    cells: Cells
    xy: npt.NDArray[np.float64]
    name: str = "section"
    unit: str = "µm"
    outlines: CellOutlines | None = None
    labels: LabelImage | None = None
    spot_diameter: float | None = None
    pieces: SideBySide | None = None

    def __post_init__(self) -> None:
        if self.xy.shape != (len(self.cells), 2):
            raise ValueError(f"xy is {self.xy.shape}, needed ({len(self.cells)}, 2)")
        for name, drawn in (("outlines", self.outlines), ("labels", self.labels)):
            if drawn is not None and len(drawn) != len(self.cells):
                raise ValueError(f"{len(drawn)} {name} for {len(self.cells)} cells")
        if self.pieces is not None and len(self.pieces.codes) != len(self.cells):
            raise ValueError(f"{len(self.pieces.codes)} codes for {len(self.cells)} cells")

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def own_xy(self) -> npt.NDArray[np.float64]:
        """Where cells are in the section they come from, (N, 2): ``xy`` unless moved."""
        return self.xy if self.pieces is None else self.xy - self.pieces.moves

    @property
    def panel(self) -> GenePanel:
        """The genes measured."""
        return self.cells.panel

    @property
    def ids(self) -> npt.NDArray[np.str_]:
        """Unique cell ids, (N,)."""
        return self.cells.ids


@dataclass(frozen=True)
class Reference:
    """Cells with known labels: ``codes`` (N,) int64 into ``labels``.

    ``groups`` (N,) int64 from 0, where given: cells that must not be parted between training and
    validation, those of one donor, batch or section. ``tree``: coarser levels of ``labels``, which
    are its finest. ``origin``: the name of the file it was read from (``reference``), the column of
    labels (``label``) and the choices made, where that is known.
    """

    cells: Cells
    labels: LabelSet
    codes: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64] | None = None
    tree: LabelTree | None = None
    origin: dict[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if self.codes.shape != (len(self.cells),):
            raise ValueError(f"{self.codes.shape} codes for {len(self.cells)} cells")
        if self.groups is not None and self.groups.shape != self.codes.shape:
            raise ValueError(f"{self.groups.shape} groups for {len(self.cells)} cells")
        if self.tree is not None and self.tree.finest.names != self.labels.names:
            raise ValueError("the labels are not the finest of their tree")

    def __len__(self) -> int:
        return len(self.cells)
