"""A small OmniCell that learns from one real section tells hidden genes, and its domains."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from tagscope import api
from tagscope.core.section import Section
from tagscope.models.omnicell.model import OmniCell
from tagscope.models.omnicell.network import OmniCellNetwork
from tagscope.models.registry import load_model
from tagscope.training.pretrain_recipe import pretrain_recipe_of

NEIGHBOURS = 4
CONFIG = api.PretrainConfig(epochs=3, neighbors=NEIGHBOURS, device="cpu")


@pytest.mark.slow
def test_a_short_training_on_one_section(shared: Path, tmp_path: Path) -> None:
    path = shared / "data" / "annotation" / "osmfish.h5ad"
    bundle = api.pretrain(path, out=tmp_path / "m", config=CONFIG)
    losses = [record["validation_loss"] for record in bundle.training["history"]]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.9 * losses[0]

    section = api.read_section(path)
    regions = anndata.read_h5ad(path).obs["region"].astype(str).to_numpy()
    recipe = pretrain_recipe_of(CONFIG)
    torch.manual_seed(0)
    network = OmniCellNetwork(recipe.network, len(section.panel) + 2)
    untrained = OmniCell(network, section.panel, recipe.um_per_unit)
    trained = load_model(bundle, torch.device("cpu"))
    assert agreement(trained, section, regions) > agreement(untrained, section, regions) + 0.05


def agreement(model: OmniCell, section: Section, regions: np.ndarray) -> float:
    """ARI of the regions with a tied mixture over what cells are among their neighbours."""
    reading = model.reading(section.panel, neighbours=NEIGHBOURS)
    tokens = model.read(section, reading)
    rows = np.array_split(np.arange(len(section)), 60)
    parts = [model.embed(tokens, reading, part, cells=1)[:, 0] for part in rows]
    mixture = GaussianMixture(
        len(np.unique(regions)), covariance_type="tied", n_init=3, random_state=0
    )
    return float(adjusted_rand_score(regions, mixture.fit_predict(torch.cat(parts).numpy())))
