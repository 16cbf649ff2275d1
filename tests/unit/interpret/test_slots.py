"""Slot summaries against sums over dense arrays."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.results import SlotScores
from tagscope.errors import InputError
from tagscope.interpret.slots import slot_shares, slot_summary

GROUPS = LabelSet(("glia", "neuron", "nobody"))
CELLS, GENES, SLOTS = 60, 7, 3


@pytest.fixture
def dense():
    """Memory scores (cells, genes, slots): sum to 1 over slots where read; cell 4 reads nothing."""
    random = np.random.default_rng(0)
    scores = random.dirichlet(np.ones(SLOTS), (CELLS, GENES))
    scores[random.random((CELLS, GENES)) < 0.4] = 0
    scores[4] = 0
    scores[:, 6] = 0
    return scores


@pytest.fixture
def scores(dense):
    matrices = tuple(sp.csc_matrix(dense[:, :, s].astype(np.float32)) for s in range(SLOTS))
    panel = GenePanel(tuple(f"G{i}" for i in range(GENES)))
    return SlotScores(np.array([f"c{i}" for i in range(CELLS)]), panel, matrices)


@pytest.fixture
def codes():
    codes = np.random.default_rng(1).integers(-1, 2, CELLS)
    codes[4] = 0
    return codes


def test_shares_are_means_over_genes_then_cells(dense, scores, codes):
    found = slot_summary(scores, GROUPS, codes).matrix()
    assert list(found.index) == ["glia", "neuron"]
    read = dense.sum(axis=2) > 0
    for code, name in enumerate(found.index):
        own = np.flatnonzero((codes == code) & read.any(axis=1))
        expected = np.mean([dense[c][read[c]].mean(axis=0) for c in own], axis=0)
        np.testing.assert_allclose(found.loc[name], expected, rtol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_specificity_is_against_the_best_other_group(scores, codes):
    found = slot_summary(scores, GROUPS, codes)
    matrix = found.matrix()
    rows = found.shares.set_index(["group", "slot"])
    for slot in range(SLOTS):
        ratio = matrix.loc["glia", slot] / matrix.loc["neuron", slot]
        assert rows.loc[("glia", slot), "specificity"] == pytest.approx(ratio)
        assert rows.loc[("neuron", slot), "specificity"] == pytest.approx(1 / ratio)


def test_programs_rank_by_the_mean_over_all_cells(dense, scores, codes):
    found = slot_summary(scores, GROUPS, codes, top=4).programs
    read = (dense.sum(axis=2) > 0).sum(axis=0)
    for slot in range(SLOTS):
        rows = found[found["slot"] == slot]
        mean = pd.Series(dense[:, :, slot].mean(axis=0), [f"G{i}" for i in range(GENES)])
        best = mean.nlargest(4)
        assert list(rows["gene"]) == list(best.index)
        assert list(rows["rank"]) == [1, 2, 3, 4]
        np.testing.assert_allclose(rows["score"], best, rtol=1e-5)
        genes = [int(g[1:]) for g in rows["gene"]]
        spread = dense.sum(axis=0)[genes] / read[genes, None]
        np.testing.assert_allclose(rows["share"], spread[:, slot], rtol=1e-5)
        others = np.delete(spread, slot, axis=1).max(axis=1)
        np.testing.assert_allclose(rows["specificity"], spread[:, slot] / others, rtol=1e-5)


def test_genes_nobody_was_read_with_are_no_background(scores, codes):
    assert slot_summary(scores, GROUPS, codes).background == tuple(f"G{i}" for i in range(6))


def test_all_is_written(scores, codes, tmp_path):
    found = slot_summary(scores, GROUPS, codes)
    folder = found.write(tmp_path / "slots")
    assert sorted(p.name for p in folder.iterdir()) == [
        "slot_by_group.csv", "slot_by_group.png",
        "slot_programs.background.txt", "slot_programs.csv", "slot_programs.png",
    ]  # fmt: skip
    shares = pd.read_csv(folder / "slot_by_group.csv")
    pd.testing.assert_frame_equal(shares, found.shares, rtol=1e-5, check_dtype=False)
    assert found.to_text().splitlines()[0].startswith("slot 0 (")


def test_groups_of_other_cells_are_refused(scores):
    with pytest.raises(InputError, match="60 cells"):
        slot_summary(scores, GROUPS, np.zeros(5, np.int64))


def test_shares_of_every_cell(dense, scores):
    shares = slot_shares(scores)
    read = dense.sum(axis=2) > 0
    cell = int(np.flatnonzero(read.any(axis=1))[0])
    np.testing.assert_allclose(shares[cell], dense[cell][read[cell]].mean(axis=0), rtol=1e-5)
    assert np.isnan(shares[4]).all()  # it reads nothing
