"""The published CellPatch's numbers: weights, inputs, outputs of small and full-size networks."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from formula_weights import drawn_weights
from tagscope.models.cellpatch.config import CellPatchConfig, Compat
from tagscope.models.cellpatch.convert import from_published
from tagscope.models.cellpatch.network import CellPatchNetwork, Genes

PRETRAINED = ("pretrain_small", "paper_pretrain_named")
ANNOTATORS = ("annotator_small", "annotator_projected", "paper_annotator_named")
CASES = (*PRETRAINED, *ANNOTATORS)


@dataclass(frozen=True)
class Case:
    name: str
    config: CellPatchConfig
    labels: int
    weights: dict[str, Tensor]
    inputs: dict[str, Tensor]
    expected: dict[str, Tensor]
    scalars: dict[str, Any]

    @property
    def rows(self) -> range:
        """Rows of the table of genes, that of padding left out."""
        return range(1, len(self.weights["gene2vector.weight"]))

    def network(self, compat: Compat = "published") -> CellPatchNetwork:
        config = replace(self.config, compat=compat)
        network = CellPatchNetwork(config, len(self.rows), self.labels)
        state = from_published(self.weights, config, self.rows, labels=self.labels)
        network.load_state_dict(state)
        return network.eval()

    @property
    def read(self) -> Genes:
        """What the cells are read with."""
        name = "" if self.labels else "_enc"
        genes = self.inputs[f"genes{name}"]
        return Genes((genes - 1).clamp(min=0), self.inputs[f"values{name}"], genes == 0)

    @property
    def asked(self) -> tuple[Tensor, Tensor]:
        """The genes that are told, and their padding."""
        genes = self.inputs["genes_dec"]
        return (genes - 1).clamp(min=0), genes == 0


def load_case(folder: Path) -> Case:
    said = json.loads((folder / "config.json").read_text())
    config = CellPatchConfig(
        width=said["embedding_dim"],
        patches=said["n_pathway"],
        heads=said["n_head"],
        layers=said["encoder_self_attn_depth"],
        ffn=said["mlp_dim"],
        projection=said["encoder_projection_dim"],
        decoder_layers=said["decoder_selfattn_block_depth"],
        dropout=0.0,
        bottleneck=said.get("project_out", False),
    )
    stored = folder / "state.safetensors"
    weights = load_file(stored) if stored.exists() else drawn_weights(said["weights"])
    inputs, expected = (load_file(folder / f"{part}.safetensors") for part in ("inputs", "outputs"))
    scalars = json.loads((folder / "scalars.json").read_text())
    labels = said.get("n_classes", 0)
    return Case(folder.name, config, labels, weights, inputs, expected, scalars)


def close(ours: Tensor, theirs: Tensor) -> None:
    """Within the tolerance the cases state: abs 2e-5 + rel 1e-4."""
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)
