"""CellPatch + STAGATE gives the published numbers, and reads zeros exactly without listing them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import scipy.sparse as sp
import torch

from cellpatch_stagate_cases import CASES, network_of
from stagate_cases import Case, close, load_case
from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.models.cellpatch.network import Genes
from tagscope.models.cellpatch_stagate import reading
from tagscope.models.cellpatch_stagate.network import CellPatchStagate
from tagscope.models.cellpatch_stagate.reading import context_of
from tagscope.models.stagate.network import Pattern, SparseRows
from tagscope.training.cellpatch_stagate import UnionConfig
from tagscope.training.stagate import Batch, Updates


@pytest.fixture(params=CASES)
def case(request, shared) -> Case:
    return load_case(shared / "parity" / "stagate" / request.param)


def sparse(x: torch.Tensor) -> SparseRows:
    rows = sp.csr_matrix(x.numpy())
    columns, offsets = torch.from_numpy(rows.indices), torch.from_numpy(rows.indptr)
    return SparseRows(Pattern(columns, offsets, rows.shape[1]), torch.from_numpy(rows.data))


@pytest.mark.parametrize("as_sparse", [False, True])
def test_published_outputs(case, as_sparse):
    network = network_of(case).eval()
    x = sparse(case.x) if as_sparse else case.x
    near = case.graph().whole()
    with torch.inference_mode():
        close(network.features(x), case.expected["patch_features"])
        coded = network(x, near)
        close(coded.embedding, case.expected["latent"])
        close(network.embed(x, near.coding), case.expected["latent"])
        close(network.reconstruction(coded), case.expected["reconstruction"])
        squares = float(case.x.double().square().sum())
        loss = network.squared_error(x, coded, squares) / case.x.numel()
    close(loss.float(), torch.tensor(case.scalars["mse_loss"]))


@pytest.mark.parametrize("as_sparse", [False, True])
def test_published_losses(case, as_sparse):
    wanted = case.scalars["losses_upstream_dropout_off"]
    x = sparse(case.x) if as_sparse else case.x
    batch = Batch(x, case.graph().whole(), float(case.x.double().square().sum()))
    config = replace(UnionConfig.of("published"), dropout=0.0, device="cpu")
    updates = Updates(network_of(case), config)
    close(torch.tensor([updates.step(batch)[0] for _ in wanted]), torch.tensor(wanted))


def test_reconstructed_or_not_the_loss_is_one(case):
    """Also where the graph is wider than the genes are many, and the other way round."""
    squares = float(case.x.double().square().sum())
    network = network_of(case)
    coded = network(case.x, case.graph().whole())
    plain = (network.reconstruction(coded) - case.x).square().sum()
    for x in (case.x, sparse(case.x)):
        close(network.squared_error(x, coded, squares).float(), plain)


def large(seed: int = 0, spread: float = 1.0) -> CellPatchStagate:
    torch.manual_seed(seed)
    config = CellPatchConfig(width=8, patches=5, layers=0, projection=None, decoder_layers=0)
    network = CellPatchStagate(config, 60, 12, 3).double().eval()
    with torch.no_grad():
        network.patches.genes.weight.mul_(spread)
        network.patches.value.weight.mul_(spread)
    return network


def expression(cells: int = 40, share: float = 0.2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    values = torch.rand(cells, 60, generator=generator, dtype=torch.float64) * 4
    values[torch.rand(cells, 60, generator=generator) > share] = 0
    values[3] = 0  # a cell that expresses nothing
    return values


def plainly(network: CellPatchStagate, x: torch.Tensor) -> torch.Tensor:
    """By CellPatch's own attention, over every gene."""
    genes = torch.arange(x.shape[1]).expand(len(x), -1)
    return network.patches.gathered(Genes(genes, x), network.patches.table()).patches


@pytest.mark.parametrize("spread", [1.0, 6.0])
@pytest.mark.parametrize("share", [0.02, 0.2, 0.9])
def test_zeros_are_read_without_being_listed(share, spread):
    network, x = large(spread=spread), expression(share=share)
    found, wanted = network.features(sparse(x)), plainly(network, x)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    asked = torch.randn_like(wanted)
    weights = [w for n, w in network.patches.named_parameters()]
    of_plain = torch.autograd.grad(wanted, weights, asked, allow_unused=True)
    of_found = torch.autograd.grad(found, weights, asked, allow_unused=True)
    for one, other in zip(of_plain, of_found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


def test_where_nothing_is_left_of_the_zeros_all_genes_are_read(monkeypatch):
    """In float32 the difference of two like sums has no digits left."""
    network = large(spread=6.0).float()
    x = expression(share=0.9).float()
    with torch.no_grad():
        scores = network.scores()
        steep = scores._replace(slope=-scores.slope.abs() * 20)
        wanted = context_of(x, steep)
        torch.testing.assert_close(context_of(sparse(x), steep), wanted, rtol=1e-3, atol=1e-4)
        monkeypatch.setattr(reading, "_LEAST", 0.0)
        assert not torch.allclose(context_of(sparse(x), steep), wanted, rtol=1e-3, atol=1e-3)


def test_large_values_stay_finite():
    network, x = large(spread=6.0).float(), expression().float() * 100
    found = network.features(sparse(x))
    found.sum().backward()
    assert found.isfinite().all()
    assert all(w.grad is None or w.grad.isfinite().all() for w in network.parameters())
    torch.testing.assert_close(found, network.features(x), rtol=1e-3, atol=1e-3)


def test_dropped_out_attention_is_the_same_on_average():
    torch.manual_seed(0)
    config = CellPatchConfig(
        width=8, patches=5, layers=0, projection=None, decoder_layers=0, dropout=0.1
    )
    network, x = CellPatchStagate(config, 60, 12, 3).train(), expression(cells=6).float()
    assert not torch.equal(network.features(x), network.features(x))
    given = sparse(x.repeat(400, 1))
    mean = network.features(given).unflatten(0, (400, 6)).mean(dim=0)
    steady = network.eval().features(x)
    assert (mean - steady).abs().mean() < 0.1 * steady.std()


def test_gradients_are_finite_where_nothing_is_left_of_the_zeros():
    """A cell that expresses all genes, by patches that attend to none that is expressed."""
    network, x = large(spread=6.0).float(), torch.full((4, 60), 8.0)
    scores = network.scores()
    steep = scores._replace(slope=-scores.slope.detach().abs() - 5)
    context = context_of(sparse(x), steep)
    context.sum().backward()
    torch.testing.assert_close(context, context_of(x, steep), rtol=1e-4, atol=1e-4)
    assert all(w.grad is None or w.grad.isfinite().all() for w in network.parameters())
