"""Three layers that tell labels from embeddings of cells.

The paper says: a multilayer perceptron of three layers with ReLU and LayerNorm. Its code is not
published; widths, and the order of ReLU before LayerNorm, are ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tagscope.models.omnicell.config import HeadConfig


class LabelHead(nn.Module):
    """Embeddings (B, d) to logits (B, C).

    ``mean`` and ``scale`` (d,) standardise the embedding; they are not learned.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: HeadConfig, width: int, labels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        hidden = config.hidden or width
        self.layers = nn.Sequential(
            *_layer(width, hidden, config.dropout),
            *_layer(hidden, hidden, config.dropout),
            nn.Linear(hidden, labels),
        )

    def forward(self, embedding: Tensor) -> Tensor:
        """Logits (B, C)."""
        logits: Tensor = self.layers((embedding - self.mean) / self.scale)
        return logits


def _layer(inputs: int, outputs: int, dropout: float) -> list[nn.Module]:
    return [nn.Linear(inputs, outputs), nn.ReLU(), nn.LayerNorm(outputs), nn.Dropout(dropout)]
