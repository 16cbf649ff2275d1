"""The published CellPatch + STAGATE: weights, inputs, outputs and losses of small networks."""

from __future__ import annotations

import torch
from torch import Tensor

import stagate_cases
from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.models.cellpatch.convert import GENES, encoder_names
from tagscope.models.cellpatch_stagate.network import CellPatchStagate

CASES = ("cellpatch_stagate_plain", "cellpatch_stagate_concat")


def network_of(case: stagate_cases.Case) -> CellPatchStagate:
    """The network of a case with its weights."""
    settings = case.settings
    config = CellPatchConfig(
        width=settings["embedding_dim"], patches=settings["n_pathway"], heads=settings["n_head"],
        layers=0, projection=None, decoder_layers=0, dropout=0.0,
    )  # fmt: skip
    genes = settings["n_genes"]
    network = CellPatchStagate(config, genes, *settings["stg_hidden"], settings["res_cat"])
    network.load_state_dict(_ours(case, config))
    return network


def _ours(case: stagate_cases.Case, config: CellPatchConfig) -> dict[str, Tensor]:
    """Published weights under our names."""
    rows = case.inputs["genes"][0]
    assert (case.inputs["genes"] == rows).all()
    state = {
        f"patches.{ours}": case.weights[f"model_head.{theirs}"]
        for theirs, ours in encoder_names(config)
    }
    state["patches.patches"] = state["patches.patches"][0]
    table = case.weights[f"model_head.{GENES}"]
    state["patches.genes.weight"] = table[torch.cat((rows, rows.new_zeros(1)))]
    graph = stagate_cases.ours(case.weights, "model_STG.")
    state |= {f"graph.{name}": value for name, value in graph.items()}
    return state | {f"tell.{p}": case.weights[f"decoder_lin.{p}"] for p in ("weight", "bias")}
