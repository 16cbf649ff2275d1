"""Distances of groups against centroids made by hand, their intervals, and what is written."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from PIL import Image

from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.errors import ArgumentError
from tagscope.evaluation.distances import DistanceConfig, group_distances
from tagscope.evaluation.embedded import EmbeddedCells

CENTRES = {"t_cell": (4.0, 0.0, 0.0), "b_cell": (0.0, 4.0, 0.0), "myeloid": (0.0, 0.0, 4.0)}


def _cells(centres, labels, seed, spread=0.5):
    rng = np.random.default_rng(seed)
    x = np.array([centres[label] for label in labels]) + spread * rng.standard_normal(
        (len(labels), 3)
    )
    empty = Cells(
        sp.csr_matrix((len(labels), 1), dtype=np.float32),
        GenePanel(("A",)),
        np.array([f"c{i}" for i in range(len(labels))]),
    )
    return EmbeddedCells(
        x.astype(np.float32), np.array(labels), np.full(len(labels), "x"), empty, "m"
    )


@pytest.fixture(scope="module")
def reference():
    return _cells(CENTRES, [name for name in CENTRES for _ in range(60)], 0)


@pytest.fixture(scope="module")
def query():
    """Clone 1 grew out of T cells, clone 2 lies between two types; some cells have no group."""
    centres = {"clone1": (3.0, 0.5, 0.0), "clone2": (0.0, 2.0, 2.05), "": (9.0, 9.0, 9.0)}
    return _cells(centres, ["clone1"] * 80 + ["clone2"] * 15 + [""] * 5, 1)


@pytest.fixture(scope="module")
def found(query, reference):
    return group_distances(query, reference, DistanceConfig(bootstraps=100), by="clone")


def test_distances_are_those_of_the_centroids(found, query, reference):
    centre = query.embedding[query.labels == "clone1"].mean(axis=0)
    founder = reference.embedding[reference.labels == "b_cell"].mean(axis=0)
    row = found.pairs.set_index(["group", "type"]).sort_index().loc[("clone1", "b_cell")]
    assert row["euclidean"] == pytest.approx(np.linalg.norm(centre - founder), rel=1e-5)
    cosine = 1 - centre @ founder / np.linalg.norm(centre) / np.linalg.norm(founder)
    assert row["cosine"] == pytest.approx(cosine, rel=1e-5)
    assert found.matrix("euclidean").loc["clone1", "b_cell"] == row["euclidean"]
    assert found.matrix().shape == (2, 3)


def test_the_founder_is_found_and_doubt_shows(found):
    sure, unsure = found.groups.loc["clone1"], found.groups.loc["clone2"]
    assert (sure["nearest"], sure["support"], sure["cells"]) == ("t_cell", 1.0, 80)
    assert {unsure["nearest"], unsure["second"]} == {"b_cell", "myeloid"}
    assert unsure["margin"] < 0.1 < sure["margin"]
    assert 0.4 < unsure["support"] < 1
    assert "clone2" in found.to_text()


def test_spread_is_the_root_mean_square_distance_from_the_centroid(found, query):
    x = query.embedding[query.labels == "clone2"].astype(float)
    assert found.groups.loc["clone2", "spread"] == pytest.approx(np.sqrt(x.var(axis=0).sum()))
    assert found.types["cells"].tolist() == [60, 60, 60]


def test_intervals_hold_the_distance_and_narrow_with_more_cells(found, query, reference):
    pairs = found.pairs
    assert (pairs["cosine_low"] <= pairs["cosine"]).all()
    assert (pairs["cosine"] <= pairs["cosine_high"]).all()
    few = query.take(np.arange(8))
    wide = group_distances(few, reference, DistanceConfig(bootstraps=100)).pairs.iloc[0]
    narrow = pairs.iloc[0]
    assert wide["group"] == narrow["group"] == "clone1"
    assert wide["cosine_high"] - wide["cosine_low"] > narrow["cosine_high"] - narrow["cosine_low"]


def test_the_same_seed_gives_the_same_intervals(found, query, reference):
    again = group_distances(query, reference, DistanceConfig(bootstraps=100), by="clone")
    pd.testing.assert_frame_equal(again.pairs, found.pairs)
    other = group_distances(query, reference, DistanceConfig(bootstraps=100, seed=1))
    assert not other.pairs["cosine_low"].equals(found.pairs["cosine_low"])


def test_one_cell_and_one_type_are_enough(query, reference):
    one = group_distances(query.take(np.array([0])), reference.take(np.array([0])))
    assert one.groups.loc["clone1", "spread"] == 0
    assert one.groups.loc["clone1", "second"] == ""
    assert "then" not in one.to_text()


def test_tables_and_picture_are_written(found, tmp_path):
    folder = found.write(tmp_path / "distances")
    written = pd.read_csv(folder / "distances.csv")
    pd.testing.assert_frame_equal(written, found.pairs, rtol=1e-4)
    assert pd.read_csv(folder / "groups.csv", index_col=0)["nearest"].tolist()[0] == "t_cell"
    assert json.loads((folder / "distances.json").read_text())["by"] == "clone"
    picture = np.asarray(Image.open(folder / "distances.png").convert("RGB"))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10


def test_other_spaces_and_empty_groups_are_refused(query, reference):
    with pytest.raises(ArgumentError, match="different models"):
        group_distances(query, replace(reference, model="other"))
    with pytest.raises(ArgumentError, match="No cell has a label in 'clone'"):
        group_distances(query.take(np.arange(95, 100)), reference, by="clone")
    with pytest.raises(ArgumentError, match="metric 'manhattan'"):
        DistanceConfig(metric="manhattan")
