"""The parts of the benchmarks of OmniCell's uses that need neither a model nor real data."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse as sp

from dropout import measured, thinned, zeroed
from markers import Choices
from omnicell_uses import command_line, components_of
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells


@pytest.fixture
def cells() -> Cells:
    values = np.random.default_rng(0).poisson(4.0, (200, 30)).astype(np.float32)
    panel = GenePanel(tuple(f"g{column}" for column in range(30)))
    return Cells(sp.csr_matrix(values), panel, np.arange(200).astype(str))


def test_counts_are_lost_by_molecule_or_by_value(cells):
    rng = np.random.default_rng(1)
    fewer = thinned(cells, 0.75, rng).values.toarray()
    whole = cells.values.toarray()
    assert (fewer <= whole).all()
    assert fewer.sum() == pytest.approx(0.25 * whole.sum(), rel=0.05)
    hidden = zeroed(cells, 0.75, rng).values.toarray()
    assert set(hidden[hidden > 0] - whole[hidden > 0]) == {0.0}
    assert (hidden > 0).sum() == pytest.approx(0.25 * (whole > 0).sum(), rel=0.05)
    for same in (thinned(cells, 0.0, rng), zeroed(cells, 0.0, rng)):
        np.testing.assert_array_equal(same.values.toarray(), whole)


def test_components_of_the_same_cells_are_undisturbed(cells):
    own, fewer = components_of(cells, [cells, thinned(cells, 0.5, np.random.default_rng(0))])
    types = np.repeat(["a", "b"], 100)
    assert measured(own, own, types, 0)["cosine"] == pytest.approx(1)
    assert measured(fewer, own, types, 0)["cosine"] < 0.9


def test_markers_are_compared_type_by_type():
    auc = np.array([[0.9, 0.8, 0.5, 0.4], [0.3, 0.5, 0.7, 0.6]])
    embedded = [np.array([0, 2]), np.array([2, 3])]
    row = Choices(embedded, [np.array([0, 1]), np.array([2, 3])], auc).row("mpfc", 0, 2)
    assert (row.types, row.genes) == (2, 4)
    assert row.jaccard == pytest.approx((1 / 3 + 1) / 2)
    assert row.overlap == pytest.approx(0.75)
    assert row.auc == pytest.approx((0.7 + 0.65) / 2)
    assert row.wilcoxon_auc == pytest.approx((0.85 + 0.65) / 2)
    assert row.any_auc == pytest.approx(auc.mean())


def test_what_is_there_is_not_done_again(tmp_path, monkeypatch):
    @dataclass(frozen=True)
    class Row:
        task: str
        seed: int

    asked = []

    def work(task, seed, options):
        asked.append((task, seed))
        yield Row(task, seed)

    out = tmp_path / "rows.jsonl"
    for seeds in (["0"], ["0", "1"]):
        words = ["x", "run", "--out", str(out), "--bundles", str(tmp_path), "--seed", *seeds]
        monkeypatch.setattr("sys.argv", words)
        command_line("Doc.", ("a", "b"), work, print)
    assert asked == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert [json.loads(line)["seed"] for line in out.read_text().splitlines()] == [0, 0, 1, 1]
