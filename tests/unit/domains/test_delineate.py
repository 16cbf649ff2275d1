from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tagscope.core.section import SideBySide
from tagscope.domains.config import DomainConfig
from tagscope.domains.delineate import (
    beside_expression,
    domains_of,
    embedded_features,
    expression_features,
)
from tagscope.domains.refine import refined
from tagscope.errors import ArgumentError, InputError
from tagscope.evaluation.annotation import evaluate_labels

QUICK = DomainConfig(n_domains=7, starts=3)


@pytest.fixture(scope="module")
def features(section):
    return expression_features(section, QUICK)


def ari(found, truth):
    return evaluate_labels(found.names(), truth.astype(str)).ari


@pytest.mark.parametrize(
    ("cluster", "least"), [("mixture", 0.55), ("kmeans", 0.45), ("leiden", 0.4)]
)
def test_planted_layers_are_found(section, features, truth, cluster, least):
    found = domains_of(section, features, replace(QUICK, cluster=cluster))
    assert ari(found, truth) > least
    assert [count for _, count in found.counts()] == sorted(
        np.unique(found.codes, return_counts=True)[1], reverse=True
    )


def test_neighbours_are_what_finds_them(section, truth):
    alone = replace(QUICK, neighbors=0)
    found = domains_of(section, expression_features(section, alone), alone)
    assert ari(found, truth) < 0.4


def test_refined_domains_have_fewer_strays(section, features, truth):
    plain = domains_of(section, features, QUICK)
    clean = domains_of(section, features, replace(QUICK, refine=True))
    assert plain.provenance.extra["clusters"] == 7
    assert ari(clean, truth) > ari(plain, truth) - 0.05
    changed = (clean.names() != plain.names()).mean()
    assert 0 < changed < 0.3


def test_most_votes_win_and_a_tie_changes_nothing():
    codes = np.array([0, 1, 1, 1, 0])
    near = np.array([[1, 2], [0, -1], [3, 1], [2, 4], [3, -1]])
    np.testing.assert_array_equal(refined(codes, near), [1, 1, 1, 1, 0])


def test_several_sections_are_delineated_together(section, truth):
    half = section.xy[:, 0] > np.median(section.xy[:, 0])
    pieces = SideBySide(("left", "right"), half.astype(np.int64), np.array([[0, 0], [5000, 0.0]]))
    apart = replace(section, xy=section.xy + pieces.moves, pieces=pieces)
    found = domains_of(apart, expression_features(apart, QUICK), QUICK)
    assert ari(found, truth) > 0.45
    shared = [np.unique(found.codes[half == side]).size for side in (False, True)]
    assert min(shared) >= 5, "the layers of both sides are the same domains"


def test_the_record_tells_how_it_came_to_be(section, features):
    found = domains_of(section, features, replace(QUICK, cluster="leiden", key="mine"))
    record = found.provenance
    assert record.parameters["key"] == "mine"
    assert record.extra["clusters"] == len(found.domains)
    assert record.extra["resolution"] > 0
    assert record.parameters["neighbors"] == 20


def test_an_embedding_is_clustered_as_it_is(section, features, truth):
    again = embedded_features(section, features, QUICK)
    np.testing.assert_array_equal(again.values, features.values)
    blocks = np.stack([features.values, features.values * 3], axis=1)
    mean = embedded_features(section, replace(features, values=blocks), QUICK)
    np.testing.assert_allclose(mean.values, features.values * 2, rtol=1e-6)
    wide = replace(QUICK, components=4)
    assert embedded_features(section, features, wide).values.shape == (len(section), 4)


def test_an_embedding_and_expression_weigh_the_same(section, features):
    """Whatever the embedding's scale, and of expression the direction alone."""
    small = replace(features, values=features.values[:, :3] / 1000 + 7)
    both = beside_expression(section, small, QUICK).values
    assert both.shape == (len(section), 3 + 20)
    for side in (both[:, :3], both[:, 3:]):
        np.testing.assert_allclose(side.mean(axis=0), 0, atol=1e-5)
        assert (side**2).sum(axis=1).mean() == pytest.approx(1, rel=1e-3)
    lengths = np.linalg.norm(features.values, axis=1, keepdims=True)
    own = features.values / lengths - (features.values / lengths).mean(axis=0)
    angle = np.abs((both[:, 3:] * own).sum() / np.linalg.norm(both[:, 3:]) / np.linalg.norm(own))
    assert angle == pytest.approx(1, abs=1e-4)
    alike = replace(features, values=np.ones((len(section), 2), np.float32))
    assert not beside_expression(section, alike, QUICK).values[:, :2].any()


def test_an_embedding_of_other_cells_is_refused(section, features):
    other = replace(features, ids=features.ids[::-1])
    with pytest.raises(InputError, match="of the very cells"):
        embedded_features(section, other)
    broken = replace(features, values=np.full_like(features.values, np.nan))
    with pytest.raises(InputError, match="not finite"):
        embedded_features(section, broken)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"n_domains": 1}, "n domains is 1"),
        ({"neighbors": -1}, "neighbors is -1"),
        ({"key": "a/b"}, "cannot name a slot"),
        ({"cluster": "ward"}, "'ward' is unknown"),
        ({"resolution": 1.0}, "given for the clustering 'mixture'"),
        ({"cluster": "leiden", "resolution": 0.0}, "above 0"),
    ],
)
def test_settings_are_judged_when_made(wrong, said):
    with pytest.raises(ArgumentError, match=said):
        DomainConfig(**wrong)
