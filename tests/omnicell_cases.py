"""The published OmniCell's numbers: weights, inputs and outputs of small and full-size networks."""

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
from tagscope.models.omnicell.config import OmniCellConfig
from tagscope.models.omnicell.convert import from_published, published_config
from tagscope.models.omnicell.network import OmniCellNetwork
from tagscope.models.omnicell.tokenise import OmniCellTokens, soft_ranks

ALONE = ("sc_small", "paper_config_sc_named", "no_flash_bugmode")
IN_TISSUE = ("spatial_small", "spatial_partial_rotary", "paper_config_spatial_named")
CASES = (*ALONE, *IN_TISSUE)


@dataclass(frozen=True)
class Case:
    settings: dict[str, Any]
    config: OmniCellConfig
    weights: dict[str, Tensor]
    inputs: dict[str, Tensor]
    expected: dict[str, Tensor]
    scalars: dict[str, Any]

    def network(self) -> OmniCellNetwork:
        network = OmniCellNetwork(self.config, self.settings["LMConfig"]["num_gene"])
        network.load_state_dict(from_published(self.weights, self.config))
        return network.eval()

    @property
    def read_genes(self) -> Tensor:
        """Vocabulary rows of start, genes and end."""
        specials = self.settings["special_token_ids"]
        ends = [torch.tensor([specials[name]]) for name in ("RNA_START", "RNA_END")]
        return torch.cat((ends[0], self.inputs["gene_ids"], ends[1]))

    def tokens(self) -> OmniCellTokens:
        ranks = soft_ranks(sp.csr_matrix(self.inputs["raw_counts"].numpy()))
        if "neighbors" not in self.inputs:
            return OmniCellTokens(ranks)
        xy = self.inputs["coordinates"].numpy().astype(np.float64)
        return OmniCellTokens(ranks, self.inputs["neighbors"].numpy(), xy)


def load_case(folder: Path) -> Case:
    settings = json.loads((folder / "config.json").read_text())
    config = published_config(settings["LMConfig"], flash=settings["LMConfig"]["use_flash"])
    stored = folder / "state.safetensors"
    weights = load_file(stored) if stored.exists() else drawn_weights(settings["weights"])
    inputs, expected = (load_file(folder / f"{part}.safetensors") for part in ("inputs", "outputs"))
    scalars = json.loads((folder / "scalars.json").read_text())
    return Case(settings, config, weights, inputs, expected, scalars)


def close(ours: Tensor, theirs: Tensor, atol: float = 2e-5) -> None:
    """Within the tolerance the cases state: abs 2e-5 + rel 1e-4."""
    torch.testing.assert_close(ours, theirs, atol=atol, rtol=1e-4)
