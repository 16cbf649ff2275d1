"""What spots are made of: mapping, least squares, and spots whose composition is known."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Reference, Section
from tagscope.deconvolution.baseline import least_squares
from tagscope.deconvolution.deconvolve import drawn_of_types
from tagscope.deconvolution.mapping import MappingSettings, map_cells
from tagscope.deconvolution.mixtures import mixtures_of, read_in_parts
from tagscope.deconvolution.result import errors_of
from tagscope.deconvolution.signatures import Signatures
from tagscope.deconvolution.spots import spots_of
from tagscope.errors import InputError
from tagscope.jobs import JobCancelled, JobContext

CPU = torch.device("cpu")


@pytest.fixture
def mixed() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings of cells of three types, of spots that are their means, and the shares."""
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(3), 20)
    centres = rng.normal(size=(3, 12))
    cells = (centres[codes] + 0.1 * rng.normal(size=(60, 12))).astype(np.float32)
    shares = rng.dirichlet([0.6] * 3, 40).astype(np.float32)
    return cells, codes, (shares @ centres).astype(np.float32), shares


def test_mapping_finds_the_shares(mixed):
    cells, codes, spots, shares = mixed
    weights = map_cells(spots, cells, MappingSettings(steps=200), CPU, JobContext())
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    found = weights @ np.eye(3, dtype=np.float32)[codes]
    assert errors_of(found, shares)["rmse"] < 0.08
    again = map_cells(spots, cells, MappingSettings(steps=200), CPU, JobContext())
    np.testing.assert_array_equal(weights, again)


def test_entropy_makes_spots_of_fewer_cells(mixed):
    cells, _, spots, _ = mixed

    def largest(entropy: float) -> float:
        settings = MappingSettings(steps=200, entropy=entropy)
        return float(map_cells(spots, cells, settings, CPU, JobContext()).max(axis=1).mean())

    assert largest(0.05) > 2 * largest(0.0)


def test_mapping_can_be_cancelled(mixed):
    cells, _, spots, _ = mixed
    context = JobContext()
    context.cancel()
    with pytest.raises(JobCancelled):
        map_cells(spots, cells, MappingSettings(), CPU, context)


@pytest.fixture
def reference() -> Reference:
    """Cells of three types, one of them rare, over 30 genes; a fourth has no cell."""
    rng = np.random.default_rng(3)
    codes = np.repeat([0, 1, 3], [60, 30, 10])
    means = rng.dirichlet([0.3] * 30, 4) * 100
    values = sp.csr_matrix(rng.poisson(means[codes]).astype(np.float32))
    panel = GenePanel(tuple(f"g{gene}" for gene in range(30)))
    cells = Cells(values, panel, np.arange(100).astype(str))
    return Reference(cells, LabelSet(("a", "b", "none", "rare")), codes)


def as_logs(cells: Cells, context: JobContext) -> np.ndarray:
    return np.log1p(cells.values.toarray())


def test_mixtures_are_as_deep_as_spots_and_as_mixed_as_the_reference(reference):
    mixtures = mixtures_of(reference, np.full(5, 1000.0), 400, 0)
    assert mixtures.cells.totals.mean() == pytest.approx(1000, rel=0.05)
    np.testing.assert_allclose(mixtures.shares.sum(axis=1), 1)
    np.testing.assert_allclose(mixtures.shares.mean(axis=0), [0.6, 0.3, 0, 0.1], atol=0.05)
    assert mixtures.shares.std(axis=0)[0] > 0.2
    again = mixtures_of(reference, np.full(5, 1000.0), 400, 0)
    np.testing.assert_array_equal(again.shares, mixtures.shares)
    shallow = mixtures_of(reference, np.full(5, 1.0), 10, 0)
    assert shallow.cells.totals.min() > 200  # three cells at least


def test_spots_are_read_in_parts(reference):
    mixtures, heard = mixtures_of(reference, np.full(5, 2000.0), 50, 0), []
    totals = read_in_parts(
        mixtures.cells, 100.0, 8, lambda cells, _: cells.totals[:, None], 0, JobContext()
    )
    np.testing.assert_allclose(totals, 100, rtol=0.2)

    def space(cells: Cells, context: JobContext) -> np.ndarray:
        context.step("embedding", 1, 2)
        return as_logs(cells, context)

    context = JobContext(lambda said: heard.append((said.done, said.total)))
    read_in_parts(mixtures.cells, 100.0, 3, space, 0, context)
    assert heard == [(1, 6), (3, 6), (5, 6)]
    whole = read_in_parts(mixtures.cells, 1e6, 3, space, 0, JobContext())
    np.testing.assert_array_equal(whole, as_logs(mixtures.cells, context))


def test_signatures_tell_mixtures_that_they_have_not_seen(reference):
    seen, other = (mixtures_of(reference, np.full(5, 1000.0), 400, seed) for seed in (0, 1))
    embedded = [as_logs(mixtures.cells, JobContext()) for mixtures in (seen, other)]
    signatures = Signatures.of(embedded[0], seen.shares)
    found = signatures.shares_in(embedded[1], JobContext())
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert found.min() >= 0
    assert errors_of(found, other.shares)["rmse"] < 0.06
    assert errors_of(found, other.shares)["pearson"] > 0.95
    empty = signatures.shares_in(np.zeros((1, 30)), JobContext())
    np.testing.assert_allclose(empty[0], seen.shares.mean(axis=0), atol=1e-6)
    context = JobContext()
    context.cancel()
    with pytest.raises(JobCancelled):
        signatures.shares_in(embedded[1], context)


def test_least_squares_finds_shares_of_molecules():
    rng = np.random.default_rng(1)
    signatures = rng.dirichlet([0.3] * 30, 4) * 500
    codes = np.repeat(np.arange(4), 50)
    cells = sp.csr_matrix(rng.poisson(signatures[codes]).astype(np.float32))
    shares = rng.dirichlet([0.5] * 4, 30)
    spots = sp.csr_matrix(rng.poisson(20 * shares @ signatures).astype(np.float32))
    found = least_squares(spots, cells, codes, 4, JobContext())
    assert errors_of(found, shares)["rmse"] < 0.02
    empty = sp.csr_matrix((1, 30), dtype=np.float32)
    np.testing.assert_allclose(least_squares(empty, cells, codes, 4, JobContext()), 0.25)


def test_spots_hold_the_cells_that_lie_in_them():
    xy = np.array([[1, 1], [9, 9], [2, 8], [11, 1], [12, 3], [35, 5], [np.nan, 1]], dtype=float)
    counts = np.arange(14, dtype=np.float32).reshape(7, 2)
    cells = Cells(sp.csr_matrix(counts), GenePanel(("a", "b")), np.array(list("1234567")))
    spots = spots_of(Section(cells, xy), np.array([0, 1, 1, 0, -1, 0, 0]), 2, 10.0)
    assert len(spots.section) == 1  # the second holds one known cell, as does the third
    np.testing.assert_array_equal(spots.section.cells.values.toarray(), [counts[:3].sum(axis=0)])
    np.testing.assert_allclose(spots.proportions, [[1 / 3, 2 / 3]], atol=1e-6)
    np.testing.assert_allclose(spots.section.xy, [[4, 6]])
    np.testing.assert_array_equal(spots.sizes, [3])
    with pytest.raises(InputError, match="No square of 10"):
        spots_of(Section(cells, xy), np.full(7, -1), 2, 10.0)


def test_errors_of_the_truth_are_none():
    truth = np.random.default_rng(0).dirichlet([1] * 4, 10).astype(np.float32)
    none = errors_of(truth, truth)
    assert none["rmse"] == 0
    assert none["pearson"] == pytest.approx(1)
    assert none["divergence"] == pytest.approx(0, abs=1e-9)
    opposite = errors_of(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[::-1])
    assert opposite["divergence"] == pytest.approx(1)


def test_cells_are_drawn_from_every_type():
    codes = np.array([0] * 30 + [1] * 3)
    rows = drawn_of_types(codes, 2, 5, 0)
    assert np.bincount(codes[rows]).tolist() == [5, 3]
    np.testing.assert_array_equal(rows, drawn_of_types(codes, 2, 5, 0))
