"""TAG tables against their definition, from memory and from a written table."""

from __future__ import annotations

from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from tagscope.core.labels import LabelSet
from tagscope.core.normalise import log_cp10k
from tagscope.core.panel import GenePanel
from tagscope.core.provenance import Provenance
from tagscope.core.results import (
    Annotation,
    AnnotationResult,
    GeneScores,
    SlotScores,
    write_provenance,
)
from tagscope.core.section import Cells
from tagscope.errors import ArgumentError, InputError, OutputError
from tagscope.interpret.tags import slot_tag_table, tag_table, tags_of_table
from tagscope.io.names import read_names

GROUPS = LabelSet(("glia", "neuron", "nobody"))


@pytest.fixture
def cells():
    """80 cells; the section lists its genes in another order than the model, and one more."""
    counts = np.random.default_rng(0).poisson(1.0, (80, 6)).astype(np.float32)
    panel = GenePanel(("Gfap", "Snap25", "Own", "Slc17a7", "Aqp4", "Mbp"))
    return Cells(sp.csr_matrix(counts), panel, np.array([f"c{i}" for i in range(80)]))


@pytest.fixture
def codes():
    """Glia, neurons, and cells without a label."""
    return np.random.default_rng(5).integers(-1, 2, 80)


@pytest.fixture
def scores(cells):
    """The model knows Absent too, which the section does not have."""
    panel = GenePanel(("Absent", "Aqp4", "Gfap", "Mbp", "Slc17a7", "Snap25"))
    values = np.random.default_rng(1).random((80, 6)).astype(np.float32)
    values[values < 0.4] = 0
    values[:, 3] = 0
    return GeneScores(cells.ids, panel, sp.csc_matrix(values))


@pytest.fixture
def result(cells, scores, codes):
    probabilities = np.full((80, 3), 0.1, np.float32)
    probabilities[np.arange(80), codes] = 0.8
    probabilities[codes < 0] = 1 / 3
    slots = (scores.scores, sp.csc_matrix(scores.scores * 0.5))
    return AnnotationResult(
        "cellmemory",
        Annotation(cells.ids, GROUPS, probabilities, np.zeros((80, 2), np.float32), 0.5),
        scores,
        SlotScores(cells.ids, scores.panel, slots),
        Provenance("annotate", {}, extra={"labels": list(GROUPS.names)}),
    )


@pytest.fixture
def table(cells, result):
    table = ad.AnnData(
        cells.values.copy(), pd.DataFrame(index=cells.ids), pd.DataFrame(index=cells.panel.symbols)
    )
    result.write_to(table)
    return table


def test_every_column_is_what_it_says(cells, scores, codes):
    found = tag_table(scores, cells, GROUPS, codes, top=3)
    dense = pd.DataFrame(scores.scores.toarray(), columns=scores.panel.symbols)
    counts = cells.values.toarray()
    logged = np.log1p(counts / np.maximum(counts.sum(1, keepdims=True), 1) * 1e4)
    expression = pd.DataFrame(logged, columns=cells.panel.symbols)
    for code, group in enumerate(("glia", "neuron")):
        own, rest = codes == code, codes == 1 - code
        rows = found.of(group)
        best = dense[own].drop(columns="Absent").mean().sort_values(ascending=False)[:3]
        assert list(rows["gene"]) == list(best.index)
        assert list(rows["rank"]) == [1, 2, 3]
        np.testing.assert_allclose(rows["attention"], best, rtol=1e-6)
        np.testing.assert_allclose(
            rows["expression"], expression[own][best.index].mean(), rtol=1e-6
        )
        np.testing.assert_allclose(
            rows["specificity"], best / dense[rest][best.index].mean(), rtol=1e-6
        )
        np.testing.assert_allclose(
            rows["auc"], [roc_auc_score(own, dense[gene]) for gene in best.index]
        )
        for row in rows.itertuples():
            attention, level = dense[row.gene][own], expression[row.gene][own]
            expressed = level > 0
            rho = spearmanr(attention, level).statistic
            assert row.follows_expression == pytest.approx(rho)
            rho = spearmanr(attention[expressed], level[expressed]).statistic
            assert row.follows_level == pytest.approx(rho)


def test_the_summary_of_a_group(cells, scores, codes):
    found = tag_table(scores, cells, GROUPS, codes, top=2)
    assert found.background == ("Gfap", "Snap25", "Slc17a7", "Aqp4")
    counts = cells.values.toarray()
    logged = np.log1p(counts / np.maximum(counts.sum(1, keepdims=True), 1) * 1e4)
    expression = pd.DataFrame(logged, columns=cells.panel.symbols)[list(found.background)]
    attention = pd.DataFrame(scores.scores.toarray(), columns=scores.panel.symbols)
    for code, row in enumerate(found.summary.itertuples()):
        own = codes == code
        assert (row.group, row.cells, row.genes, row.top) == (GROUPS.names[code], own.sum(), 4, 2)
        a, e = attention[own][list(found.background)].mean(), expression[own].mean()
        assert row.follows_expression == pytest.approx(spearmanr(a, e).statistic)
        assert row.top_shared == len(set(a.nlargest(2).index) & set(e.nlargest(2).index)) / 2
        assert row.top_by_chance == 0.5
        np.testing.assert_allclose(found.means[row.group], a, rtol=1e-6)


def test_attention_that_is_expression_follows_it_entirely(cells, codes):
    same = GeneScores(cells.ids, cells.panel, log_cp10k(cells).tocsc())
    found = tag_table(same, cells, GROUPS, codes)
    np.testing.assert_allclose(found.frame["follows_expression"], 1)
    np.testing.assert_allclose(found.frame["follows_level"], 1)
    np.testing.assert_allclose(found.summary["follows_expression"], 1)
    np.testing.assert_allclose(found.summary["top_shared"], 1)


def test_genes_nobody_attends_to_or_the_section_lacks_are_not_listed(cells, scores, codes):
    genes = set(tag_table(scores, cells, GROUPS, codes).frame["gene"])
    assert genes == {"Aqp4", "Gfap", "Slc17a7", "Snap25"}


def test_a_group_without_cells_has_no_rows(cells, scores, codes):
    found = tag_table(scores, cells, GROUPS, codes)
    with pytest.raises(ArgumentError, match="glia, neuron"):
        found.of("nobody")


def test_one_group_alone_has_no_specificity(cells, scores):
    found = tag_table(scores, cells, LabelSet(("all",)), np.zeros(80, dtype=np.int64)).frame
    assert found["specificity"].isna().all()
    assert found["auc"].isna().all()


def test_a_gene_that_only_one_group_has_is_infinitely_specific(cells, scores, codes):
    values = scores.scores.toarray()
    values[codes != 0, 2] = 0
    only = GeneScores(scores.ids, scores.panel, sp.csc_matrix(values))
    rows = tag_table(only, cells, GROUPS, codes).of("glia").set_index("gene")
    assert rows.loc["Gfap", "specificity"] == np.inf


def test_no_group_at_all_gives_an_empty_table(cells, scores):
    found = tag_table(scores, cells, GROUPS, np.full(80, -1))
    assert found.frame.empty
    assert "auc" in found.frame


def test_scores_of_other_cells_are_refused(cells, scores, codes):
    other = GeneScores(scores.ids[::-1], scores.panel, scores.scores)
    with pytest.raises(InputError, match="another order"):
        tag_table(other, cells, GROUPS, codes)


def test_a_written_table_gives_the_same_tags(cells, scores, result, table):
    expected = tag_table(scores, cells, GROUPS, result.annotation.codes).frame
    found = tags_of_table(table).frame
    pd.testing.assert_frame_equal(found, expected, rtol=1e-6)


def test_tags_by_another_column(table):
    table.obs["layer"] = pd.Categorical(["L1", "L2"] * 40)
    table.obs.loc["c0", "layer"] = np.nan
    found = tags_of_table(table, by="layer")
    assert found.by == "layer"
    assert list(found.frame["group"].unique()) == ["L1", "L2"]


@pytest.mark.parametrize("kind", ["ids", "rows", "mask"])
def test_a_selection_is_set_against_the_rest(table, kind):
    rows = np.array([3, 70, 11, 12, 40])
    mask = np.isin(np.arange(80), rows)
    given = {"ids": [f"c{i}" for i in rows], "rows": rows, "mask": mask}[kind]
    found = tags_of_table(table, selection=given)
    table.obs["chosen"] = np.where(mask, "selected", "the others")
    expected = tags_of_table(table, by="chosen").of("selected")
    pd.testing.assert_frame_equal(found.of("selected"), expected)
    assert list(found.summary["group"]) == ["selected", "rest"]
    assert list(found.summary["cells"]) == [5, 75]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["c1", "nobody"], "1 of the 2 cells selected are not in the table .*'nobody'.*like 'c0'"),
        ([3, 80], "1 of the 2"),
        ([-1], "1 of the 1"),
        ([], "None of the 80"),
        (np.zeros(80, bool), "None of the 80"),
        (np.ones(79, bool), "79 cells selected"),
        (np.ones((80, 2)), "selected"),
    ],
)
def test_a_selection_of_other_cells_is_refused(table, given, said):
    with pytest.raises(ArgumentError, match=said):
        tags_of_table(table, selection=given)


def test_a_selection_and_a_column_exclude_each_other(table):
    with pytest.raises(ArgumentError, match="one of them"):
        tags_of_table(table, selection=["c1"], by="cellmemory")


def test_counts_in_raw_are_found(table, cells, result):
    table.raw = table
    table.X = np.log1p(table.X)
    record = replace(result.provenance, inputs={"layer": "raw"})
    write_provenance(table, "cellmemory", record)
    expected = tag_table(result.gene_scores, cells, GROUPS, result.annotation.codes).frame
    pd.testing.assert_frame_equal(tags_of_table(table).frame, expected, rtol=1e-6)


def test_slots(cells, result, table):
    every = tags_of_table(table, slots=True, top=2).frame
    assert list(every["slot"].unique()) == [0, 1]
    one = tags_of_table(table, slot=1, top=2).frame
    pd.testing.assert_frame_equal(one, every[every["slot"] == 1].reset_index(drop=True))
    codes = result.annotation.codes
    memory = slot_tag_table(result.slot_scores, cells, GROUPS, codes, top=2).frame
    pd.testing.assert_frame_equal(memory, every, rtol=1e-6)


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"by": "nothing"}, "no column 'nothing'"),
        ({"by": "cellmemory_confidence"}, "measurements"),
        ({"slot": 2}, "no slot 2"),
        ({"key": "other", "by": "cellmemory"}, "no attention scores of 'other'"),
        ({"key": "other", "by": "cellmemory", "slots": True}, "no memory scores of 'other'"),
    ],
)
def test_what_is_not_there_is_said(table, choices, said):
    with pytest.raises(ArgumentError, match=said):
        tags_of_table(table, **choices)


def test_values_that_are_no_counts_are_averaged_as_they_are(table):
    table.X = table.X / 3
    found = tags_of_table(table, top=1).frame.iloc[0]
    own = (table.obs["cellmemory"] == found["group"]).to_numpy()
    expected = table.X.toarray()[own][:, list(table.var_names).index(found["gene"])].mean()
    assert found["expression"] == pytest.approx(expected)


def test_csv_and_text(table, tmp_path):
    found = tags_of_table(table)
    written = pd.read_csv(found.write_csv(tmp_path / "tags.csv"))
    pd.testing.assert_frame_equal(written, found.frame, rtol=1e-5, check_dtype=False)
    first = found.to_text(2).splitlines()[0]
    assert first == f"glia: {', '.join(found.of('glia')['gene'][:2])}"
    assert tags_of_table(table, slots=True).to_text().startswith("slot 0, glia: ")
    assert "Spearman's rho" in found.to_text().splitlines()[-1]
    groups = pd.read_csv(tmp_path / "tags.groups.csv")
    pd.testing.assert_frame_equal(groups, found.summary, rtol=1e-5, check_dtype=False)
    assert read_names(tmp_path / "tags.background.txt") == found.background


def test_nothing_is_replaced_unasked(table, tmp_path):
    found = tags_of_table(table)
    (tmp_path / "tags.background.txt").write_text("mine\n")
    with pytest.raises(OutputError, match="exists already"):
        found.write_csv(tmp_path / "tags.csv")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tags.background.txt"]
    found.write_csv(tmp_path / "tags.csv", overwrite=True)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_heatmap_of_attention_and_of_one_slot(table, tmp_path):
    for name, choices in {"tags.png": {}, "slot.svg": {"slot": 1}}.items():
        path = tags_of_table(table, **choices).write_heatmap(tmp_path / name, scaled=True)
        assert path.stat().st_size > 5000
    with pytest.raises(ArgumentError, match="several memory slots"):
        tags_of_table(table, slots=True).write_heatmap(tmp_path / "slots.png")


def test_leading_genes_lie_on_the_diagonal(cells, scores, codes):
    found = tag_table(scores, cells, GROUPS, codes)
    leading = found.leading(2)
    assert set(leading.index) == {
        gene for group in leading for gene in leading[group].nlargest(2).index
    }
    best = leading.to_numpy().argmax(axis=1)
    assert (np.diff(best) >= 0).all()
    pd.testing.assert_frame_equal(leading, found.means.loc[leading.index])
