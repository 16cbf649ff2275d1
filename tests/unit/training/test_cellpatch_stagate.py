"""CellPatch + STAGATE: exact gradients of parts of a tissue, first weights, recipes, what is
kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from small_reference import small_reference
from tagscope.core.neighbours import nearest_others
from tagscope.core.panel import GenePanel
from tagscope.errors import ArgumentError
from tagscope.jobs import JobCancelled, JobContext
from tagscope.models.bundle import load_bundle
from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.models.stagate.graph import Graph, patches_of
from tagscope.training.cellpatch_stagate import UnionConfig, UnionRecipe, joined_network
from tagscope.training.fit import TrainConfig, train
from tagscope.training.stagate import Batch, Cells, Learned, Network, StagateConfig, learn

CPU = torch.device("cpu")
PANEL = GenePanel(tuple(f"G{i:02}" for i in range(40)))
QUICK = UnionConfig(
    patches=4, patch_width=8, hidden=16, width=4, epochs=8, learning_rate=3e-3, device="cpu"
)


def tissue(cells: int = 240, genes: int = 40) -> tuple[sp.csr_matrix, np.ndarray, Graph]:
    """Values, places and neighbours of cells that are alike within a stripe."""
    rng = np.random.default_rng(3)
    xy = rng.uniform(0, 100, (cells, 2))
    means = rng.gamma(0.2, 2.0, (3, genes))[(xy[:, 0] // 34).astype(int)]
    values = sp.csr_matrix(np.log1p(rng.poisson(means)).astype(np.float32))
    near = nearest_others(xy, 5)
    return values, xy, Graph.of_edges(np.repeat(np.arange(cells), 5), near.ravel(), cells)


def cells_of(patch: int) -> Cells:
    values, xy, graph = tissue()
    return Cells(values, graph, patches_of(xy, patch), CPU)


def learned(config: UnionConfig = QUICK, network: Network | None = None, **choices) -> Learned:
    values, xy, graph = tissue()
    return learn(values, xy, graph, config, network=network or joined_network(config, PANEL),
                 **choices)  # fmt: skip


def gradients(network: Network, batch: Batch) -> list[torch.Tensor]:
    coded = network(batch.x, batch.near)
    loss = network.squared_error(batch.x, coded, batch.squares)
    weights = list(network.parameters())
    return [loss.detach(), *torch.autograd.grad(loss, weights, allow_unused=True)]


@pytest.mark.parametrize("concatenate", [True, False])
@pytest.mark.parametrize("hidden", [16, 64])
def test_gradients_of_parts_add_up_to_that_of_all_cells(concatenate, hidden):
    """Read as a whole or in parts, cells have one loss; so have sparse values and dense."""
    network = joined_network(replace(QUICK, concatenate=concatenate, hidden=hidden), PANEL)
    cells = cells_of(40)
    whole = gradients(network, cells.whole)
    parts = [gradients(network, cells.batch(rows)) for rows in cells.patches]
    dense = replace(cells.whole, x=torch.from_numpy(cells.values.toarray()))
    assert len(parts) > 4
    for one, wanted, of_dense in zip(
        zip(*parts, strict=True), whole, gradients(network, dense), strict=True
    ):
        if wanted is not None:
            torch.testing.assert_close(sum(one), wanted, rtol=1e-3, atol=1e-3)
            torch.testing.assert_close(of_dense, wanted, rtol=1e-3, atol=1e-3)


def test_it_learns():
    found = learned(replace(QUICK, epochs=60))
    assert found.losses[-1] < 0.7 * found.losses[0]
    assert found.embedding.shape == (240, 4)
    again = learned(replace(QUICK, epochs=60))
    np.testing.assert_array_equal(found.embedding, again.embedding)


def test_in_parts_it_learns_the_like():
    found = learned(replace(QUICK, epochs=30, batch_size=80))
    assert (found.updates, found.batch_size) == (90, 80)
    assert found.losses[-1] < 0.7 * found.losses[0]


@pytest.mark.parametrize(
    ("recipe", "concatenate", "rate", "clip"),
    [("default", True, 3e-4, 5.0), ("published", False, 1e-3, 5.0), ("paper", True, 1e-4, 0.1)],
)
def test_recipes(recipe: UnionRecipe, concatenate, rate, clip):
    config = UnionConfig.of(recipe)
    assert (config.concatenate, config.learning_rate, config.clip_norm) == (concatenate, rate, clip)
    assert config.dropout == (0.0 if recipe == "default" else 0.1)
    assert (config.weight_decay, config.hidden, config.width) == (1e-4, 512, 30)
    assert (config.patches, config.epochs) == ((16, None) if recipe == "default" else (64, 1000))
    small = replace(config, patches=4, patch_width=8, hidden=16, width=4, epochs=6, device="cpu")
    found = learned(small)
    assert np.isfinite(found.embedding).all()
    assert found.losses[-1] < found.losses[0]


def test_the_published_code_keeps_the_lowest_loss():
    """With a rate so high that the loss rises again."""
    config = replace(QUICK, compat="published", learning_rate=0.3, epochs=9)
    losses = learned(config).losses
    best = int(np.argmin(losses))
    assert best < len(losses) - 1
    kept = learned(config).embedding
    np.testing.assert_array_equal(kept, learned(replace(config, epochs=best + 1)).embedding)


def test_patches_start_from_a_bundle(tmp_path: Path):
    reference = small_reference()
    config = TrainConfig(epochs=1, folds=1, device="cpu")
    model = CellPatchConfig(width=16, patches=6, layers=1)
    path = train(reference, tmp_path / "b", config, model_config=model, model="cellpatch").path
    bundle, state = load_bundle(path), load_bundle(path).state()
    network = joined_network(QUICK, PANEL, bundle)
    assert network.patches.config.patches == 6
    torch.testing.assert_close(network.patches.patches, state["patches"])
    torch.testing.assert_close(network.patches.gather.up.weight, state["gather.up.weight"])
    row = bundle.panel.symbols.index("G07")
    torch.testing.assert_close(network.patches.genes.weight[7], state["genes.weight"][row])
    assert not torch.equal(learned(network=network).network.patches.patches, state["patches"])


def test_another_model_is_no_start(tmp_path: Path):
    config = TrainConfig(epochs=1, folds=1, device="cpu")
    bundle = train(small_reference(), tmp_path / "b", config)
    with pytest.raises(ArgumentError, match="Patches start from a cellpatch, or from none"):
        joined_network(QUICK, PANEL, bundle)


def test_what_no_patches_can_have_is_refused():
    with pytest.raises(ArgumentError, match="a multiple of the 3 heads"):
        UnionConfig(heads=3)
    with pytest.raises(ArgumentError, match="There is no recipe 'best'"):
        UnionConfig.of("best")  # type: ignore[arg-type]


def test_a_cancel_is_answered_within_an_update():
    told = []

    def heard(progress) -> None:
        told.append(progress.done)
        if progress.stage == "learning" and progress.done == 3:
            context.cancel()

    context = JobContext(heard)
    with pytest.raises(JobCancelled):
        learned(context=context)
    assert max(told) == 3


def test_sections_too_large_for_one_update_are_read_in_parts():
    assert UnionConfig().cells_per_update(10_000) == 10_000
    assert UnionConfig().cells_per_update(10_001) == 8_192
    assert StagateConfig().cells_per_update(10_001) == 10_001
