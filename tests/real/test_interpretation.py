"""Attention of a real section interpreted: mouse hypothalamus, MERFISH."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from tagscope import api
from tagscope.core.section import Reference
from tagscope.interpret.faithfulness import faithfulness
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.registry import load_model

CELLS = 900


@pytest.fixture(scope="module")
def file(shared):
    return shared / "data" / "annotation" / "merfish_hypothalamus_3samples.h5ad"


@pytest.fixture(scope="module")
def bundle(file, tmp_path_factory):
    """A small network after ten epochs on 900 cells of animal 7."""
    reference = api.read_reference(file, "cell_type", where='animal == "7"')
    rows = np.random.default_rng(0).choice(len(reference), CELLS, replace=False)
    some = Reference(reference.cells.take(rows), reference.labels, reference.codes[rows])
    return api.train(
        some,
        out=tmp_path_factory.mktemp("model") / "bundle",
        config=api.TrainConfig(epochs=10, batch_size=16, learning_rate=3e-3, device="cpu"),
        model_config=CellMemoryConfig(width=32, ffn=64, layers=2, slots=4),
    )


@pytest.fixture(scope="module")
def section(file):
    """Cells of animal 1."""
    return api.open_section(file, where='animal == "1"').section


@pytest.fixture(scope="module")
def result(section, bundle):
    return api.annotate(section, bundle, api.AnnotateConfig(attention=True, device="cpu"))


@pytest.fixture(scope="module")
def tags(section, result):
    annotation = result.annotation
    return api.tag_table(
        result.gene_scores, section.cells, annotation.labels, annotation.codes, top=15
    )


def test_markers_are_among_the_tags(tags):
    for group, marker in {"Inhibitory": "Gad1", "Excitatory": "Slc17a6"}.items():
        assert marker in set(tags.of(group)["gene"].head(3))


def test_attention_follows_expression_but_is_not_expression(tags):
    followed = tags.summary.query("cells >= 20")["follows_expression"]
    assert followed.between(0.2, 0.99).all()
    both = tags.frame[["follows_expression", "follows_level"]].dropna()
    assert (both["follows_expression"] > both["follows_level"]).mean() > 0.5


def test_a_part_of_the_tissue_against_the_rest(section, result):
    left = section.xy[:, 0] < np.median(section.xy[:, 0])
    groups, codes = api.selection_groups(section.ids, left)
    found = api.tag_table(result.gene_scores, section.cells, groups, codes)
    assert found.summary["cells"].tolist() == [left.sum(), (~left).sum()]
    by_id, same = api.selection_groups(section.ids, section.ids[left])
    assert by_id == groups
    np.testing.assert_array_equal(codes, same)


def test_gene_sets_through_orthologues_and_by_spelling(tags, shared):
    genes = shared / "data" / "genes"
    sets = genes / "go_biological_process_2021.gmt"
    pairs = genes / "human_mouse_orthologues.csv"
    found = api.enrich(tags, sets, orthologues=pairs)
    assert found.background == tags.background
    assert found.frame["set_size"].between(3, 134).all()
    assert found.frame["p_value"].between(0, 1).all()
    assert (found.frame["fdr"] >= found.frame["p_value"] - 1e-12).all()
    spelled = api.enrich(tags, sets)
    assert "spelling alone" in spelled.notes[0]
    both = found.frame.merge(spelled.frame, on=["group", "set"])
    assert (both["p_value_x"] - both["p_value_y"]).abs().median() < 0.05


def test_the_most_attended_genes_matter_more_than_random_ones(section, result, bundle):
    annotation = result.annotation
    config = api.FaithfulnessConfig(cells_per_type=15, draws=2, percent=(5, 20, 50), device="cpu")
    model = load_model(bundle, torch.device("cpu"))
    report = faithfulness(section.cells, model, annotation.labels, annotation.codes, config)
    areas = report.areas.set_index(["type", "test", "order"])
    for test, better in (("deletion", -1), ("insertion", 1)):
        row = areas.loc[("(all)", test, "random")]
        assert better * row["attention_minus"] > 3 * row["attention_minus_se"]
    curves = report.curves
    whole = curves[(curves["percent"] == 0) & (curves["test"] == "deletion")]
    shown = curves[(curves["percent"] == 100) & (curves["test"] == "insertion")]
    pd.testing.assert_series_equal(
        whole["probability"].reset_index(drop=True), shown["probability"].reset_index(drop=True)
    )
