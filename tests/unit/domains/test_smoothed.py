from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Section, SideBySide
from tagscope.domains.smoothed import components_of, narrowed, smoothed
from tagscope.errors import InputError


def line(places, pieces=None):
    """Cells on a line, without genes that matter."""
    ids = np.array([f"c{i}" for i in range(len(places))])
    cells = Cells(sp.csr_matrix((len(places), 1), dtype=np.float32), GenePanel(("g",)), ids)
    xy = np.column_stack([places, np.zeros(len(places))]).astype(float)
    return Section(cells, xy, pieces=pieces)


def test_a_mean_over_a_cell_and_its_neighbours():
    values = np.array([[0.0], [3.0], [6.0], [90.0]], np.float32)
    found = smoothed(values, line([0, 1, 2.5, 100]), 1)
    np.testing.assert_allclose(found[:, 0], [1.5, 1.5, 4.5, 48.0])


def test_neighbours_are_of_the_same_section():
    codes = np.array([0, 1, 0, 1])
    pieces = SideBySide(("a", "b"), codes, np.zeros((2, 2)))
    values = np.array([[1.0], [10.0], [3.0], [30.0]], np.float32)
    found = smoothed(values, line([0, 0.1, 5, 5.1], pieces), 3)
    np.testing.assert_allclose(found[:, 0], [2, 20, 2, 20])


def test_a_cell_without_a_place_keeps_its_own():
    values = np.array([[1.0], [3.0], [7.0]], np.float32)
    found = smoothed(values, line([0, 1, np.nan]), 2)
    np.testing.assert_allclose(found[:, 0], [2, 2, 7])


def test_components_are_those_of_z_scores(section):
    from sklearn.decomposition import PCA

    counts = section.cells.values.toarray().astype(float)
    totals = counts.sum(axis=1, keepdims=True)
    logged = np.log1p(counts * np.median(totals[totals > 0]) / np.maximum(totals, 1))
    spread = logged.std(axis=0)
    scored = (logged - logged.mean(axis=0)) / np.where(spread > 0, spread, 1)
    expected = PCA(5, svd_solver="full").fit_transform(scored)
    found = components_of(section.cells, 5)
    assert found.shape == (len(section), 5)
    of_axes = [abs(np.corrcoef(a, b)[0, 1]) for a, b in zip(found.T, expected.T, strict=True)]
    assert min(of_axes) > 0.999


def test_as_many_components_as_cells_and_genes_allow(section):
    few = section.cells.restrict(section.panel.take(np.arange(3)))
    assert components_of(few, 20).shape[1] == 2
    one = section.cells.restrict(section.panel.take(np.arange(1)))
    with pytest.raises(InputError, match="At least two of each"):
        components_of(one, 20)


def test_only_what_is_wide_is_narrowed():
    values = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    assert narrowed(values, 8) is values
    assert narrowed(values, 3).shape == (50, 3)


def test_normalised_values_are_used_as_they_are(section):
    normalised = replace(section.cells, normalised=True)
    assert not np.allclose(components_of(normalised, 3), components_of(section.cells, 3))
