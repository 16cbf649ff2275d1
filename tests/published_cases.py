"""The published code's numbers: weights, inputs and outputs of small and of full-size networks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from safetensors.torch import load_file
from torch import Tensor

from formula_weights import drawn_weights
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.convert import from_published
from tagscope.models.cellmemory.network import CellMemoryNetwork, sinusoid

CASES = ("fast_small", "fast_topk", "full_small", "paper_fast_named", "paper_full_named")
EXPRESSED = tuple(case for case in CASES if "full" not in case)


def close(ours: Tensor, theirs: Tensor) -> None:
    """Within the tolerance the cases state: abs 2e-5 + rel 1e-4."""
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


@dataclass(frozen=True)
class Case:
    sizes: dict[str, Any]
    config: CellMemoryConfig
    state: dict[str, Tensor]
    inputs: dict[str, Tensor]
    expected: dict[str, Tensor]
    scalars: dict[str, Any]

    @property
    def tokens(self) -> Tensor:
        return self.inputs["tokens"]

    @property
    def padding(self) -> Tensor:
        return self.inputs.get("padding", torch.zeros(self.tokens.shape, dtype=torch.bool))

    @property
    def genes(self) -> Tensor:
        if "gene_ids" not in self.inputs:
            return torch.arange(self.sizes["n_genes"]).expand(self.tokens.shape)
        return torch.where(self.padding, -1, self.inputs["gene_ids"] - 1)

    def network(self, config: CellMemoryConfig | None = None) -> CellMemoryNetwork:
        network = CellMemoryNetwork(
            config or self.config, self.sizes["n_genes"], self.sizes["n_classes"]
        )
        network.load_state_dict(
            from_published(self.state, self.config, self.sizes["n_genes"], self.sizes["n_classes"])
        )
        return network.eval()

    def cells(self) -> Cells:
        counts = self.inputs["raw_counts"].numpy()
        names = tuple(f"g{i}" for i in range(counts.shape[1]))
        ids = np.array([f"c{i}" for i in range(len(counts))])
        return Cells(sp.csr_matrix(counts), GenePanel(names), ids)


def named_weights(weights: dict[str, Any], mode: str) -> dict[str, Tensor]:
    """The weights of the cases that store a formula in place of a file."""
    state = drawn_weights(weights)
    for key, shape in weights["shapes"].items():
        if key.endswith(".pe"):
            state[key] = sinusoid(shape[1], shape[2]).unsqueeze(0)
    if mode == "fast":
        state["embedding.token_embedding.weight"][0] = 0
        state["embedding.gene_ids_embedding.weight"][-1] = 0
    else:
        state["embedding.position_embedding.weight"][0] = 0
    return state


def load_case(folder: Path) -> Case:
    sizes = json.loads((folder / "config.json").read_text())
    config = CellMemoryConfig(
        mode="expressed" if sizes["mode"] == "fast" else "full",
        encoding="bins" if sizes["exp_bin"] == "bin_scale" else "round",
        max_bin=sizes["max_bin"],
        width=sizes["h_dim"],
        ffn=sizes["ffn_dim"],
        layers=sizes["num_layers"],
        heads=sizes["num_heads"],
        key_width=sizes["qk_dim_per_head"],
        slots=sizes["mem_slots"],
        top_k=sizes["topk"] if sizes["use_topk"] else None,
        max_tokens=sizes["max_seq_len"],
        dropout=0.0,
        compat="published",
    )
    stored = folder / "state.safetensors"
    state = load_file(stored) if stored.exists() else named_weights(sizes["weights"], sizes["mode"])
    inputs, expected = (load_file(folder / f"{part}.safetensors") for part in ("inputs", "outputs"))
    scalars = json.loads((folder / "scalars.json").read_text())
    return Case(sizes, config, state, inputs, expected, scalars)
