"""CellPatch + STAGATE's published mathematics done plainly. Needs torch alone.

Patches attend to every gene of every cell, zeros among them; what is coded, its reconstruction and
the reconstruction of all genes are made. Weights are tied cleanly. Held to the published numbers by
``test_plain_cellpatch_stagate.py``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from plain_cellpatch import PlainCellPatch
from plain_stagate import PlainStagate
from tagscope.models.cellpatch.config import CellPatchConfig


class PlainUnion:
    """``patches`` by their published names, the STAGATE's weights, and the last layer's ``weight``
    (G, in) and ``bias`` (G,); Adam on all of them."""

    def __init__(
        self,
        patches: Mapping[str, Tensor],
        config: CellPatchConfig,
        graph: Mapping[str, Tensor],
        weight: Tensor,
        bias: Tensor,
        concatenate: bool,
    ) -> None:
        self.patches = PlainCellPatch(patches, config).to(weight.device)
        self.graph, self.concatenate = PlainStagate(**graph), concatenate
        self.weight, self.bias = weight.requires_grad_(), bias.requires_grad_()
        self.weights = [*self.patches.parameters(), *self.graph.weights, weight, bias]
        self.optimizer = torch.optim.Adam(self.weights, lr=1e-3, weight_decay=1e-4)

    def __call__(
        self, genes: Tensor, x: Tensor, sources: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Embedding (N, D) and reconstruction (N, G) of cells x (N, G), of the rows ``genes`` (G,)
        of the published table, with edges (E,)."""
        coded = self.patches.patches(genes.expand(len(x), -1), x).flatten(1)
        coded = torch.cat((coded, x), dim=1) if self.concatenate else coded
        embedding, decoded = self.graph(coded, sources, targets)
        return embedding, F.linear(decoded, self.weight, self.bias)

    def step(self, genes: Tensor, x: Tensor, sources: Tensor, targets: Tensor) -> float:
        """One update: the loss."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.mse_loss(x, self(genes, x, sources, targets)[1])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, 5.0)
        self.optimizer.step()
        return loss.item()
