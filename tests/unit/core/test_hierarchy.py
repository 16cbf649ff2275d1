"""Levels of labels: nesting, sums over children, decoding without contradiction, flows."""

from __future__ import annotations

import json
from itertools import pairwise

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from tagscope.core.hierarchy import LabelTree, label_flows
from tagscope.errors import ArgumentError

ROWS = [
    ("neuron", "excitatory", "L4"),
    ("neuron", "excitatory", "L5"),
    ("neuron", "inhibitory", "Sst"),
    ("glia", "astrocyte", "Astro"),
    ("glia", "oligodendrocyte", "Oligo"),
    ("glia", "oligodendrocyte", None),
    ("glia", "astrocyte", "NA"),
]
COLUMNS = ("class", "subclass", "type")


@pytest.fixture
def obs():
    return pd.DataFrame(ROWS * 3, columns=list(COLUMNS), dtype="category")


@pytest.fixture
def tree(obs):
    return LabelTree.from_columns(obs, COLUMNS)


@pytest.fixture
def fine():
    """Probabilities of 500 cells over the five finest labels."""
    return np.random.default_rng(0).dirichlet(np.full(5, 0.4), 500).astype(np.float32)


def test_the_tree_is_read_from_the_columns(tree):
    assert [labels.names for labels in tree.levels] == [
        ("glia", "neuron"),
        ("astrocyte", "excitatory", "inhibitory", "oligodendrocyte"),
        ("Astro", "L4", "L5", "Oligo", "Sst"),
    ]
    assert tree.parents == ((0, 1, 1, 0), (0, 1, 1, 3, 2))
    np.testing.assert_array_equal(tree.ancestors(0), [0, 1, 1, 0, 1])
    np.testing.assert_array_equal(tree.ancestors(2), np.arange(5))
    coarse, middle, finest = tree.codes_of(np.array([4, -1, 3]))
    np.testing.assert_array_equal(coarse, [1, -1, 0])
    np.testing.assert_array_equal(middle, [2, -1, 3])
    np.testing.assert_array_equal(finest, [4, -1, 3])


def test_labels_that_do_not_nest_are_named_with_their_cells(obs):
    obs = obs.astype(object)
    obs.loc[2, "class"] = "glia"
    with pytest.raises(
        ArgumentError, match=r"'inhibitory' under 'glia' \(1 cells\) and 'neuron' \(2"
    ):
        LabelTree.from_columns(obs, COLUMNS)
    with pytest.raises(ArgumentError, match="do not nest"):
        LabelTree.from_columns(obs, COLUMNS[::-1])


@pytest.mark.parametrize("columns", [(), ("class", "absent"), ("class", "class")])
def test_columns_that_are_no_levels_are_refused(obs, columns):
    with pytest.raises(ArgumentError, match="Levels are different label columns"):
        LabelTree.from_columns(obs, columns)


def test_rows_without_all_labels_alone_make_no_tree(obs):
    with pytest.raises(ArgumentError, match="No row has a label"):
        LabelTree.from_columns(obs.assign(type=None), COLUMNS)


def test_probabilities_are_sums_over_children(tree, fine):
    coarse, middle, finest = tree.probabilities(fine)
    np.testing.assert_allclose(coarse[:, 1], fine[:, [1, 2, 4]].sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose(middle[:, 1], fine[:, 1] + fine[:, 2], rtol=1e-6)
    np.testing.assert_array_equal(finest, fine)
    for level in (coarse, middle):
        np.testing.assert_allclose(level.sum(axis=1), 1, rtol=1e-6)
    with pytest.raises(ValueError, match="the tree has 5"):
        tree.probabilities(fine[:, :4])


def test_decoded_labels_never_contradict_each_other(tree, fine):
    decoded = tree.decode(fine, min_confidence=0.6)
    for level, (above, below) in enumerate(pairwise(decoded)):
        known = below.codes >= 0
        parents = np.array(tree.parents[level])
        np.testing.assert_array_equal(parents[below.codes[known]], above.codes[known])
        assert (above.confidence >= below.confidence).all()
        assert (above.codes[known] >= 0).all()
        assert (known == (below.confidence >= 0.6)).all()
    assert 0 < (decoded[2].codes < 0).mean() < 1
    assert set(decoded[0].names()) == {"glia", "neuron", "Unassigned"}


def test_unsure_children_together_outweigh_a_sure_stranger(tree):
    fine = np.array([[0.4, 0.3, 0.3, 0.0, 0.0]])
    coarse, middle, finest = tree.decode(fine)
    assert [level.names()[0] for level in (coarse, middle)] == ["neuron", "excitatory"]
    assert finest.names()[0] in ("L4", "L5")
    assert coarse.confidence[0] == pytest.approx(0.6)
    assert finest.confidence[0] == pytest.approx(0.3)


def test_a_tree_survives_json(tree):
    assert LabelTree.from_dict(json.loads(json.dumps(tree.to_dict()))) == tree


def test_one_level_is_a_tree(obs, fine):
    tree = LabelTree.from_columns(obs, ["type"])
    (only,) = tree.decode(fine)
    np.testing.assert_array_equal(only.codes, fine.argmax(axis=1))


@pytest.mark.parametrize(
    ("levels", "parents"), [((2, 3), ((0, 0, 0),)), ((2, 3), ((0, 1),)), ((2, 3), ())]
)
def test_parents_that_fit_no_tree_are_refused(tree, levels, parents):
    chosen = tuple(tree.levels[0] if size == 2 else tree.finest for size in levels)
    with pytest.raises(ValueError, match="label"):
        LabelTree(("a", "b"), chosen, parents)


def test_flows_keep_every_cell(tree):
    codes = np.array([0, 0, 1, 4, -1])
    flows = tree.flows(codes)
    assert flows.groupby(["source_level", "target_level"])["cells"].sum().tolist() == [5, 5]
    first = flows[flows["source_level"] == "class"].iloc[0]
    assert (first["source"], first["target"], first["cells"]) == ("glia", "astrocyte", 2)
    nowhere = (flows["source"] == "Unassigned") & (flows["target"] == "Unassigned")
    assert flows.loc[nowhere, "cells"].tolist() == [1, 1]


def test_flows_from_truth_to_prediction():
    flows = label_flows(
        pd.DataFrame({"truth": ["a", "a", None, "b"], "said": ["a", "b", "a", "b"]})
    )
    counted = {(row.source, row.target): row.cells for row in flows.itertuples()}
    assert counted == {("a", "a"): 1, ("a", "b"): 1, ("Unassigned", "a"): 1, ("b", "b"): 1}
    assert set(flows["source_level"]) == {"truth"}
    assert label_flows(pd.DataFrame({"truth": ["a"]})).empty


def test_the_motor_cortex_types_nest_within_their_subclasses(shared):
    obs = ad.read_h5ad(shared / "data/annotation/scrna_mop.h5ad", backed="r").obs
    tree = LabelTree.from_columns(obs, ["subclass", "cell_type"])
    assert [len(level) for level in tree.levels] == [15, 44]
    fine = pd.Categorical(obs["cell_type"].astype(str), categories=list(tree.finest.names)).codes
    subclass, _ = tree.codes_of(fine.astype(np.int64))
    np.testing.assert_array_equal(
        np.array(tree.levels[0].names)[subclass], obs["subclass"].astype(str)
    )
    flows = tree.flows(fine.astype(np.int64))
    assert (len(flows), flows["cells"].sum()) == (44, 11444)


def test_osmfish_types_and_regions_do_not_nest(shared):
    obs = ad.read_h5ad(shared / "data/annotation/osmfish.h5ad", backed="r").obs
    assert len(LabelTree.from_columns(obs, ["cell_class", "cell_type"]).finest) == 31
    with pytest.raises(ArgumentError, match="more"):
        LabelTree.from_columns(obs, ["region", "cell_type"])
