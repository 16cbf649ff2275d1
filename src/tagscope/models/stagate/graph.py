"""Which cells send to which: graphs of a section, and the part of one that some cells need.

As published (Dong and Zhang, Nature Communications 2022) a cell always sends to itself, and cells
at the very same place do not send to each other. No edge leads from one section into another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from scipy.spatial import Delaunay, KDTree, QhullError

from tagscope.core.neighbours import nearest_others
from tagscope.core.section import Section
from tagscope.errors import ArgumentError
from tagscope.models.stagate.network import Neighbourhood, Pattern

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
GraphKind = Literal["nearest", "radius", "delaunay"]

_MOST = 300  # neighbours within a radius, on average
_USUAL = 6  # neighbours that a radius is advised for: the first ring of a hexagonal lattice


@dataclass(frozen=True)
class Graph:
    """Edges of N cells: cell i receives from ``sources[offsets[i]:offsets[i + 1]]``.

    ``sources`` (E,), ``offsets`` (N + 1,) int64. Every cell is a source of itself.
    """

    sources: Ints
    offsets: Ints

    @classmethod
    def of_edges(cls, sources: Ints, targets: Ints, cells: int) -> Graph:
        """Of edges in any order, each counted once, and of every cell to itself."""
        own = np.arange(cells)
        rows, columns = np.concatenate([targets, own]), np.concatenate([sources, own])
        table = sp.csr_matrix((np.ones(len(rows), np.int8), (rows, columns)), (cells, cells))
        table.sum_duplicates()
        return cls(table.indices.astype(np.int64), table.indptr.astype(np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def neighbours(self) -> float:
        """Mean number of other cells that a cell receives from."""
        return len(self.sources) / max(len(self), 1) - 1

    def whole(self) -> Neighbourhood:
        """All cells with all edges."""
        columns, offsets = torch.from_numpy(self.sources), torch.from_numpy(self.offsets)
        return Neighbourhood.whole(Pattern(columns, offsets, len(self)))

    def around(self, own: Ints) -> tuple[Ints, Neighbourhood]:
        """Rows of all cells that ``own`` (O,) are decoded from, and the edges among them.

        Own cells come first, then those they receive from, then those that these receive from: loss
        and gradient of the own cells are those that the whole graph gives them.
        """
        embedded = self._with_sources(own)
        pattern, read = self.into(embedded)
        decoding = pattern.first(len(own), len(embedded))
        return read, Neighbourhood(pattern, decoding)

    def into(self, rows: Ints) -> tuple[Pattern, Ints]:
        """Edges into cells ``rows`` (M,), and the rows of all cells (N,) that these columns are,
        the M first."""
        sources, offsets = self._incoming(rows)
        members = self._with_sources(rows)
        order = np.argsort(members)
        columns = order[np.searchsorted(members[order], sources)]
        pattern = Pattern(torch.from_numpy(columns), torch.from_numpy(offsets), len(members))
        return pattern, members

    def _with_sources(self, rows: Ints) -> Ints:
        return np.concatenate([rows, np.setdiff1d(self._incoming(rows)[0], rows)])

    def _incoming(self, rows: Ints) -> tuple[Ints, Ints]:
        """Sources of the cells, one after the other, and where those of each begin and end."""
        counts = self.offsets[rows + 1] - self.offsets[rows]
        ends = np.concatenate([[0], np.cumsum(counts)])
        places = np.arange(ends[-1]) + np.repeat(self.offsets[rows] - ends[:-1], counts)
        return self.sources[places], ends


def graph_of(
    section: Section, kind: GraphKind = "nearest", *, nearest: int = 6, radius: float | None = None
) -> Graph:
    """The graph of a section's cells.

    ``nearest``: a cell sends to the ``nearest`` cells next to it, and receives from those that it
    is next to, as published. ``radius``: cells at most that far apart, in the unit of
    ``Section.xy``, send to each other. ``delaunay``: cells whose Voronoi regions touch, at most
    ``radius`` apart if given.

    Raises
    ------
    ArgumentError
        If there is no radius where one is needed, or one that joins hundreds of cells to each.
    """
    pieces = np.zeros(len(section), np.int64) if section.pieces is None else section.pieces.codes
    finite = np.asarray(np.isfinite(section.xy).all(axis=1))
    if kind == "radius":
        _judge(section, radius, pieces, finite)
    if kind == "nearest":
        sources, targets = _nearest(section.xy, nearest, pieces)
    else:
        found = [np.zeros((0, 2), np.int64)]
        for piece in np.unique(pieces[finite]):
            rows = np.flatnonzero(finite & (pieces == piece))
            xy = section.xy[rows]
            pairs = _adjoining(xy) if kind == "delaunay" else _within(xy, radius or 0.0)
            found.append(rows[pairs])
        both = np.concatenate(found)
        sources, targets = np.concatenate([both, both[:, ::-1]]).T
    apart = np.linalg.norm(section.xy[sources] - section.xy[targets], axis=1)
    kept = apart > 0
    if kind == "delaunay" and radius is not None:
        kept &= apart <= radius
    return Graph.of_edges(sources[kept], targets[kept], len(section))


def patches_of(xy: Floats, size: int) -> list[Ints]:
    """Rows of all cells, in patches of at most ``size`` cells that lie close, neighbouring patches
    one after the other; those without a finite place are last."""
    finite = np.asarray(np.isfinite(xy).all(axis=1))
    lost = np.flatnonzero(~finite)
    found = [lost[begin : begin + size] for begin in range(0, len(lost), size)]
    waiting = [np.flatnonzero(finite)] if finite.any() else []
    patches: list[Ints] = []
    while waiting:
        rows = waiting.pop()
        if len(rows) <= size:
            patches.append(rows)
            continue
        places = xy[rows]
        order = rows[np.argsort(places[:, np.ptp(places, axis=0).argmax()], kind="stable")]
        # by multiples of the size, so that few patches are smaller than they might be
        middle = size * max(1, round(len(rows) / size / 2))
        waiting += [order[middle:], order[:middle]]
    return patches + found


def _nearest(xy: Floats, count: int, pieces: Ints) -> tuple[Ints, Ints]:
    near = nearest_others(xy, count, pieces)
    sources, places = np.nonzero(near >= 0)
    return sources.astype(np.int64), near[sources, places]


def _within(xy: Floats, radius: float) -> Ints:
    """Pairs of cells at most ``radius`` apart, (P, 2)."""
    pairs: Ints = KDTree(xy).query_pairs(radius, output_type="ndarray").astype(np.int64)
    return pairs.reshape(-1, 2)


def _adjoining(xy: Floats) -> Ints:
    """Pairs of cells at adjoining places, (P, 2); those at one place have the same neighbours."""
    places, at = np.unique(xy, axis=0, return_inverse=True)
    joined = _edges_between(places - places.mean(axis=0))
    table = sp.csr_matrix((np.ones(len(joined), np.int8), joined.T), (len(places), len(places)))
    members = sp.csr_matrix(
        (np.ones(len(xy), np.int8), (np.arange(len(xy)), at.ravel())), (len(xy), len(places))
    )
    return np.column_stack((members @ table @ members.T).nonzero()).astype(np.int64)


def _edges_between(places: Floats) -> Ints:
    """Edges of the Delaunay triangulation of distinct places, (P, 2); those on a line adjoin along
    it."""
    try:
        corners = Delaunay(places).simplices
    except (QhullError, ValueError):  # all on a line, or fewer than three
        along = places @ np.linalg.svd(places, full_matrices=False)[2][0]
        order = np.argsort(along)
        return np.column_stack([order[:-1], order[1:]])
    sides = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    return np.unique(np.sort(sides, axis=1), axis=0).astype(np.int64)


def _judge(
    section: Section, radius: float | None, pieces: Ints, finite: npt.NDArray[np.bool_]
) -> None:
    if radius is None:
        raise ArgumentError(
            f"A graph of all cells within a radius was asked for, without one.{_advice(section)}",
            "The radius is in the unit of the coordinates.",
            "Give one, or connect nearest cells.",
            {"radius": None, "graph": "nearest"},
        )
    count = 0
    for piece in np.unique(pieces[finite]):
        tree = KDTree(section.xy[finite & (pieces == piece)])
        count += int(tree.count_neighbors(tree, radius)) - tree.n
    if count > _MOST * len(section):
        raise ArgumentError(
            f"Within the radius {radius:g} a cell has {count / len(section):,.0f} others on "
            f"average.{_advice(section)}",
            f"At most {_MOST} are of use: the embedding would be a mean over the tissue.",
            "Give a smaller radius, or connect nearest cells.",
            {"radius": None, "graph": "nearest"},
        )


def _advice(section: Section) -> str:
    """How far the usual neighbours are."""
    pieces = None if section.pieces is None else section.pieces.codes
    near = nearest_others(section.xy, _USUAL, pieces)
    known = near[:, -1] >= 0
    if not known.any():
        return ""
    far = np.linalg.norm(section.xy[known] - section.xy[near[known, -1]], axis=1)
    return f" Half of the cells have {_USUAL} others within {np.median(far):.3g} {section.unit}."
