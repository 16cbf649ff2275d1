"""Gene embeddings of cells and of data sets, and markers from them, as published."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from safetensors.torch import load_file
from scipy.stats import wasserstein_distance
from sklearn.neighbors import NearestNeighbors

from omnicell_cases import close, load_case
from tagscope.core.panel import GenePanel
from tagscope.interpret.embedded_markers import marker_scores, ranked_markers
from tagscope.models.omnicell.model import OmniCell
from tagscope.models.omnicell.propagation import (
    GenePropagation,
    neighbour_weights,
    propagation_from_published,
    propagator,
)


@pytest.fixture(scope="module")
def published(shared):
    folder = shared / "parity" / "omnicell" / "gprgnn_small"
    sizes, scalars = (json.loads((folder / f"{n}.json").read_text()) for n in ("config", "scalars"))
    parts = {p: load_file(folder / f"{p}.safetensors") for p in ("state", "inputs", "outputs")}
    return sizes, scalars, parts


def graph_of(sizes, inputs):
    cells = inputs["cell_embeddings"].numpy()
    finder = NearestNeighbors(n_neighbors=sizes["k_neighbors"]).fit(cells)
    distances, neighbours = finder.kneighbors()
    return neighbours, neighbour_weights(distances, neighbours, sizes["alpha_graph"])


def learner(sizes, state):
    network = GenePropagation(sizes["n_cells"], sizes["d"], hidden=sizes["hidden_dim"],
                              steps=sizes["K"], dropout=0.0)  # fmt: skip
    network.load_state_dict(propagation_from_published(state))
    return network


def test_the_graph_of_cells(published):
    sizes, _, parts = published
    neighbours, weights = graph_of(sizes, parts["inputs"])
    wanted = parts["outputs"]["edge_index"].numpy()
    found = np.stack((np.repeat(np.arange(sizes["n_cells"]), sizes["k_neighbors"]),
                      neighbours.ravel()))  # fmt: skip
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_allclose(weights.ravel(), parts["outputs"]["edge_weight"], atol=1e-6)


def test_cells_that_are_alike_have_finite_weights():
    neighbours = np.array([[1], [0]])
    assert np.isfinite(neighbour_weights(np.zeros((2, 1)), neighbours)).all()


def test_genes_of_a_data_set(published):
    sizes, scalars, parts = published
    network = learner(sizes, parts["state"])
    graph = propagator(*graph_of(sizes, parts["inputs"]))
    states = parts["inputs"]["cell_level_gene_embeddings"].transpose(0, 1)
    with torch.inference_mode():
        close(network.propagate(states, graph).float(), parts["outputs"]["propagated_embeddings"])
        embedding, predicted = network(states, graph)
    close(embedding, parts["outputs"]["dataset_level_gene_embeddings"])
    close(predicted, parts["outputs"]["predicted_expression"])
    optimizer, losses = torch.optim.Adam(network.parameters(), lr=1e-3), []
    for _ in scalars["adam_losses_dropout_off_lr1e3"]:
        loss = torch.nn.functional.mse_loss(network(states, graph)[1],
                                            parts["inputs"]["expression"].T)  # fmt: skip
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    np.testing.assert_allclose(losses, scalars["adam_losses_dropout_off_lr1e3"], rtol=1e-4)


def test_the_shares_begin_as_a_walk_that_restarts():
    shares = GenePropagation(3, 4, steps=3).shares
    torch.testing.assert_close(
        shares.detach(), torch.tensor([0.1, 0.09, 0.081, 0.729], dtype=torch.float64)
    )


def test_markers(shared):
    folder = shared / "parity" / "omnicell" / "markers_small"
    sizes, wanted = (json.loads((folder / f"{n}.json").read_text()) for n in ("config", "markers"))
    inputs = load_file(folder / "inputs.safetensors")
    states, codes = inputs["cell_level_gene_embeddings"].numpy(), inputs["labels"].numpy()
    scores = np.stack([
        marker_scores(states[:, gene], codes, sizes["n_types"]) for gene in range(sizes["n_genes"])
    ], axis=1)  # fmt: skip
    expected = load_file(folder / "outputs.safetensors")["scores"].numpy()
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    groups, genes = tuple(wanted["kept"]), tuple(f"g{n}" for n in range(sizes["n_genes"]))
    found = ranked_markers(
        scores, sp.csr_matrix(inputs["expression"].numpy()), codes, groups, genes,
        top=sizes["top_k"],
    )  # fmt: skip
    for group in groups:
        assert found.loc[found["group"] == group, "gene"].tolist() == wanted["kept"][group]


def test_the_distance_is_scipys():
    rng = np.random.default_rng(0)
    states, codes = rng.normal(size=(60, 3)), rng.integers(-1, 3, 60)
    scores = marker_scores(states, codes, 3)
    for code in range(3):
        each = [
            wasserstein_distance(states[codes == code, d], states[codes != code, d])
            for d in range(3)
        ]
        assert scores[code] == pytest.approx(np.mean(each))


def test_genes_of_cells(shared):
    case = load_case(shared / "parity" / "omnicell" / "sc_small")
    model = OmniCell(case.network(), GenePanel(()))
    read = case.tokens().sequences(np.arange(5))
    with torch.inference_mode():
        hidden = model.network(model.network.table(case.read_genes), read)[:, 0, 1:-1]
    ours = hidden @ model.basis(0.9)
    wanted = case.expected["gene_embeddings_projected"]
    torch.testing.assert_close(
        torch.einsum("cgm,chm->cgh", ours, ours),
        torch.einsum("cgm,chm->cgh", wanted, wanted), atol=1e-3, rtol=1e-4,
    )  # fmt: skip
