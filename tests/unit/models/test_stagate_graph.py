"""Graphs of a section for STAGATE, the part of one that some cells need, and patches of tissue."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Section, SideBySide
from tagscope.errors import ArgumentError
from tagscope.models.stagate.graph import Graph, graph_of, patches_of
from tagscope.models.stagate.network import Pattern, weighted_sum

KINDS = [("nearest", None), ("radius", 12.0), ("delaunay", None)]


def section_at(xy, codes=None) -> Section:
    xy = np.asarray(xy, np.float64)
    values = sp.csr_matrix((len(xy), 0), dtype=np.float32)
    cells = Cells(values, GenePanel(()), np.arange(len(xy)).astype(str))
    pieces = None
    if codes is not None:
        names = tuple(str(code) for code in np.unique(codes))
        pieces = SideBySide(names, np.asarray(codes), np.zeros((len(names), 2)))
    return Section(cells, xy, pieces=pieces)


def scattered(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 100, (count, 2))


def edges(graph: Graph) -> set[tuple[int, int]]:
    """(source, target) of all edges but those of cells to themselves."""
    targets = np.repeat(np.arange(len(graph)), np.diff(graph.offsets))
    pairs = set(zip(graph.sources.tolist(), targets.tolist(), strict=True))
    own = {(cell, cell) for cell in range(len(graph))}
    assert own <= pairs
    assert len(pairs) == len(graph.sources), "no edge is there twice"
    return pairs - own


def test_nearest_send_to_those_next_to_them():
    found = edges(graph_of(section_at([[0, 0], [1, 0], [3, 0], [9, 0]]), "nearest", nearest=1))
    assert found == {(0, 1), (1, 0), (2, 1), (3, 2)}


def test_within_a_radius_both_send_and_the_limit_counts():
    xy = [[0, 0], [1, 0], [3, 0], [3, 0], [9, 0]]
    found = edges(graph_of(section_at(xy), "radius", radius=2.0))
    assert found == {(0, 1), (1, 0), (1, 2), (2, 1), (1, 3), (3, 1)}, "none at one place"


def test_delaunay_joins_adjoining_places_and_their_twins():
    square = [[0, 0], [10, 0], [10, 10], [0, 10], [5, 5], [5, 5]]
    found = edges(graph_of(section_at(square), "delaunay"))
    ring = {(0, 1), (1, 2), (2, 3), (3, 0)}
    middle = {(corner, cell) for corner in range(4) for cell in (4, 5)}
    assert found == ring | middle | {(b, a) for a, b in ring | middle}
    short = edges(graph_of(section_at(square), "delaunay", radius=8.0))
    assert short == middle | {(b, a) for a, b in middle}


@pytest.mark.parametrize("kind", ["nearest", "radius", "delaunay"])
@pytest.mark.parametrize("xy", [
    [[1, 1]], [[1, 1], [1, 1]], [[0, 0], [2, 0]], [[0, 0], [1, 1], [2, 2], [3, 3]],
    [[np.nan, 0], [1, 1], [2, 1], [np.nan, np.nan]],
])  # fmt: skip
def test_tiny_and_odd_sections(kind, xy):
    xy = np.array(xy, np.float64)
    found = edges(graph_of(section_at(xy), kind, radius=2.0))
    lost = set(np.flatnonzero(~np.isfinite(xy).all(axis=1)))
    assert not lost & {cell for pair in found for cell in pair}
    assert bool(found) == (len(np.unique(xy[np.isfinite(xy).all(axis=1)], axis=0)) > 1)


@pytest.mark.parametrize(("kind", "radius"), KINDS)
def test_no_edge_leaves_a_section(kind, radius):
    xy, codes = scattered(200), np.arange(200) % 3
    both = edges(graph_of(section_at(xy, codes), kind, radius=radius))
    assert all(codes[source] == codes[target] for source, target in both)
    rows = np.flatnonzero(codes == 1)
    alone = edges(graph_of(section_at(xy[rows]), kind, radius=radius))
    assert {(rows[a], rows[b]) for a, b in alone} == {p for p in both if codes[p[0]] == 1}


@pytest.mark.parametrize(("kind", "radius"), KINDS)
def test_moving_changes_nothing_and_order_goes_along(kind, radius):
    xy = scattered(150)
    order = np.random.default_rng(1).permutation(len(xy))
    whole = edges(graph_of(section_at(xy), kind, radius=radius))
    assert whole == edges(
        graph_of(section_at(xy + np.array([640.0, -1280.0])), kind, radius=radius)
    )
    mixed = edges(graph_of(section_at(xy[order]), kind, radius=radius))
    assert {(order[a], order[b]) for a, b in mixed} == whole


def test_a_radius_that_is_missing_or_joins_all_is_refused():
    section = section_at(scattered(1200))
    with pytest.raises(ArgumentError, match="Half of the cells have 6 others within") as missing:
        graph_of(section, "radius")
    assert set(missing.value.choices) == {"radius", "graph"}
    with pytest.raises(ArgumentError, match=r"has 1,199 others on average"):
        graph_of(section, "radius", radius=200.0)


@pytest.mark.parametrize(("kind", "radius"), KINDS)
def test_surroundings_are_whole(kind, radius):
    graph = graph_of(section_at(scattered(300)), kind, radius=radius)
    whole, own = edges(graph), np.array([250, 7, 8])
    read, near = graph.around(own)
    assert read[:3].tolist() == own.tolist()
    assert len(set(read.tolist())) == len(read) < 300
    into_own = of_pattern(near.decoding, read) - {(cell, cell) for cell in own}
    assert into_own == {pair for pair in whole if pair[1] in own}
    embedded = set(read[: len(near.coding)].tolist())
    assert embedded == set(own.tolist()) | {source for source, _ in into_own}
    into_embedded = of_pattern(near.coding, read) - {(cell, cell) for cell in embedded}
    assert into_embedded == {pair for pair in whole if pair[1] in embedded}


def of_pattern(pattern: Pattern, read: np.ndarray) -> set[tuple[int, int]]:
    sources, targets = read[pattern.columns.numpy()], read[pattern.rows.numpy()]
    return set(zip(sources.tolist(), targets.tolist(), strict=True))


def test_patches_hold_every_cell_once_and_lie_close():
    xy = scattered(1000)
    xy[[3, 500]] = np.nan
    patches = patches_of(xy, 64)
    assert sorted(np.concatenate(patches).tolist()) == list(range(1000))
    assert max(map(len, patches)) == 64
    assert len(patches) == -(-998 // 64) + 1
    assert patches[-1].tolist() == [3, 500]
    spread = np.median([np.ptp(xy[rows], axis=0).max() for rows in patches[:-1]])
    assert spread < 40


def test_patches_of_cells_at_one_place():
    assert sorted(map(len, patches_of(np.zeros((10, 2)), 4))) == [2, 4, 4]


def test_a_weighted_sum_and_its_gradients():
    rows = sp.random(6, 9, 0.4, "csr", random_state=0)
    pattern = Pattern(torch.from_numpy(rows.indices), torch.from_numpy(rows.indptr), 9)
    weights = torch.from_numpy(rows.data).requires_grad_()
    values = torch.rand(9, 3, dtype=torch.float64, requires_grad=True)
    found = weighted_sum(weights, values, pattern)
    torch.testing.assert_close(found, torch.from_numpy(rows.toarray()) @ values)
    assert torch.autograd.gradcheck(lambda a, b: weighted_sum(a, b, pattern), (weights, values))
