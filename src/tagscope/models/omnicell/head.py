"""Three layers that tell labels from embeddings of cells.

The paper says: a multilayer perceptron of three layers with ReLU and LayerNorm. Its code is not
published; widths, and the order of ReLU before LayerNorm, are ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tagscope.models.omnicell.config import HeadConfig

_LEAST_SHARE = 0.01  # of the largest sd: directions in which cells differ less are noise
_LEAST_SD = 1e-6  # where all cells are alike


class LabelHead(nn.Module):
    """Embeddings (B, d) to logits (B, C).

    ``mean`` (d,) and ``turn`` (d, d) are not learned: what is read is (x − mean) · turn.
    """

    mean: Tensor
    turn: Tensor

    def __init__(self, config: HeadConfig, width: int, labels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("turn", torch.eye(width))
        hidden = config.hidden or width
        self.layers = nn.Sequential(
            *_layer(width, hidden, config.dropout),
            *_layer(hidden, hidden, config.dropout),
            nn.Linear(hidden, labels),
        )

    def whiten(self, known: Tensor) -> None:
        """Read principal components of the embeddings ``known`` (N, d), each with a variance of 1.

        What tells types apart may lie in directions in which cells hardly differ: most of them in
        an embedding that was learned without labels.
        """
        self.mean.copy_(known.mean(dim=0))
        _, strengths, axes = torch.linalg.svd(known - self.mean, full_matrices=False)
        spread = strengths / len(known) ** 0.5
        least = max(_LEAST_SHARE * float(spread.max()), _LEAST_SD)
        self.turn.zero_()
        self.turn[:, : len(axes)] = axes.T / spread.clamp(min=least)

    def forward(self, embedding: Tensor) -> Tensor:
        """Logits (B, C)."""
        logits: Tensor = self.layers((embedding - self.mean) @ self.turn)
        return logits


def _layer(inputs: int, outputs: int, dropout: float) -> list[nn.Module]:
    return [nn.Linear(inputs, outputs), nn.ReLU(), nn.LayerNorm(outputs), nn.Dropout(dropout)]
