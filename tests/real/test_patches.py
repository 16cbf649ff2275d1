"""Patches of a CellPatch on a real section: mouse hypothalamus, MERFISH."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tagscope import api
from tagscope.core.section import Reference
from tagscope.models.cellpatch.network import Genes
from tagscope.models.registry import load_cellpatch

CELLS = 1200


@pytest.fixture(scope="module")
def file(shared):
    return shared / "data" / "annotation" / "merfish_hypothalamus_3samples.h5ad"


@pytest.fixture(scope="module")
def bundle(file, tmp_path_factory):
    """One network after six epochs on 1,200 cells of animal 7."""
    reference = api.read_reference(file, "cell_type", where='animal == "7"')
    rows = np.random.default_rng(0).choice(len(reference), CELLS, replace=False)
    some = Reference(reference.cells.take(rows), reference.labels, reference.codes[rows])
    return api.train(
        some, model="cellpatch", out=tmp_path_factory.mktemp("model") / "bundle",
        config=api.TrainConfig(folds=1, epochs=6, device="cpu"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def opened(file):
    return api.open_section(file, where='animal == "1"')


@pytest.fixture(scope="module")
def found(opened, bundle):
    return api.patches(opened, bundle, api.PatchConfig(device="cpu"), by="cell_type")


def test_z_scores_are_those_of_the_dense_network(opened, bundle, found):
    model = load_cellpatch(bundle, torch.device("cpu"))
    types = opened.table.obs["cell_type"].to_numpy().astype(str)
    rows = np.flatnonzero(types == "Microglia")
    genes = found.panel.columns_in(model.vocabulary)
    values = model.preprocessing.apply(opened.section.cells.take(rows), model.vocabulary)
    read = Genes(
        torch.from_numpy(genes).expand(len(rows), -1), torch.from_numpy(values[:, genes].toarray())
    )
    network = model.networks[0]
    with torch.inference_mode():
        dense = network.gathered(read, network.table(), attention=True).attention.double()
    scores = (dense - dense.mean(-1, keepdim=True)) / (dense.std(-1, keepdim=True) + 1e-5)
    own = found.z_scores[found.groups.index("Microglia")]
    np.testing.assert_allclose(own, scores.mean(dim=0).numpy(), atol=1e-4)


def test_patches_tell_types_apart(found):
    assert found.patches["explained"].median() > 0.3
    assert found.patches["group"].nunique() > 2


def test_activity_has_the_tissue_in_it(opened, found):
    """Neighbouring cells have like activities, where shuffled ones do not."""
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=9).fit(opened.section.xy)
    near = near.kneighbors(return_distance=False)[:, 1:]
    activity = (found.activity - found.activity.mean(axis=0)) / found.activity.std(axis=0)
    shuffled = np.random.default_rng(0).permutation(activity)
    moran, by_chance = (
        np.median((own * own[near].mean(axis=1)).mean(axis=0)) for own in (activity, shuffled)
    )
    assert moran > 0.08 > 4 * abs(by_chance)


def test_like_genes_are_those_of_one_type(opened, bundle):
    found = api.gene_embeddings(opened, bundle)
    near = set(found.nearest("Opalin", 6)["gene"])
    assert len(near & {"Ermn", "Sgk1", "Lpar1", "Gjc3", "Ndrg1", "Ttyh2", "Sema4d"}) >= 3
