"""Deletion and insertion on a network whose label hangs on one gene: every number is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from tagscope.core.labels import LabelSet
from tagscope.core.section import Cells
from tagscope.errors import ArgumentError
from tagscope.interpret.faithfulness import FaithfulnessConfig, faithfulness, sample_of_types
from tagscope.interpret.faithfulness_report import ALL, Curves, FaithfulnessReport
from tagscope.jobs import JobCancelled, JobContext

YES = 1 / (1 + np.exp(-4))
TYPES = LabelSet(("a", "b", "empty"))
CONFIG = FaithfulnessConfig(device="cpu", draws=4)


@pytest.fixture
def codes():
    return np.arange(30) % 2


def curve(report, test, order, of=ALL, column="probability"):
    rows = report.curves
    chosen = rows[(rows["type"] == of) & (rows["test"] == test) & (rows["order"] == order)]
    return chosen[column].to_numpy()


def test_hiding_the_one_gene_takes_the_label_away(one_gene, cells_with_key, codes):
    report = faithfulness(cells_with_key, one_gene, TYPES, codes, CONFIG)
    np.testing.assert_allclose(curve(report, "deletion", "attention"), [YES, *[1 - YES] * 7])
    np.testing.assert_allclose(curve(report, "insertion", "attention"), [1 - YES, *[YES] * 7])
    kept = curve(report, "deletion", "attention", column="label_kept")
    assert kept.tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    # the key gene is the least expressed: it is hidden last of all
    np.testing.assert_allclose(curve(report, "deletion", "expression"), [*[YES] * 7, 1 - YES])
    np.testing.assert_allclose(curve(report, "insertion", "expression"), [*[1 - YES] * 7, YES])


def test_random_genes_take_it_away_as_often_as_they_hit_it(one_gene, cells_with_key, codes):
    config = replace(CONFIG, draws=300)
    report = faithfulness(cells_with_key, one_gene, TYPES, codes, config)
    kept = curve(report, "deletion", "random", column="label_kept")
    shares = curve(report, "deletion", "random", column="share")
    np.testing.assert_allclose(kept, 1 - shares, atol=0.02)
    shown = curve(report, "insertion", "random", column="label_kept")
    np.testing.assert_allclose(shown, shares, atol=0.02)


def test_areas_are_those_of_the_known_curves(one_gene, cells_with_key, codes):
    report = faithfulness(cells_with_key, one_gene, TYPES, codes, CONFIG)
    lengths = np.diff(cells_with_key.values.indptr)
    # the probability falls in a straight line from nothing hidden to the first gene hidden
    lost = (YES - (1 - YES)) / (2 * lengths)
    expected = (1 - YES) + lost.mean()
    areas = report.areas.set_index(["type", "test", "order"])
    row = areas.loc[(ALL, "deletion", "attention")]
    assert row["area"] == pytest.approx(expected)
    assert row["area_se"] == pytest.approx(lost.std(ddof=1) / np.sqrt(30))
    for of in (ALL, "a", "b"):
        by_attention = areas.loc[(of, "insertion", "attention"), "area"]
        other = areas.loc[(of, "insertion", "expression")]
        assert other["attention_minus"] == pytest.approx(by_attention - other["area"])
    assert "attention before random in 2 of 2 types" in report.to_text()


def test_attention_to_other_genes_is_found_out(one_gene, cells_with_key, codes):
    astray = replace(one_gene, attentive=False)
    report = faithfulness(cells_with_key, astray, TYPES, codes, CONFIG)
    np.testing.assert_allclose(curve(report, "deletion", "attention"), [*[YES] * 7, 1 - YES])
    assert "attention before random in 0 of 2 types" in report.to_text()


def test_answers_do_not_depend_on_batches_or_memory(one_gene, cells_with_key, codes):
    expected = faithfulness(cells_with_key, one_gene, TYPES, codes, CONFIG)
    small = replace(one_gene, most_cells=3, calls=[])
    for model, config in ((one_gene, replace(CONFIG, batch_size=7)), (small, CONFIG)):
        found = faithfulness(cells_with_key, model, TYPES, codes, config)
        pd.testing.assert_frame_equal(found.curves, expected.curves)
        pd.testing.assert_frame_equal(found.areas, expected.areas)
    assert max(small.calls) <= 3
    other = faithfulness(cells_with_key, one_gene, TYPES, codes, replace(CONFIG, seed=1))
    assert not np.allclose(
        curve(other, "deletion", "random"), curve(expected, "deletion", "random")
    )


def test_types_give_the_same_number_of_cells():
    codes = np.repeat([0, 1, -1, 2], [100, 5, 40, 30])
    rows = sample_of_types(codes, 4, FaithfulnessConfig(cells_per_type=20))
    assert np.bincount(codes[rows], minlength=4).tolist() == [20, 5, 20, 0]
    assert (np.diff(rows) > 0).all()


def test_cells_without_genes_are_left_out(one_gene, cells_with_key, codes):
    counts = cells_with_key.values.tolil()
    counts[4] = 0
    cells = Cells(sp.csr_matrix(counts), cells_with_key.panel, cells_with_key.ids)
    report = faithfulness(cells, one_gene, TYPES, codes, CONFIG)
    assert report.curves["cells"].max() == 29
    empty = Cells(sp.csr_matrix((30, 20), dtype=np.float32), cells.panel, cells.ids)
    with pytest.raises(ArgumentError, match="None of the cells"):
        faithfulness(empty, one_gene, TYPES, codes, CONFIG)
    with pytest.raises(ArgumentError, match="None of the cells"):
        faithfulness(cells, one_gene, TYPES, np.full(30, -1), CONFIG)


def test_a_model_without_attention_is_refused(one_gene, cells_with_key, codes):
    blind = replace(one_gene, capabilities=frozenset())
    with pytest.raises(ArgumentError, match="gene_scores"):
        faithfulness(cells_with_key, blind, TYPES, codes, CONFIG)


def test_a_cancel_is_answered_after_one_pass(one_gene, cells_with_key, codes):
    def listen(progress):
        if len(one_gene.calls) == 3:
            context.cancel()

    context = JobContext(listen)
    with pytest.raises(JobCancelled):
        faithfulness(cells_with_key, one_gene, TYPES, codes, CONFIG, context=context)
    assert len(one_gene.calls) <= 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"percent": ()}, {"percent": (5, 2)}, {"percent": (0, 5)}, {"percent": (5, 100)},
        {"draws": 0}, {"cells_per_type": 0},
    ],
)  # fmt: skip
def test_settings_are_checked(wrong):
    with pytest.raises(ArgumentError):
        FaithfulnessConfig(**wrong)


def test_all_is_written_with_a_type_of_one_cell(tmp_path):
    curves = Curves.empty(4, 3, 3)
    curves.shares[:] = [0, 0.5, 1]
    curves.set_ends(np.full(4, 0.9), (np.full(4, 0.1), np.zeros(4)))
    curves.add(0, 0, 1, 1.0, np.full(4, 0.3), np.zeros(4))
    report = FaithfulnessReport.of("type", TYPES, np.array([0, 0, 0, 1]), (50,), curves)
    path = report.write(tmp_path / "report.csv")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "report.areas.csv", "report.csv", "report.png",
    ]  # fmt: skip
    written = pd.read_csv(path)
    pd.testing.assert_frame_equal(written, report.curves, check_dtype=False, rtol=1e-5)
    areas = report.areas.set_index(["type", "test", "order"])
    # trapezia over 0, ½ and 1: (0.9 + 0.3)/4 + (0.3 + 0.1)/4
    assert areas.loc[("b", "deletion", "attention"), "area"] == pytest.approx(0.4)
    assert np.isnan(areas.loc[("b", "deletion", "attention"), "area_se"])
