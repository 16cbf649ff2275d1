"""CellPatch's published mathematics done plainly. Needs torch alone.

Every token is projected to a key and a value, padding is attended, and attention is torch's own
module, which is asked for its weights as the published code asks. Held to the published numbers by
``test_plain_cellpatch.py``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from tagscope.models.cellpatch.config import CellPatchConfig

CROSS, OWN, ACROSS, AMONG = (
    "cross_extract_blocks", "self_extract_blocks", "decoder_extract_blocks",
    "decoder_selfattn_blocks",
)  # fmt: skip


class PlainCellPatch(nn.Module):
    """The network of published weights (names as published)."""

    def __init__(self, weights: Mapping[str, Tensor], config: CellPatchConfig) -> None:
        super().__init__()
        self.config = config
        self.named = nn.ParameterDict(
            {name.replace(".", "/"): nn.Parameter(value) for name, value in weights.items()}
        )

    def weight(self, name: str) -> Tensor:
        found: Tensor = self.named[name.replace(".", "/")]
        return found

    def linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias"))

    def block(self, x: Tensor, read: Tensor, name: str, index: str = "") -> Tensor:
        """Attention of x over what is read, then a feed-forward layer, normalised behind each."""
        at = f"{name}_attn{index}"
        attended, _ = F.multi_head_attention_forward(
            x.transpose(0, 1), read.transpose(0, 1), read.transpose(0, 1), self.config.width,
            self.config.heads, self.weight(f"{at}.in_proj_weight"),
            self.weight(f"{at}.in_proj_bias"), None, None, add_zero_attn=False, dropout_p=0.0,
            out_proj_weight=self.weight(f"{at}.out_proj.weight"),
            out_proj_bias=self.weight(f"{at}.out_proj.bias"), training=self.training,
            need_weights=True, average_attn_weights=True,
        )  # fmt: skip
        x = self.norm(attended.transpose(0, 1) + x, f"{name}_attn_norm{index}")
        hidden = F.gelu(self.linear(x, f"{name}_mlp{index}.0"))
        return self.norm(self.linear(hidden, f"{name}_mlp{index}.2") + x, f"{name}_mlp_norm{index}")

    def norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return F.layer_norm(x, x.shape[-1:], weight, bias)

    def patches(self, genes: Tensor, values: Tensor) -> Tensor:
        """Rows of genes and values (B, L), padding of row 0 and value 0, as patches (B, P, d)."""
        names = F.embedding(genes, self.weight("gene2vector.weight"))
        read = self.linear(values.unsqueeze(-1), "count2vector") + names
        found = self.weight("pathway_token").repeat(len(genes), 1, 1)
        found = self.block(found, read, CROSS)
        for layer in range(self.config.layers):
            found = self.block(found, found, OWN, f".{layer}")
        return found

    def logits(self, genes: Tensor, values: Tensor) -> Tensor:
        """Labels (B, C)."""
        x = F.relu(self.linear(self.patches(genes, values).flatten(1), "lp_fc1"))
        return self.linear(F.relu(self.linear(x, "lp_fc2")), "lp_fc3")

    def told(self, genes: Tensor, values: Tensor, asked: Tensor) -> Tensor:
        """Values of genes (B, D)."""
        features = self.linear(self.patches(genes, values), "encoder_projection")
        read = self.linear(features, "decoder_reverse_projection")
        x = F.embedding(asked, self.weight("gene2vector.weight"))
        x = self.block(x, read, ACROSS)
        for layer in range(self.config.decoder_layers):
            x = self.block(x, x, AMONG, f".{layer}")
        return self.linear(x, "decoder_projection").squeeze(-1)


def padded(genes: Tensor, padding: Tensor) -> Tensor:
    """Rows of genes as the published table has them: padding is row 0."""
    return torch.where(padding, 0, genes + 1)
