"""OmniCell's published mathematics done plainly. Needs torch alone.

All value experts are computed for every token and weighted by its router, projections are apart,
every layer is applied to all tokens, and all blocks come back. Attention is torch's own, as the
published code's is flash attention's. Held to the published numbers by ``test_plain_omnicell.py``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from tagscope.models.omnicell.config import OmniCellConfig

VALUES = "embedder.value_embedding"


class PlainOmniCell:
    """The network of published weights (names as published)."""

    def __init__(self, weights: Mapping[str, Tensor], config: OmniCellConfig) -> None:
        self.weights = dict(weights)
        self.config = config

    def to(self, device: torch.device, dtype: torch.dtype) -> PlainOmniCell:
        moved = {name: value.to(device, dtype) for name, value in self.weights.items()}
        return PlainOmniCell(moved, self.config)

    def linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.weights[f"{name}.weight"])

    def embed(self, tokens: Tensor, values: Tensor) -> Tensor:
        """Tokens (B, L) and values (B, L) as (B, L, d)."""
        config, names = self.config, self.weights["embedder.gene_embedding.weight"][tokens]
        value = values.to(names.dtype).unsqueeze(-1)
        found = torch.zeros_like(names)
        for expert in range(config.shared_experts):
            found = found + self.linear(value, f"{VALUES}.shared_experts.{expert}")
        hidden = F.relu(self.linear(names, f"{VALUES}.router.0"))
        routing = torch.softmax(self.linear(hidden, f"{VALUES}.router.2"), dim=-1)
        best = routing.topk(config.experts_used, dim=-1)
        kept = torch.zeros_like(routing).scatter(-1, best.indices, best.values)
        for expert in range(config.routed_experts):
            said = self.linear(value, f"{VALUES}.routing_experts.{expert}")
            found = found + kept[..., expert : expert + 1] * said
        return names + found

    def norm(self, x: Tensor, name: str) -> Tensor:
        exact = x.float()
        scaled = exact * torch.rsqrt(exact.pow(2).mean(-1, keepdim=True) + self.config.eps)
        return scaled.to(x.dtype) * self.weights[f"{name}.gamma"]

    def rotate(self, x: Tensor, places: Tensor) -> Tensor:
        """Pairs of channels of (B, L, H, k) turned by places (B, L, 2)."""
        width = self.config.rotary_width
        steps = torch.arange(0, width, 2, device=x.device, dtype=torch.float32)
        frequencies = 1.0 / self.config.rotary_base ** (steps / width)
        angles = (places.repeat(1, 1, width // 4) * frequencies).unsqueeze(2)
        part, rest = x[..., :width].float(), x[..., width:]
        even, odd = part[..., 0::2], part[..., 1::2]
        turned = torch.stack((even * angles.cos() - odd * angles.sin(),
                              even * angles.sin() + odd * angles.cos()), dim=-1)  # fmt: skip
        return torch.cat((turned.flatten(-2).to(x.dtype), rest), dim=-1)

    def __call__(self, tokens: Tensor, values: Tensor, places: Tensor) -> Tensor:
        """Last hidden states, (B, L, d)."""
        x, heads = self.embed(tokens, values), self.config.heads
        for index in range(self.config.layers):
            at = f"layers.{index}"
            u = self.norm(x, f"{at}.norm_attn")
            q, k, v = (
                self.linear(u, f"{at}.self_attn.{name}_proj").view(*u.shape[:2], heads, -1)
                for name in "qkv"
            )
            q, k = self.rotate(q, places), self.rotate(k, places)
            read = F.scaled_dot_product_attention(*(p.transpose(1, 2) for p in (q, k, v)))
            x = x + self.linear(read.transpose(1, 2).flatten(2), f"{at}.self_attn.out_proj")
            u = self.norm(x, f"{at}.norm_ffn")
            gate = F.silu(self.linear(u, f"{at}.ffn.gate_proj"))
            x = x + self.linear(gate * self.linear(u, f"{at}.ffn.up_proj"), f"{at}.ffn.down_proj")
        return x

    def cells(
        self, tokens: Tensor, values: Tensor, places: Tensor, expressed: Tensor, cells: int
    ) -> Tensor:
        """Embeddings of all C cells of every sequence, (B, C, d) float32."""
        hidden = self(tokens, values, places)
        hidden = hidden.view(len(hidden), cells, -1, hidden.shape[-1]).float()
        mask = expressed.view(*hidden.shape[:3], 1).float()
        mean = (hidden * mask).sum(dim=2) / mask.sum(dim=2).clamp(min=1)
        return F.normalize(mean, dim=-1, eps=1e-7)
