"""Weights under their published names, and back. Strict: nothing missing, nothing left over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from tagscope.errors import InputError
from tagscope.models.omnicell.config import OmniCellConfig

SPECIALS = ("<RNA_START>", "<RNA_END>", "<ATAC_START>", "<ATAC_END>")

_GENES = "embedder.gene_embedding.weight"
_VALUES = "embedder.value_embedding"
_NAMES = {"d_model": "width", "num_layers": "layers", "num_shared": "shared_experts",
          "num_routing": "routed_experts", "topk": "experts_used", "base": "rotary_base",
          "heads": "heads", "dropout": "dropout", "eps": "eps"}  # fmt: skip
_OTHERS = ("num_gene", "token_per_cell", "dim", "rotary", "hidden_dim", "multiple_of", "use_flash")


def published_config(said: Mapping[str, Any], *, flash: bool = True) -> OmniCellConfig:
    """The network that an ``LMConfig.json`` describes; what it leaves out is as published.

    ``flash`` False keeps the mathematics of ``use_flash: false``, where there is no attention
    between tokens; a file that says so was run with flash attention all the same if it was trained.

    Raises
    ------
    InputError
        If it holds a name that is unknown here.
    """
    unknown = sorted(set(said) - set(_NAMES) - set(_OTHERS))
    if unknown:
        raise InputError(
            f"The configuration names {', '.join(unknown)}.",
            f"OmniCell's settings are {', '.join(sorted((*_NAMES, *_OTHERS)))}.",
            "Convert a checkpoint of OmniCell, or update TAGscope.",
        )
    sizes = {ours: said[theirs] for theirs, ours in _NAMES.items() if theirs in said}
    config = OmniCellConfig(**sizes, rotary_width=0)
    hidden = said.get("hidden_dim", 2048)
    if hidden is None:
        step = said.get("multiple_of", 512)
        hidden = step * -(-int(2 * 4 * config.width / 3) // step)
    rotary = said.get("dim", 64) if said.get("rotary", True) else 0
    return OmniCellConfig(**sizes, ffn=hidden, rotary_width=rotary, compat="published", flash=flash)


def from_published(weights: Mapping[str, Tensor], config: OmniCellConfig) -> dict[str, Tensor]:
    """State of an :class:`OmniCellNetwork` from published weights.

    Raises
    ------
    InputError
        If a weight is missing, unknown, or of another shape than ``config`` says.
    """
    wanted = dict(_shapes(config))
    missing, unknown = sorted(set(wanted) - set(weights)), sorted(set(weights) - set(wanted))
    if missing or unknown:
        raise InputError(
            f"Of the weights {len(missing)} are missing ({_some(missing)}) and {len(unknown)} are "
            f"not OmniCell's ({_some(unknown)}).",
            "Weights and configuration must be of one training.",
            "Convert the checkpoint with the LMConfig.json beside it.",
        )
    for name, shape in wanted.items():
        found = tuple(weights[name].shape)
        if len(found) != len(shape) or any(
            w not in (f, -1) for f, w in zip(found, shape, strict=True)
        ):
            raise InputError(
                f"The weight {name} has shape {found}.",
                f"By the configuration it should be {shape}.",
                "Convert the checkpoint with the LMConfig.json beside it.",
            )
    return dict(_renamed(weights, config))


def to_published(state: Mapping[str, Tensor], config: OmniCellConfig) -> dict[str, Tensor]:
    """Inverse of :func:`from_published`."""
    found = {
        _GENES: state["genes.weight"],
        f"{_VALUES}.router.0.weight": state["experts.router_in.weight"],
        f"{_VALUES}.router.2.weight": state["experts.router_out.weight"],
        "output.W": state["head"],
    }
    for kind, name in (("shared_experts", "shared"), ("routing_experts", "routed")):
        for index, row in enumerate(state[f"experts.{name}"]):
            found[f"{_VALUES}.{kind}.{index}.weight"] = row.unsqueeze(1)
    for index in range(config.layers):
        ours, theirs = f"layers.{index}", f"layers.{index}"
        found[f"{theirs}.norm_attn.gamma"] = state[f"{ours}.attention_norm"]
        found[f"{theirs}.norm_ffn.gamma"] = state[f"{ours}.feed_norm"]
        found[f"{theirs}.self_attn.out_proj.weight"] = state[f"{ours}.out.weight"]
        found[f"{theirs}.ffn.down_proj.weight"] = state[f"{ours}.down.weight"]
        parts = state[f"{ours}.query_key_value.weight"].chunk(3)
        for letter, part in zip("qkv", parts, strict=True):
            found[f"{theirs}.self_attn.{letter}_proj.weight"] = part
        gate, up = state[f"{ours}.gate_up.weight"].chunk(2)
        found[f"{theirs}.ffn.gate_proj.weight"], found[f"{theirs}.ffn.up_proj.weight"] = gate, up
    return found


def _renamed(weights: Mapping[str, Tensor], config: OmniCellConfig) -> Iterator[tuple[str, Tensor]]:
    def experts(kind: str, count: int) -> Tensor:
        rows = [weights[f"{_VALUES}.{kind}.{index}.weight"][:, 0] for index in range(count)]
        return torch.stack(rows) if rows else torch.zeros(0, config.width)

    yield "genes.weight", weights[_GENES]
    yield "experts.shared", experts("shared_experts", config.shared_experts)
    yield "experts.routed", experts("routing_experts", config.routed_experts)
    yield "experts.router_in.weight", weights[f"{_VALUES}.router.0.weight"]
    yield "experts.router_out.weight", weights[f"{_VALUES}.router.2.weight"]
    for index in range(config.layers):
        at = f"layers.{index}"
        qkv = [weights[f"{at}.self_attn.{letter}_proj.weight"] for letter in "qkv"]
        both = [weights[f"{at}.ffn.{name}_proj.weight"] for name in ("gate", "up")]
        yield f"{at}.attention_norm", weights[f"{at}.norm_attn.gamma"]
        yield f"{at}.query_key_value.weight", torch.cat(qkv)
        yield f"{at}.out.weight", weights[f"{at}.self_attn.out_proj.weight"]
        yield f"{at}.feed_norm", weights[f"{at}.norm_ffn.gamma"]
        yield f"{at}.gate_up.weight", torch.cat(both)
        yield f"{at}.down.weight", weights[f"{at}.ffn.down_proj.weight"]
    yield "head", weights["output.W"]


def _shapes(config: OmniCellConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Published names and shapes; −1 for the number of genes, which the file tells."""
    width, ffn = config.width, config.ffn
    yield _GENES, (-1, width)
    for kind, count in (("shared_experts", config.shared_experts),
                        ("routing_experts", config.routed_experts)):  # fmt: skip
        for index in range(count):
            yield f"{_VALUES}.{kind}.{index}.weight", (width, 1)
    yield f"{_VALUES}.router.0.weight", (width, width)
    yield f"{_VALUES}.router.2.weight", (config.routed_experts, width)
    for index in range(config.layers):
        for name in ("norm_attn", "norm_ffn"):
            yield f"layers.{index}.{name}.gamma", (width,)
        for name in ("q", "k", "v", "out"):
            yield f"layers.{index}.self_attn.{name}_proj.weight", (width, width)
        for name in ("gate", "up"):
            yield f"layers.{index}.ffn.{name}_proj.weight", (ffn, width)
        yield f"layers.{index}.ffn.down_proj.weight", (width, ffn)
    yield "output.W", (width, width)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "") or "none"
