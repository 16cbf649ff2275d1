"""What a section adds to cells is found, and cells are given as much of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.training.measurement import Measurement, measurement

GENES = 60
TYPES = np.repeat(np.eye(4), 15, axis=1) + 0.01  # four types of cells with 15 genes of their own
BACKGROUND = np.linspace(1, 3, GENES)


def measured(counts: np.ndarray, ids: str = "c") -> Cells:
    panel = GenePanel(tuple(f"G{i}" for i in range(GENES)))
    names = np.array([f"{ids}{i}" for i in range(len(counts))])
    return Cells(sp.csr_matrix(counts.astype(np.float32)), panel, names)


def cells(total: float, background: float = 0.0, count: int = 1500, seed: int = 0) -> Cells:
    rng = np.random.default_rng(seed)
    own = TYPES[rng.integers(4, size=count)]
    mix = (1 - background) * own / own.sum(axis=1, keepdims=True)
    mix = mix + background * BACKGROUND / BACKGROUND.sum()
    return measured(rng.poisson(total * mix))


@pytest.mark.parametrize("background", [0.15, 0.3, 0.6])
@pytest.mark.parametrize("depth", [0.5, 1.0, 4.0])
def test_background_is_found_at_any_depth(background: float, depth: float) -> None:
    found = measurement(cells(100), cells(100 * depth, background, seed=1))
    assert found is not None
    assert found.depth == pytest.approx(depth, rel=0.05)
    # The section's own profile, which holds the cells' genes too, stands for the background's.
    assert 0.8 * background < found.background < 1.5 * background + 0.05
    assert found.profile.sum() == pytest.approx(1)
    assert not found.same_kind


@pytest.mark.parametrize("depth", [0.3, 0.6])
def test_a_shallower_section_without_background_is_only_shallower(depth: float) -> None:
    found = measurement(cells(100), cells(100 * depth, seed=1))
    assert found is not None
    assert found.background == 0
    assert found.same_kind == (depth > 0.5)
    thinned = found.of(cells(100), np.random.default_rng(2))
    assert np.median(thinned.totals) == pytest.approx(100 * depth, rel=0.06)


def test_nothing_is_said_of_a_deeper_section_or_of_one_without_counts() -> None:
    assert measurement(cells(100), cells(300, seed=1)) is None
    normalised = replace(cells(100, seed=1), normalised=True)
    assert measurement(cells(100), normalised) is None
    assert measurement(normalised, cells(50, seed=1)) is None
    assert measurement(cells(100), measured(np.zeros((70, GENES)))) is None


def test_a_few_cells_do_not_show_background() -> None:
    found = measurement(cells(100), cells(50, 0.6, count=20, seed=1))
    assert found is not None
    assert found.background == 0


def test_shares_of_counts_too_small_to_round_show_no_background() -> None:
    section = cells(20, 0.6, seed=1)
    fractions = replace(section, values=section.values * np.float32(0.05))
    found = measurement(cells(100), fractions)
    assert found is not None
    assert found.background == 0


@pytest.mark.parametrize("depth", [0.5, 5.0])
def test_cells_get_the_depth_and_the_background(depth: float) -> None:
    section = cells(100 * depth, 0.3, seed=1)
    found = measurement(cells(100), section)
    assert found is not None
    before = cells(100)
    kept = before.values.copy()
    given = found.of(before, np.random.default_rng(3))
    assert (before.values != kept).nnz == 0  # the reference is untouched
    assert given.values.dtype == np.float32
    assert (given.values.data == np.rint(given.values.data)).all()
    assert (given.values.data > 0).all()
    assert np.median(given.totals) == pytest.approx(np.median(section.totals), rel=0.07)

    def genes(of: Cells) -> float:
        return float(np.diff(of.values.indptr).mean())

    if depth < 1:
        assert genes(given) == pytest.approx(genes(section), rel=0.1)
    assert genes(given) > 1.2 * genes(replace(found, background=0.0).of(before, _rng()))


def test_shares_of_background_vary_up_to_twice_their_mean() -> None:
    silent = np.zeros((3000, GENES))
    silent[:, 0] = 1000
    profile = np.eye(GENES)[1]  # counts of the second gene are background and nothing else
    found = Measurement(0.5, 0.3, profile).of(measured(silent), _rng())
    values = found.values.toarray()
    share = values[:, 1] / values.sum(axis=1)
    assert share.mean() == pytest.approx(0.3, abs=0.02)
    assert 0.55 < share.max() < 0.7
    assert share.min() < 0.02


def test_the_same_generator_gives_the_same_cells() -> None:
    found = Measurement(2.0, 0.3, np.full(GENES, 1 / GENES))
    first, again = (found.of(cells(50), _rng()).values for _ in range(2))
    assert (first != again).nnz == 0


def _rng() -> np.random.Generator:
    return np.random.default_rng(7)
