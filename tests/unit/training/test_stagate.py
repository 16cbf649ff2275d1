"""STAGATE's updates: the published trajectories, exact gradients of patches, and what must not
change an embedding."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from stagate_cases import CASES, Case, close, load_case, ours
from tagscope.errors import ArgumentError
from tagscope.jobs import JobCancelled, JobContext
from tagscope.models.stagate.graph import Graph, patches_of
from tagscope.models.stagate.network import Neighbourhood, Pattern, SparseRows, StagateNetwork
from tagscope.training.stagate import Batch, Cells, StagateConfig, Updates, learn

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
