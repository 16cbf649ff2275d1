"""STAGATE gives the published code's numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from stagate_cases import CASES, Case, close, load_case
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Section
from tagscope.models.stagate.graph import graph_of


@pytest.fixture(scope="module", params=CASES)
def case(request, shared) -> Case:
    return load_case(shared / "parity" / "stagate" / request.param)


def test_the_graph_is_the_published_one(case):
    import scipy.sparse as sp

    cells = Cells(sp.csr_matrix((len(case.x), 0), dtype=np.float32), GenePanel(()),
                  np.arange(len(case.x)).astype(str))  # fmt: skip
    radius, nearest = case.settings["radius"], case.settings["k_cutoff"]
    kind = "nearest" if radius is None else "radius"
    found = graph_of(Section(cells, case.xy), kind, nearest=nearest or 6, radius=radius)
    wanted = case.graph()
    assert len(wanted.sources) == case.inputs["edge_index"].shape[1]
    assert found.sources.tolist() == wanted.sources.tolist()
    assert found.offsets.tolist() == wanted.offsets.tolist()


@torch.inference_mode()
def test_what_cells_are_coded_and_decoded_to(case):
    network, near = case.network(), case.graph().whole()
    coded = network(case.x, near)
    sources, targets = case.inputs["edge_index"]
    order = torch.argsort(targets * len(case.x) + sources)
    close(coded.attention, case.expected["edge_attention"][order])
    close(coded.projected @ network.source, case.expected["attention_logit_src"].flatten())
    close(coded.projected @ network.target, case.expected["attention_logit_dst"].flatten())
    close(coded.embedding, case.expected["latent"])
    close(network.embed(case.x, near.coding), case.expected["latent"])
    close(network.reconstruction(coded), case.expected["reconstruction"])
    loss = network.squared_error(case.x, coded) / case.x.numel()
    close(loss, torch.tensor(case.scalars["mse_loss"], dtype=torch.float64))
    close(loss.float(), F.mse_loss(network.reconstruction(coded), case.x))
