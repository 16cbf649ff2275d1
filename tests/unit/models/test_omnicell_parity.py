"""OmniCell gives the published code's numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from omnicell_cases import CASES, Case, close, load_case
from tagscope.core.panel import GenePanel
from tagscope.models.omnicell.convert import to_published
from tagscope.models.omnicell.model import OmniCell
from tagscope.models.omnicell.network import Sequences, balance


@pytest.fixture(scope="module", params=CASES)
def case(request, shared) -> Case:
    return load_case(shared / "parity" / "omnicell" / request.param)


def all_rows(case: Case) -> Sequences:
    return case.tokens().sequences(np.arange(len(case.inputs["raw_counts"])))


@torch.inference_mode()
def test_cells_are_read_as_published(case):
    read = all_rows(case)
    close(read.values.flatten(1), case.inputs["values"])
    assert torch.equal((read.values > 0).flatten(1), case.inputs["expressed_mask"] > 0)
    tokens = case.read_genes.repeat(len(read.values), read.values.shape[1])
    assert torch.equal(tokens, case.inputs["tokens"])
    close(read.values[:, 0, 1:-1], case.expected["soft_rank_or_value_centre"])


@torch.inference_mode()
def test_hidden_states_and_scores(case):
    network, read = case.network(), all_rows(case)
    table = network.table(case.read_genes)
    hidden = network(table, read)
    assert_as_published(case, "embedder_out", network.embed(table, read), 2e-5)
    assert_as_published(case, "hidden_final", hidden.flatten(1, 2), 1e-4)
    assert_as_published(case, "head_scores", network.scores(hidden).flatten(1), 1e-3)
    close(balance(table, torch.ones(len(table.names))), case.expected["load_balance_loss"])


def assert_as_published(case: Case, name: str, ours: Tensor, atol: float) -> None:
    """All numbers where they are stored, else those that were probed."""
    if name in case.expected:
        close(ours, case.expected[name].view(ours.shape), atol)
    elif name in case.scalars.get("output_stats", {}):
        stats = case.scalars["output_stats"][name]
        assert stats["numel"] == ours.numel()
        probed = ours.flatten()[torch.tensor(stats["probe_flat_index"])]
        close(probed, torch.tensor(stats["probe"]), atol)
        close(ours.norm(), torch.tensor(stats["l2"]), atol)


@torch.inference_mode()
def test_projected_embeddings(case):
    model = OmniCell(case.network(), GenePanel(()))
    basis = model.basis(case.settings["projection_threshold"])
    assert basis.shape[1] == case.scalars["projected_dim"]
    projected = case.expected["cell_embedding_normalised"] @ basis
    projected = projected.flatten(0, -2)
    close(projected @ projected.T, case.expected["projected_gram_sign_invariant"], 5e-5)


@torch.inference_mode()
def test_cell_embeddings(case):
    network, read = case.network(), all_rows(case)
    expressed = read.values > 0
    table = network.table(case.read_genes)
    found = torch.nn.functional.normalize(network.pooled(table, read, expressed), dim=-1, eps=1e-7)
    wanted = case.expected["cell_embedding_normalised"]
    close(found.view(wanted.shape), wanted)
    centre = network.pooled(table, read, expressed, cells=1)
    centre = torch.nn.functional.normalize(centre, dim=-1, eps=1e-7)[:, 0]
    close(centre, wanted if wanted.dim() == 2 else wanted[:, 0])


def test_weights_go_back_to_their_names(case):
    state = case.network().state_dict()
    again = to_published(state, case.config)
    assert set(again) == set(case.weights)
    assert all(torch.equal(again[name], case.weights[name]) for name in again)
