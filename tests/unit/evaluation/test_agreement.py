"""Where models agree, against counts made by hand and scikit-learn's scores."""

from __future__ import annotations

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import adjusted_rand_score, cohen_kappa_score

from tagscope import api
from tagscope.core.results import read_provenance
from tagscope.errors import ArgumentError
from tagscope.evaluation.agreement import ModelLabels, label_agreement

SAID = {
    "cellmemory": ["A", "A", "B", "B", "C", "Unassigned"],
    "cellpatch": ["A", "A", "B", "A", "A", "A"],
    "omnicell": ["A", "B", "C", "B", "B", "A"],
}
SURE = {
    "cellmemory": [0.9, 0.8, 0.7, 0.6, 0.5, 0.2],
    "cellpatch": [0.9, 0.4, 0.7, 0.6, 0.5, 0.9],
}
IDS = np.array([f"c{n}" for n in range(6)])


@pytest.fixture
def obs():
    columns = {key: pd.Categorical(labels) for key, labels in SAID.items()}
    sure = {f"{key}_confidence": values for key, values in SURE.items()}
    return pd.DataFrame({**columns, **sure}, index=IDS)


@pytest.fixture
def models(obs):
    return [ModelLabels.of_column(obs, key) for key in SAID]


@pytest.fixture
def found(models):
    return label_agreement(models, IDS)


def kinds(agreement):
    return np.array(agreement.kinds.names)[agreement.kind].tolist()


def test_cells_are_told_apart_by_who_agrees(found):
    assert kinds(found) == [
        "all agree", "all but omnicell", "all but omnicell", "all but cellpatch", "all differ",
        "some Unassigned",
    ]  # fmt: skip
    consensus = np.array([*found.names, ""])[found.consensus].tolist()
    assert consensus == ["A", "A", "B", "B", "", "A"]
    assert found.agreeing.tolist() == [3, 2, 2, 2, 1, 2]
    assert dict(found.counts())["all but cellmemory"] == 0


def test_doubt_is_disagreement_first_and_then_unsure_cells(found):
    expected = (
        3 - np.array([3, 2, 2, 2, 1, 2]) + 1 - np.array([0.9, 0.6, 0.7, 0.6, 0.5, 0.55])
    ) / 4
    np.testing.assert_allclose(found.doubt, expected, atol=1e-6)
    # c1 and c3 are alike: the one that comes first is first
    assert found.order.tolist() == [4, 5, 1, 3, 2, 0]


def test_one_model_more_that_disagrees_outweighs_any_confidence():
    unsure = ModelLabels("a", ("x", "y"), np.array([0, 0]), np.array([0.0, 1.0], np.float32))
    other = ModelLabels("b", ("y", "x"), np.array([1, 0]), np.array([0.0, 1.0], np.float32))
    found = label_agreement([unsure, other], np.array(["p", "q"]))
    assert kinds(found) == ["all agree", "all differ"]
    assert found.doubt[1] >= found.doubt[0]
    assert found.consensus.tolist() == [found.names.index("x"), -1]


def test_four_models_may_be_split():
    said = ["AAAA", "AAAB", "AABB", "ABCD", "AABC"]
    codes = np.array([["ABCD".index(one) for one in cell] for cell in said])
    models = [ModelLabels(f"m{n}", tuple("ABCD"), codes[:, n]) for n in range(4)]
    found = label_agreement(models, IDS[:5])
    assert kinds(found) == ["all agree", "all but m3", "split", "all differ", "split"]
    assert found.consensus.tolist() == [0, 0, -1, -1, -1]
    np.testing.assert_allclose(found.doubt, np.array([0, 1, 2, 3, 2]) / 5)


def test_pairs_are_scored_over_the_cells_that_both_labelled(found):
    pairs = found.pairs.set_index(["first", "second"])
    a, b = SAID["cellmemory"][:5], SAID["cellpatch"][:5]
    pair = pairs.loc[("cellmemory", "cellpatch")]
    assert pair["cells"] == 5
    assert pair["agreement"] == pytest.approx(3 / 5)
    assert pair["kappa"] == pytest.approx(cohen_kappa_score(a, b))
    assert pair["ari"] == pytest.approx(adjusted_rand_score(a, b))
    assert pairs.loc[("cellpatch", "omnicell"), "cells"] == 6


def test_types_say_how_many_models_give_them(found):
    types = found.types
    assert types.loc["A"].to_dict() == {
        "cellmemory": 2, "cellpatch": 5, "omnicell": 2, "all": 1, "any": 5, "agreement": 1 / 5,
    }  # fmt: skip
    assert types.index[0] == "A"


def test_the_confusion_of_two_models_has_unassigned_last(found):
    table = found.confusion("cellmemory", "omnicell")
    assert table.index.tolist() == ["A", "B", "C", "Unassigned"]
    assert (table.index.name, table.columns.name) == ("cellmemory", "omnicell")
    assert table.to_numpy().tolist() == [[1, 1, 0], [0, 1, 1], [0, 1, 0], [1, 0, 0]]


def test_what_was_said_of_a_cell(found):
    [first, second, third] = found.said(5)
    assert first[:2] == ("cellmemory", "Unassigned")
    assert second == ("cellpatch", "A", pytest.approx(0.9))
    assert np.isnan(third[2])


def test_names_differ_by_case_and_missing_labels_are_unassigned():
    obs = pd.DataFrame({"a": ["T cell", "nan", None], "b": ["t cell", "T cell", "T cell"]})
    a, b = (ModelLabels.of_column(obs, key) for key in "ab")
    found = label_agreement([a, b], IDS[:3])
    assert kinds(found) == ["all differ", "some Unassigned", "some Unassigned"]


def test_what_cannot_be_compared_is_refused(models, obs):
    with pytest.raises(ArgumentError, match="At least two"):
        label_agreement(models[:1], IDS)
    with pytest.raises(ArgumentError, match="At least two"):
        label_agreement([models[0], models[0]], IDS)
    with pytest.raises(ArgumentError, match="same cells"):
        label_agreement(models, IDS[:3])
    other = ModelLabels("other", ("z",), np.zeros(6, np.int64))
    with pytest.raises(ArgumentError, match="in common"):
        label_agreement([models[0], other], IDS)
    with pytest.raises(ArgumentError, match="holds numbers"):
        ModelLabels.of_column(obs, "cellpatch_confidence")


def test_everything_is_written(found, tmp_path):
    folder = found.write(tmp_path / "agreement")
    numbers = json.loads((folder / "agreement.json").read_text())
    assert numbers["share_all_agree"] == pytest.approx(1 / 6)
    assert numbers["kinds"]["all but omnicell"] == 2
    cells = pd.read_csv(folder / "cells.csv")
    assert cells["cell"].tolist() == ["c4", "c5", "c1", "c3", "c2", "c0"]
    assert cells["doubt"].is_monotonic_decreasing
    assert "omnicell_confidence" not in cells
    assert len(pd.read_csv(folder / "pairs.csv")) == 3
    for name in ("agreement", "confusion-cellmemory-omnicell"):
        with Image.open(folder / f"{name}.png") as image:
            assert min(image.size) > 100
    assert "all agree" in found.to_text()


def test_slots_of_a_table(obs, tmp_path):
    table = ad.AnnData(np.ones((6, 2), np.float32), obs=obs)
    table.obsm["spatial"] = np.arange(12.0).reshape(6, 2)
    table.write_h5ad(tmp_path / "a.h5ad")
    found = api.agree(tmp_path / "a.h5ad", into=tmp_path / "b.h5ad")
    assert found.models == ("cellmemory", "cellpatch", "omnicell")
    written = ad.read_h5ad(tmp_path / "b.h5ad")
    assert written.obs["agreement"].tolist() == kinds(found)
    np.testing.assert_array_equal(written.obs["agreement_doubt"], found.doubt)
    assert written.obs["agreement_label"].tolist() == ["A", "A", "B", "B", "Unassigned", "A"]
    assert list(written.uns["agreement_colors"]) == list(found.kinds.colors)
    assert read_provenance(written, "agreement").parameters == {"by": list(SAID)}
    with pytest.raises(ArgumentError, match="agreement"):
        api.agree(tmp_path / "b.h5ad", ["cellmemory", "cellpatch"], into=tmp_path / "b.h5ad")
    again = api.agree(
        tmp_path / "b.h5ad", ["cellmemory", "cellpatch"], into=tmp_path / "b.h5ad", overwrite=True
    )
    assert len(again.kinds) == 3
    with pytest.raises(ArgumentError, match="no column 'mine'"):
        api.agree(tmp_path / "b.h5ad", ["cellmemory", "mine"])
