from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from tagscope.domains.clusters import by_size, kmeans, leiden, leiden_with, mixture
from tagscope.errors import ArgumentError
from tagscope.jobs import JobCancelled, JobContext

SIZES = (30, 60, 110)


@pytest.fixture(scope="module")
def blobs():
    """Three clouds of cells, stretched the same way, and which cell is of which."""
    rng = np.random.default_rng(1)
    truth = np.repeat(np.arange(3), SIZES)
    stretched = rng.normal(size=(len(truth), 2)) @ np.diag([1.6, 0.3])
    return (stretched + np.outer(truth, [0.0, 2.5])).astype(np.float32), truth


def test_a_mixture_of_features_some_of_which_say_nothing_new():
    """Twelve features of four directions: in single precision their covariance has no inverse."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(3), 200)
    directions = 30 * (rng.normal(size=(600, 4)) + 6.0 * truth[:, None])
    features = (directions @ rng.normal(size=(4, 12))).astype(np.float32)
    with pytest.raises(ValueError, match="ill-defined empirical covariance"):
        GaussianMixture(3, covariance_type="tied", random_state=0).fit(features)
    found = mixture(features, 3, starts=2, seed=0, context=JobContext())
    assert adjusted_rand_score(truth, found.codes) > 0.95


def told(stages):
    return JobContext(lambda progress: stages.append((progress.stage, progress.done)))


def test_clusters_are_numbered_by_size():
    np.testing.assert_array_equal(by_size(np.array([5, 9, 9, -2, 5, 9])), [1, 0, 0, 2, 1, 0])
    np.testing.assert_array_equal(by_size(np.array([7, 3, 7, 3])), [1, 0, 1, 0])


def test_a_mixture_with_one_covariance_sees_what_kmeans_does_not(blobs):
    features, truth = blobs
    of_mixture = mixture(features, 3, starts=5, seed=0, context=JobContext())
    assert adjusted_rand_score(truth, of_mixture.codes) > 0.95
    assert np.bincount(of_mixture.codes).tolist() == sorted(SIZES, reverse=True)
    of_kmeans = kmeans(features, 3, starts=5, seed=0, context=JobContext())
    assert adjusted_rand_score(truth, of_kmeans.codes) < 0.9
    assert of_kmeans.count == 3


@pytest.mark.parametrize("cluster", [mixture, kmeans])
def test_the_same_seed_gives_the_same_clusters(blobs, cluster):
    first, second = (cluster(blobs[0], 4, starts=2, seed=3, context=JobContext()) for _ in range(2))
    np.testing.assert_array_equal(first.codes, second.codes)
    assert first.found == second.found


def test_the_best_of_several_starts_is_kept(blobs):
    scores = [
        kmeans(blobs[0], 6, starts=starts, seed=2, context=JobContext()).found["score"]
        for starts in (1, 4, 8)
    ]
    assert scores == sorted(scores)


def test_leiden_finds_as_many_as_were_asked_for_and_again(blobs):
    stages = []
    found = leiden_with(blobs[0], 3, seed=0, context=told(stages))
    assert found.count == 3
    again = leiden(blobs[0], found.found["resolution"], seed=0, context=JobContext())
    np.testing.assert_array_equal(found.codes, again.codes)
    assert "searching the resolution" in {stage for stage, _ in stages}


def test_leiden_of_many_cells():
    """From 4,096 cells on scanpy would choose another way to find neighbours."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 4200)
    features = (np.eye(3)[truth] * 12 + rng.normal(size=(4200, 3))).astype(np.float32)
    found = leiden_with(features, 3, seed=0, context=JobContext())
    assert adjusted_rand_score(truth, found.codes) > 0.99


def test_leiden_says_what_it_found_where_a_number_cannot_be_reached():
    apart = np.repeat(np.eye(5, dtype=np.float32) * 100, 40, axis=0)
    apart += np.random.default_rng(0).normal(size=apart.shape).astype(np.float32)
    found = leiden_with(apart, 2, seed=0, context=JobContext())
    assert found.count == 5, "five clouds without an edge between them are never two"


@pytest.mark.parametrize("cluster", [mixture, kmeans])
def test_a_cancel_is_answered_between_starts(blobs, cluster):
    context = JobContext()
    context.on_progress = lambda progress: context.cancel() if progress.done == 1 else None
    with pytest.raises(JobCancelled):
        cluster(blobs[0], 3, starts=5, seed=0, context=context)


def test_no_more_domains_than_cells(blobs):
    with pytest.raises(ArgumentError, match="200 domains were asked for, and there are 200 cells"):
        mixture(blobs[0], 200, starts=1, seed=0, context=JobContext())


def test_the_graph_is_made_once_for_several_resolutions(blobs):
    features, _ = blobs
    first = leiden(features + 1, 1.0, seed=0, context=JobContext())
    stages = []
    leiden(features + 1, 0.2, seed=0, context=told(stages))
    again = leiden(features + 1, 1.0, seed=0, context=told(stages))
    assert stages == []
    np.testing.assert_array_equal(again.codes, first.codes)
    leiden(features, 1.0, seed=0, context=told(stages))
    assert stages


def test_the_best_start_so_far_is_a_partial_result(blobs):
    parts = []
    context = JobContext(lambda progress: parts.append(progress.partial))
    found = mixture(blobs[0], 3, starts=3, seed=0, context=context)
    assert parts[0] is None
    assert len(parts[1]) == len(found.codes)
