"""Novelty against neighbours found otherwise, its calibration, and its way to disk and back."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from tagscope.models.novelty import NoveltyModel, neighbour_distance, unit_rows

TYPES, WIDTH = 6, 16


def _cells(count, seed, types=range(TYPES)):
    """Embeddings around a direction per type, of any length, and their types."""
    directions = np.random.default_rng(0).standard_normal((TYPES + 1, WIDTH))
    rng = np.random.default_rng(seed)
    codes = rng.choice(list(types), count)
    x = 2 * directions[codes] + 0.6 * rng.standard_normal((count, WIDTH))
    return (x * rng.uniform(0.5, 2, (count, 1))).astype(np.float32), codes


@pytest.fixture(scope="module")
def model():
    training, codes = _cells(1500, 1)
    return NoveltyModel.fit(training, codes, _cells(1000, 2)[0])


def test_distances_are_those_of_scikit_learn():
    bank, asked = _cells(300, 1)[0], _cells(50, 2)[0]
    tree = NearestNeighbors(n_neighbors=5).fit(unit_rows(bank))
    expected = tree.kneighbors(unit_rows(asked))[0][:, 4]
    np.testing.assert_allclose(neighbour_distance(asked, bank, 5), expected, atol=1e-4)
    np.testing.assert_allclose(
        neighbour_distance(asked, bank[:2], 5), neighbour_distance(asked, bank[:2], 2)
    )


def test_a_quantile_means_what_it_says(model):
    score = model.score(_cells(4000, 3)[0])
    for quantile in (0.5, 0.8, 0.95):
        assert (score > quantile).mean() == pytest.approx(1 - quantile, abs=0.03)
    assert score.min() >= 0
    assert score.max() < 1


def test_cells_of_a_new_type_are_told_apart(model):
    seen, new = model.score(_cells(500, 4)[0]), model.score(_cells(100, 5, [TYPES])[0])
    assert roc_auc_score([0] * 500 + [1] * 100, np.concatenate([seen, new])) > 0.95
    assert (new > 0.95).mean() > 0.8


def test_the_order_of_distances_is_kept_beyond_all_held_out_cells(model):
    far = np.eye(WIDTH, dtype=np.float32)
    far = np.concatenate([far, -far, _cells(50, 6)[0]])
    order = np.argsort(model.distance(far))
    scores = model.score(far).astype(np.float64)[order]
    assert (np.diff(scores) >= 0).all()
    beyond = scores > 0.95
    assert beyond.sum() > 5
    assert (np.diff(scores[beyond]) > 0).all()


def test_without_held_out_cells_each_is_held_out_of_the_others(model):
    training, codes = _cells(1500, 1)
    alone = NoveltyModel.fit(training, codes)
    asked = _cells(400, 7)[0]
    np.testing.assert_allclose(alone.score(asked), model.score(asked), atol=0.08)
    assert NoveltyModel.fit(training[:1], codes[:1]).score(asked).shape == (400,)


def test_a_smaller_bank_keeps_rare_types_whole():
    training, codes = _cells(2000, 1)
    rare = np.flatnonzero(codes == 0)[:7]
    rows = np.concatenate([rare, np.flatnonzero(codes != 0)])
    small = NoveltyModel.fit(training[rows], codes[rows], most_cells=200)
    assert small.bank.shape == (200, WIDTH)
    kept = {row.tobytes() for row in small.bank}
    assert all(row.tobytes() in kept for row in unit_rows(training[rare]))
    again = NoveltyModel.fit(training[rows], codes[rows], most_cells=200)
    np.testing.assert_array_equal(again.bank, small.bank)


def test_it_survives_safetensors(model, tmp_path):
    save_file(model.to_state(), tmp_path / "novelty.safetensors")
    read = NoveltyModel.from_state(load_file(tmp_path / "novelty.safetensors"))
    asked = _cells(100, 8)[0]
    np.testing.assert_array_equal(read.score(asked), model.score(asked))


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(ValueError, match="codes for 0"):
        NoveltyModel.fit(np.zeros((0, 4)), np.zeros(0, int))
    with pytest.raises(ValueError, match="2 codes for 3"):
        NoveltyModel.fit(np.ones((3, 4)), np.zeros(2, int))
