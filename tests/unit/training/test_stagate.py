"""STAGATE's updates: the published trajectories, exact gradients of patches, and what must not
change an embedding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from stagate_cases import CASES, Case, close, load_case, ours
from tagscope.core.neighbours import nearest_others
from tagscope.errors import ArgumentError
from tagscope.jobs import JobCancelled, JobContext
from tagscope.models.stagate.graph import Graph, patches_of
from tagscope.models.stagate.network import Pattern, SparseRows, StagateNetwork
from tagscope.training.stagate import Batch, Cells, Learned, StagateConfig, Updates, learn

CPU = torch.device("cpu")


@pytest.fixture(params=CASES)
def case(request, shared) -> Case:
    return load_case(shared / "parity" / "stagate" / request.param)


def sparse(x: torch.Tensor) -> SparseRows:
    rows = sp.csr_matrix(x.numpy())
    columns, offsets = torch.from_numpy(rows.indices), torch.from_numpy(rows.indptr)
    return SparseRows(Pattern(columns, offsets, rows.shape[1]), torch.from_numpy(rows.data))


@pytest.mark.parametrize("as_sparse", [False, True])
@pytest.mark.parametrize(("compat", "name"), [("none", "plain_tying"), ("published", "upstream")])
def test_both_trajectories(case, compat, name, as_sparse):
    wanted = case.scalars[f"losses_{name}"]
    network, x = case.network(), sparse(case.x) if as_sparse else case.x
    batch = Batch(x, case.graph().whole(), float(case.x.double().square().sum()))
    updates = Updates(network, StagateConfig(compat=compat, device="cpu"))
    told = [updates.step(batch) for _ in wanted]
    close(torch.tensor([loss for loss, _, _ in told]), torch.tensor(wanted))
    norms = case.scalars[f"grad_norm_before_clip_{name}"]
    close(torch.tensor([norm for _, norm, _ in told]), torch.tensor(norms))
    if compat == "published":
        assert_as_published_in_the_end(case, network, batch, told[-1][2])


def assert_as_published_in_the_end(case, network, batch, last_latent):
    """Weights and reconstruction as stored, and the latent of one of the last two weights."""
    state = {k: v for k, v in case.expected.items() if k.startswith("state_after_training.")}
    wanted = ours(state, "state_after_training.")
    for weight, value in network.state_dict().items():
        close(value, wanted[weight])
    with torch.inference_mode():
        coded = network(batch.x, batch.near)
        close(network.reconstruction(coded), case.expected["reconstruction_after_training"])
        close(coded.embedding, case.expected["latent_after_training"])
    assert (last_latent - coded.embedding).abs().max() > 1e-4


@pytest.fixture(scope="module")
def cells() -> Cells:
    return of_cells(tissue(), 40)


def tissue(cells: int = 300, genes: int = 20, seed: int = 3) -> tuple[sp.csr_matrix, np.ndarray]:
    """Values and places of cells that are alike within a stripe."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, 100, (cells, 2))
    means = rng.gamma(0.5, 2.0, (3, genes))[(xy[:, 0] // 34).astype(int)]
    return sp.csr_matrix(np.log1p(rng.poisson(means)).astype(np.float32)), xy


def graph_at(xy: np.ndarray) -> Graph:
    near = nearest_others(xy, 5)
    return Graph.of_edges(np.repeat(np.arange(len(xy)), 5), near.ravel(), len(xy))


def of_cells(given: tuple[sp.csr_matrix, np.ndarray], patch: int) -> Cells:
    values, xy = given
    return Cells(values, graph_at(xy), patches_of(xy, patch), CPU)


def small(hidden: int = 16) -> StagateNetwork:
    torch.manual_seed(1)
    return StagateNetwork(20, hidden, 4).double()


def gradients(network: StagateNetwork, batch: Batch) -> list[torch.Tensor]:
    x = batch.x if isinstance(batch.x, torch.Tensor) else dense(batch.x)
    x = x.double()
    loss = network.squared_error(x, network(x, batch.near))
    return [loss.detach(), *torch.autograd.grad(loss, list(network.parameters()))]


def dense(x: SparseRows) -> torch.Tensor:
    found = torch.zeros(len(x), x.pattern.width)
    found[x.pattern.rows.long(), x.pattern.columns.long()] = x.values
    return found


@pytest.mark.parametrize("hidden", [16, 32])
def test_gradients_of_patches_add_up_to_that_of_all_cells(cells, hidden):
    network = small(hidden)
    whole = gradients(network, cells.whole)
    parts = [gradients(network, cells.batch(rows)) for rows in cells.patches]
    assert len(parts) > 5
    for one, wanted in zip(zip(*parts, strict=True), whole, strict=True):
        torch.testing.assert_close(sum(one), wanted, rtol=1e-9, atol=1e-9)
    two = gradients(network, cells.batch(np.concatenate([cells.patches[0], cells.patches[4]])))
    for found, a, b in zip(two, parts[0], parts[4], strict=True):
        torch.testing.assert_close(found, a + b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("hidden", [16, 32])
def test_the_gradient_is_that_of_the_plain_formulas(cells, hidden):
    network, x = small(hidden), dense(sparse_whole(cells)).double()
    edges = cells.graph.whole().coding
    first, second, source, target = weights = list(network.parameters())
    assert [tuple(w.shape) for w in weights] == [(20, hidden), (hidden, 4), (hidden,), (hidden,)]
    scores = torch.full((len(x), len(x)), -torch.inf, dtype=torch.float64)
    u = x @ first
    each = torch.sigmoid((u @ source)[edges.columns] + (u @ target)[edges.rows])
    attention = scores.index_put((edges.rows, edges.columns), each).softmax(dim=1)
    latent = torch.nn.functional.elu(attention @ u) @ second
    told = torch.nn.functional.elu(attention @ (latent @ second.T)) @ first.T
    loss = (x - told).square().sum()
    wanted = [loss.detach(), *torch.autograd.grad(loss, weights)]
    for found, plain in zip(gradients(network, cells.whole), wanted, strict=True):
        torch.testing.assert_close(found, plain, rtol=1e-9, atol=1e-9)


def sparse_whole(cells: Cells) -> SparseRows:
    return sparse(torch.from_numpy(cells.values.toarray()))


@pytest.mark.parametrize("compat", ["none", "published"])
def test_expression_may_be_sparse(cells, compat):
    batch = Batch(sparse_whole(cells), cells.graph.whole(), cells.whole.squares)
    told = []
    for given in (cells.whole, batch):
        torch.manual_seed(0)
        network = StagateNetwork(20, 16, 4)
        updates = Updates(network, StagateConfig(compat=compat, device="cpu"))
        told.append([updates.step(given)[:2] for _ in range(5)])
    np.testing.assert_allclose(told[0], told[1], rtol=1e-5)


QUICK = StagateConfig(hidden=16, width=4, epochs=8, device="cpu", learning_rate=1e-2)


def learned(given, config: StagateConfig = QUICK, context: JobContext | None = None) -> Learned:
    values, xy = given
    return learn(values, xy, graph_at(xy), config, context)


def test_it_learns_and_gives_the_last_weights_embedding():
    values, xy = tissue()
    found = learned((values, xy), replace(QUICK, epochs=200))
    assert found.losses[-1] < 0.5 * found.losses[0]
    assert found.updates == 200
    with torch.inference_mode():
        x = torch.from_numpy(values.toarray())
        wanted = found.network.embed(x, graph_at(xy).whole().coding)
    close(torch.from_numpy(found.embedding), wanted)


def test_as_published_the_embedding_is_from_before_the_last_update():
    values, xy = tissue()
    config = replace(QUICK, compat="published", epochs=3)
    found, before = learned((values, xy), config), learned((values, xy), replace(config, epochs=2))
    with torch.inference_mode():
        x = torch.from_numpy(values.toarray())
        of_two = before.network.embed(x, graph_at(xy).whole().coding)
    close(torch.from_numpy(found.embedding), of_two)


def test_patches_learn_what_all_cells_learn():
    given = tissue()
    whole = learned(given, replace(QUICK, epochs=100))
    parts = learned(given, replace(QUICK, epochs=20, batch_size=64))
    assert parts.batch_size == 64
    assert parts.updates == 20 * 5
    assert parts.losses[-1] == pytest.approx(whole.losses[-1], rel=0.15)
    values, xy = given
    with torch.inference_mode():
        x = torch.from_numpy(values.toarray())
        wanted = parts.network.embed(x, graph_at(xy).whole().coding)
    close(torch.from_numpy(parts.embedding), wanted)


@pytest.mark.parametrize("batch_size", [None, 64])
def test_the_same_seed_gives_the_same(batch_size):
    config, given = replace(QUICK, batch_size=batch_size), tissue()
    before = torch.get_rng_state()
    first, second, other = (learned(given, replace(config, seed=seed)) for seed in (4, 4, 5))
    assert np.array_equal(first.embedding, second.embedding)
    assert first.losses == second.losses
    assert not np.allclose(first.embedding, other.embedding, atol=1e-2)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_order_of_cells_goes_along_and_moving_them_changes_nothing():
    values, xy = tissue()
    order = np.random.default_rng(0).permutation(len(xy))
    found = learned((values, xy)).embedding
    np.testing.assert_allclose(learned((values[order], xy[order])).embedding, found[order],
                               atol=1e-4)  # fmt: skip
    np.testing.assert_array_equal(learned((values, xy + 512.0)).embedding, found)


@pytest.mark.parametrize("batch_size", [None, 64])
def test_progress_and_cancel_at_any_update(batch_size):
    seen = []

    def listen(progress):
        seen.append((progress.stage, progress.done, progress.total, progress.partial))
        if len(seen) == 12:
            context.cancel()

    context = JobContext(listen)
    with pytest.raises(JobCancelled):
        learned(tissue(), replace(QUICK, epochs=40, batch_size=batch_size), context)
    assert len(seen) == 12
    per_epoch = 1 if batch_size is None else 5
    assert [s[:3] for s in seen] == [("learning", i, 40 * per_epoch) for i in range(12)]
    assert seen[0][3] is None
    assert seen[11][3] < seen[per_epoch][3]


def test_how_many_cells_an_update_is_of():
    assert StagateConfig().cells_per_update(30_000) == 30_000
    assert StagateConfig().cells_per_update(30_001) == 8_192
    assert StagateConfig(batch_size=500).cells_per_update(2_000) == 500
    assert StagateConfig(compat="published").cells_per_update(90_000) == 90_000


@pytest.mark.parametrize(("asked", "said"), [
    ({"graph": "voronoi"}, "Nearest or radius or delaunay is needed"),
    ({"nearest": 0}, "Nearest is 0. A number from 1 on is needed."),
    ({"radius": -1.0}, "A number above 0 is needed"),
    ({"learning_rate": float("nan")}, "A number above 0 is needed"),
    ({"weight_decay": -1e-4}, "0 or more is needed"),
    ({"compat": "published", "batch_size": 10}, "updates on all cells at once"),
    ({"compat": "paper"}, "None or published is needed"),
])  # fmt: skip
def test_what_is_wrong_is_told(asked, said):
    with pytest.raises(ArgumentError, match=said):
        StagateConfig(**asked)
