"""Labels on several levels: one network, no contradictions, from the file to the table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import tagscope as ts
from small_omnicell import small_omnicell
from tagscope.cli.main import main
from tagscope.core.results import read_provenance
from tagscope.errors import ArgumentError
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.training.prepare import prepare
from tagscope.training.recipe import recipe_of

MODEL = CellMemoryConfig(width=16, ffn=32, layers=2, heads=2, slots=4, max_bin=10)
QUICK = ts.TrainConfig(folds=2, epochs=8, batch_size=16, learning_rate=5e-3, device="cpu")
FINE = {"neuron": ("excitatory", "inhibitory"), "glia": ("astrocyte", "microglia")}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Four types of two classes; each class and each type has genes of its own."""
    rng = np.random.default_rng(0)
    fine = np.repeat([name for names in FINE.values() for name in names], 40)
    coarse = np.repeat(list(FINE), 80)
    means = np.full((160, 24), 0.4)
    for index, name in enumerate(dict.fromkeys(fine)):
        means[fine == name, 4 * index : 4 * index + 4] = 4
    for index, name in enumerate(FINE):
        means[coarse == name, 16 + 4 * index : 20 + 4 * index] = 5
    obs = pd.DataFrame({"class": coarse, "type": fine, "donor": np.tile(list("abcd"), 40)},
                       index=[f"c{i}" for i in range(160)])  # fmt: skip
    counts = sp.csr_matrix(rng.poisson(means).astype(np.float32))
    table = anndata.AnnData(counts, obs, pd.DataFrame(index=[f"G{i}" for i in range(24)]))
    table.obsm["spatial"] = rng.random((160, 2)) * 100
    table.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def test_levels_from_file_to_table(file: Path, tmp_path: Path) -> None:
    bundle = ts.train(file, ["class", "type"], out=tmp_path / "m", config=QUICK,
                      model_config=MODEL)  # fmt: skip
    assert bundle.tree is not None
    assert bundle.tree.columns == ("class", "type")
    assert bundle.describe()["levels"] == ["class", "type"]
    assert bundle.training["accuracy"] > 0.9
    result = ts.annotate(file, bundle, ts.AnnotateConfig(device="cpu", min_confidence=0.6),
                         out=tmp_path / "out.h5ad")  # fmt: skip
    obs = anndata.read_h5ad(tmp_path / "out.h5ad").obs
    known = obs["cellmemory"] != "Unassigned"
    parent = {name: above for above, names in FINE.items() for name in names}
    assert (obs["cellmemory_class"][known] == obs["cellmemory"][known].map(parent)).all()
    assert (obs["cellmemory_class"] == obs["class"]).mean() > 0.95
    assert (obs["cellmemory_class_confidence"] >= obs["cellmemory_confidence"]).all()
    flows = ts.label_flows(obs[["class", "cellmemory_class", "cellmemory"]])
    assert flows.groupby("source_level")["cells"].sum().tolist() == [160, 160]
    words = ["flows", tmp_path / "out.h5ad", "--by", "class", "cellmemory_class", "cellmemory",
             "--out", tmp_path / "flows.csv"]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "flows.csv"), flows)
    assert main([*map(str, words[:4]), "--out", str(tmp_path / "none.csv")]) == 2
    assert (result.annotation.names() == obs["cellmemory"]).all()
    plain = ts.train(file, "type", out=tmp_path / "plain", config=QUICK, model_config=MODEL)
    ts.annotate(tmp_path / "out.h5ad", plain, ts.AnnotateConfig(device="cpu"),
                out=tmp_path / "again.h5ad", overwrite=True)  # fmt: skip
    again = anndata.read_h5ad(tmp_path / "again.h5ad")
    assert not [name for name in again.obs if name.startswith("cellmemory_class")]
    assert "cellmemory_class_colors" not in again.uns
    stored = read_provenance(anndata.read_h5ad(tmp_path / "out.h5ad"), "cellmemory")
    assert stored is not None
    assert stored.extra["tree"]["columns"] == ["class", "type"]


def test_levels_told_from_embeddings(file: Path, tmp_path: Path) -> None:
    panel = ts.read_reference(file, "type").cells.panel
    init = small_omnicell(tmp_path / "omnicell", panel)
    bundle = ts.train(file, ["class", "type"], "omnicell", init=init, out=tmp_path / "m",
                      config=QUICK)  # fmt: skip
    assert bundle.tree is not None
    assert bundle.tree.columns == ("class", "type")
    ts.annotate(file, bundle, ts.AnnotateConfig(device="cpu"), out=tmp_path / "out.h5ad")
    obs = anndata.read_h5ad(tmp_path / "out.h5ad").obs
    parent = {name: above for above, names in FINE.items() for name in names}
    assert (obs["omnicell_class"] == obs["omnicell"].map(parent)).all()
    assert (obs["omnicell_class"] == obs["class"]).mean() > 0.8


def test_a_label_without_cells_leaves_the_tree(file: Path) -> None:
    reference = ts.read_reference(file, ["class", "type"])
    rows = np.flatnonzero(reference.codes != reference.labels.code("microglia"))
    fewer = replace(reference, cells=reference.cells.take(rows), codes=reference.codes[rows])
    kept = prepare(fewer, None, recipe_of(QUICK)).reference
    assert kept.tree is not None
    assert kept.labels.names == kept.tree.finest.names == ("astrocyte", "excitatory", "inhibitory")
    assert [kept.tree.levels[0].names[code] for code in kept.tree.ancestors(0)] == [
        "glia", "neuron", "neuron",
    ]  # fmt: skip
    glia = np.flatnonzero(kept.codes == 0)
    without = replace(kept, cells=kept.cells.take(glia), codes=kept.codes[glia])
    alone = prepare(without, None, recipe_of(QUICK)).reference.tree
    assert alone is not None
    assert [len(level) for level in alone.levels] == [1, 1]


def test_donors_are_held_out_whole(file: Path, tmp_path: Path) -> None:
    reference = ts.read_reference(file, "type", split_by="donor")
    assert reference.groups is not None
    assert np.bincount(reference.groups).tolist() == [40, 40, 40, 40]
    bundle = ts.train(reference, out=tmp_path / "m", config=QUICK, model_config=MODEL)
    assert [fold["validation"] for fold in bundle.training["folds"]] == [40, 40]
    assert bundle.reference == f"{file.name}, labels in type"
    assert f"- reference: {bundle.reference}\n" in (tmp_path / "m" / "card.md").read_text("utf-8")
    assert replace(bundle, training={"provenance": {"inputs": {"data_sha256": ""}}}).reference == ""
    with pytest.raises(ArgumentError, match="no column 'batch'"):
        ts.read_reference(file, "type", split_by="batch")
