"""A small OmniCell that learns from one real section tells hidden genes, and its cell types."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from tagscope import api
from tagscope.core.section import Section
from tagscope.inference.embed import EmbedConfig, embed
from tagscope.models.omnicell.model import OmniCell
from tagscope.models.omnicell.network import OmniCellNetwork
from tagscope.models.registry import load_omnicell
from tagscope.training.pretrain_recipe import pretrain_recipe_of

CONFIG = api.PretrainConfig(stage="cells", epochs=4, device="cpu")


@pytest.mark.slow
def test_a_short_training_on_one_section(shared: Path, tmp_path: Path) -> None:
    path = shared / "data" / "annotation" / "osmfish.h5ad"
    bundle = api.pretrain(path, out=tmp_path / "m", config=CONFIG)
    losses = [record["validation_loss"] for record in bundle.training["history"]]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.95 * losses[0]

    section = api.read_section(path)
    types = anndata.read_h5ad(path).obs["cell_type"].astype(str).to_numpy()
    recipe = pretrain_recipe_of(CONFIG)
    torch.manual_seed(0)
    network = OmniCellNetwork(recipe.network, len(section.panel) + 2)
    untrained = OmniCell(network, section.panel, recipe.um_per_unit)
    trained = load_omnicell(bundle, torch.device("cpu"))
    assert purity(trained, section, types) > purity(untrained, section, types) + 0.03


def purity(model: OmniCell, section: Section, types: np.ndarray) -> float:
    """The share of a cell's 15 nearest in the embedding of cells alone that have its type."""
    config = EmbedConfig(neighbors=0, device="cpu", precision="fp32")
    cells = embed(section, model, config).values
    near = NearestNeighbors(n_neighbors=15).fit(cells).kneighbors(return_distance=False)
    return float((types[near] == types[:, None]).mean())
