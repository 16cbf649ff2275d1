"""The published STAGATE's numbers: weights, inputs, outputs and trajectories of small networks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from tagscope.models.stagate.graph import Graph
from tagscope.models.stagate.network import StagateNetwork

CASES = ("radius_small", "knn_small")


@dataclass(frozen=True)
class Case:
    settings: dict[str, Any]
    weights: dict[str, Tensor]
    inputs: dict[str, Tensor]
    expected: dict[str, Tensor]
    scalars: dict[str, Any]

    @property
    def x(self) -> Tensor:
        return self.inputs["features"]

    def graph(self) -> Graph:
        sources, targets = self.inputs["edge_index"].numpy()
        return Graph.of_edges(sources, targets, len(self.x))

    def network(self) -> StagateNetwork:
        network = StagateNetwork(self.x.shape[1], *self.settings["hidden"])
        network.load_state_dict(ours(self.weights))
        return network

    @property
    def xy(self) -> np.ndarray:
        return self.inputs["coordinates"].numpy()


def ours(weights: dict[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """Published weights under our names."""
    names = {"first": "conv1.lin_src", "second": "conv2.lin_src"}
    names |= {"source": "conv1.att_src", "target": "conv1.att_dst"}
    found = {name: weights[prefix + theirs] for name, theirs in names.items()}
    return {name: value.flatten() if value.dim() == 3 else value for name, value in found.items()}


def load_case(folder: Path) -> Case:
    settings = json.loads((folder / "config.json").read_text())
    parts = (load_file(folder / f"{part}.safetensors") for part in ("state", "inputs", "outputs"))
    return Case(settings, *parts, json.loads((folder / "scalars.json").read_text()))


def close(found: Tensor, wanted: Tensor) -> None:
    """Within the tolerance the cases state: abs 2e-5 + rel 1e-4."""
    torch.testing.assert_close(found, wanted, atol=2e-5, rtol=1e-4)
