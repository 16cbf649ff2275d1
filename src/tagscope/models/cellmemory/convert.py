"""Weights under the published names, and under ours.

Three published parameters never reach a prediction and are dropped: the memory head, a second
table of positions, and the key bias, which cancels in both softmaxes. Written out again they are
zeros, or the fixed values they have in every published checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from tagscope.errors import InputError
from tagscope.models.cellmemory.config import CellMemoryConfig, Mode
from tagscope.models.cellmemory.network import CellMemoryNetwork, sinusoid

_MEMORY = "transformer.enc.self_attn.relational_memory."
_SAME_VALUES = {
    "embedding_norm.weight": "embedding.layer_norm.weight",
    "embedding_norm.bias": "embedding.layer_norm.bias",
    "layer.input_norm.weight": "transformer.enc.self_attn_layer_norm.weight",
    "layer.input_norm.bias": "transformer.enc.self_attn_layer_norm.bias",
    "layer.input.weight": _MEMORY + "input_projector.weight",
    "layer.input.bias": _MEMORY + "input_projector.bias",
    "layer.query.weight": _MEMORY + "query_proj.weight",
    "layer.query.bias": _MEMORY + "query_proj.bias",
    "layer.key.weight": _MEMORY + "key_proj.weight",
    "layer.value.weight": _MEMORY + "value_proj.weight",
    "layer.value.bias": _MEMORY + "value_proj.bias",
    "layer.memory_norm.weight": _MEMORY + "attended_memory_layernorm.weight",
    "layer.memory_norm.bias": _MEMORY + "attended_memory_layernorm.bias",
    "layer.memory_mlp.weight": _MEMORY + "attention_mlp.0.weight",
    "layer.memory_mlp.bias": _MEMORY + "attention_mlp.0.bias",
    "layer.memory_mlp_norm.weight": _MEMORY + "attended_memory_layernorm2.weight",
    "layer.memory_mlp_norm.bias": _MEMORY + "attended_memory_layernorm2.bias",
    "layer.gate_scale": _MEMORY + "input_gate_projector.w",
    "layer.gate_input.weight": _MEMORY + "input_gate_projector.linear.weight",
    "layer.gate_input.bias": _MEMORY + "input_gate_projector.linear.bias",
    "layer.gate_memory": _MEMORY + "memory_gate_projector.weight",
    "layer.gate_bias": _MEMORY + "memory_gate_projector.bias",
    "layer.input_bias": _MEMORY + "input_bias",
    "layer.forget_bias": _MEMORY + "forget_bias",
    "layer.feed_norm.weight": "transformer.enc.final_layer_norm.weight",
    "layer.feed_norm.bias": "transformer.enc.final_layer_norm.bias",
    "layer.feed_in.weight": "transformer.enc.fc1.weight",
    "layer.feed_in.bias": "transformer.enc.fc1.bias",
    "layer.feed_out.weight": "transformer.enc.fc2.weight",
    "layer.feed_out.bias": "transformer.enc.fc2.bias",
    "head.weight": "mlp_head.weight",
    "head.bias": "mlp_head.bias",
}
_TOKENS = "embedding.token_embedding.weight"
_GENES: dict[Mode, str] = {
    "expressed": "embedding.gene_ids_embedding.weight",
    "full": "embedding.position_embedding.weight",
}
_POSITIONS = ("transformer.pe.", _MEMORY + "input_gate_projector.pe.")
_KEY_WIDTH = 32  # of one head, whatever the published settings say
_SIZED = {
    "cls_token": 3, _TOKENS: 2, _MEMORY + "query_proj.weight": 2, "transformer.enc.fc1.weight": 2,
    _MEMORY + "memory_gate_projector.weight": 3, "mlp_head.weight": 2,
}  # fmt: skip
_SAME_POSITIONS = 1e-5


@dataclass(frozen=True)
class PublishedSizes:
    """What the shapes of published weights tell; the number of layers is not among it."""

    mode: Mode
    max_bin: int
    width: int
    ffn: int
    heads: int
    slots: int
    genes: int
    labels: int


def published_sizes(state: Mapping[str, Tensor]) -> PublishedSizes:
    """Sizes of published weights.

    Raises
    ------
    InputError
        If a tensor that tells a size is missing or impossible, or the mode is not plain.
    """
    modes = [mode for mode, key in _GENES.items() if key in state]
    if len(modes) != 1:
        tables = " and ".join(_GENES.values())
        _refuse([f"of {tables} it has {'both' if modes else 'neither'}"])
    sized = {**_SIZED, _GENES[modes[0]]: 2}
    wrong = [f"{key} is missing" for key in sized if key not in state]
    wrong += [
        f"{key} has {state[key].ndim} dimensions and not {dimensions}"
        for key, dimensions in sized.items()
        if key in state and state[key].ndim != dimensions
    ]
    _refuse(wrong)
    full = modes[0] == "full"
    query_rows, width = state[_MEMORY + "query_proj.weight"].shape
    sizes = PublishedSizes(
        mode=modes[0],
        max_bin=len(state[_TOKENS]) - (2 if full else 1),
        width=width,
        ffn=len(state["transformer.enc.fc1.weight"]),
        heads=query_rows // _KEY_WIDTH,
        slots=len(state[_MEMORY + "memory_gate_projector.weight"]),
        genes=len(state[_GENES[modes[0]]]) - (1 if full else 2),
        labels=len(state["mlp_head.weight"]),
    )
    _refuse(_impossible(sizes, query_rows))
    return sizes


def _impossible(sizes: PublishedSizes, query_rows: int) -> list[str]:
    wrong = [] if query_rows % _KEY_WIDTH == 0 else [f"{query_rows} query rows are not heads of 32"]
    if not sizes.heads or sizes.width % sizes.heads or sizes.width % 2:
        wrong.append(f"a width of {sizes.width} does not go with {sizes.heads} heads")
    counts = {"genes": sizes.genes, "labels": sizes.labels, "ffn": sizes.ffn, "slots": sizes.slots}
    wrong += [f"{name} would be {count}" for name, count in counts.items() if count < 1]
    return wrong if sizes.max_bin >= 2 else [*wrong, f"max_bin would be {sizes.max_bin}"]


def check_fixed(state: Mapping[str, Tensor], config: CellMemoryConfig) -> None:
    """Check the tensors that no training changes, of which :func:`from_published` keeps its own.

    Raises
    ------
    InputError
        If padding is not zero, or the sinusoid not the published one, where predictions see them.
    """
    wrong = []
    if config.mode == "full":
        positions = state[_POSITIONS[0] + "pe"][0]
        expected = sinusoid(len(positions), config.width)
        if not torch.allclose(positions, expected, rtol=0, atol=_SAME_POSITIONS):
            wrong.append(f"{_POSITIONS[0]}pe is not the published sinusoid")
    else:
        for key, row in ((_TOKENS, 0), (_GENES["expressed"], -1)):
            if state[key][row].any():
                wrong.append(f"the row of {key} for padding is not zero")
    _refuse(wrong)


def published_name(ours: str, config: CellMemoryConfig) -> str:
    """The published key of one of our parameters."""
    special = {
        "cls": "cls_token",
        "tokens.weight": _TOKENS,
        "genes.weight": _GENES[config.mode],
        "position_weight": _POSITIONS[0] + "pos_emb_weight",
    }
    return special.get(ours) or _SAME_VALUES[ours]


def from_published(
    state: Mapping[str, Tensor], config: CellMemoryConfig, genes: int, labels: int
) -> dict[str, Tensor]:
    """Our state dict of a published one.

    Raises
    ------
    InputError
        If a key is missing or unknown, or a tensor has another shape than ``config``, ``genes``
        and ``labels`` ask for.
    """
    _check(state, published_shapes(config, genes, labels))
    ours = {name: state[key].detach().clone() for name, key in _SAME_VALUES.items()}
    ours["cls"] = state["cls_token"].detach().reshape(-1).clone()
    ours["tokens.weight"] = state[_TOKENS].detach()[: config.max_bin + 1].clone()
    ours["genes.weight"] = state[_GENES[config.mode]].detach()[: genes + 1].clone()
    ours["genes.weight"][0] = 0.0
    if config.mode == "full":
        ours["position_weight"] = state[_POSITIONS[0] + "pos_emb_weight"].detach()[0].clone()
    else:
        ours["tokens.weight"][0] = 0.0
    return ours


def to_published(state: Mapping[str, Tensor], config: CellMemoryConfig) -> dict[str, Tensor]:
    """Inverse of :func:`from_published`, the unused parameters included."""
    genes, labels = len(state["genes.weight"]) - 1, len(state["head.weight"])
    shapes = published_shapes(config, genes, labels)
    published = {key: torch.zeros(shape) for key, shape in shapes.items()}
    for name, key in _SAME_VALUES.items():
        published[key] = state[name].detach().clone()
    published["cls_token"] = state["cls"].detach().reshape(1, 1, -1).clone()
    published[_TOKENS][: config.max_bin + 1] = state["tokens.weight"].detach()
    published[_GENES[config.mode]][: genes + 1] = state["genes.weight"].detach()
    for prefix in _POSITIONS:
        published[prefix + "pe"] = sinusoid(genes + 1, config.width).unsqueeze(0)
        published[prefix + "pos_emb_weight"] = torch.ones(1, genes + 1, config.width)
    if config.mode == "full":
        published[_POSITIONS[0] + "pos_emb_weight"][0] = state["position_weight"].detach()
    return published


def published_shapes(
    config: CellMemoryConfig, genes: int, labels: int
) -> dict[str, tuple[int, ...]]:
    """Every published key with its shape."""
    with torch.device("meta"):
        ours = CellMemoryNetwork(config, genes, labels).state_dict()
    shapes = {key: tuple(ours[name].shape) for name, key in _SAME_VALUES.items()}
    full, width = config.mode == "full", config.width
    shapes["cls_token"] = (1, 1, width)
    shapes[_TOKENS] = (config.max_bin + (2 if full else 1), width)
    shapes[_GENES[config.mode]] = (genes + (1 if full else 2), width)
    shapes[_MEMORY + "key_proj.bias"] = (config.heads * config.key_width,)
    shapes["memory_mlp.weight"] = (width, config.slots * width)
    shapes["memory_mlp.bias"] = (width,)
    for prefix in _POSITIONS:
        shapes[prefix + "pos_emb_weight"] = shapes[prefix + "pe"] = (1, genes + 1, width)
    return shapes


def _check(state: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    missing = (f"{key} is missing" for key in sorted(set(shapes) - set(state)))
    unknown = (f"{key} is unknown" for key in sorted(set(state) - set(shapes)))
    other = (
        f"{key} is {tuple(state[key].shape)} and not {shape}"
        for key, shape in sorted(shapes.items())
        if key in state and tuple(state[key].shape) != shape
    )
    _refuse(list(chain(missing, unknown, other)))


def _refuse(wrong: list[str]) -> None:
    if wrong:
        raise InputError(
            f"The weights do not fit: {'; '.join(wrong[:5])}{' …' if len(wrong) > 5 else ''}.",
            "A CellMemory checkpoint of the stated mode and sizes is needed.",
            "Check mode, layers, heads and the lists of genes and labels that go with the file.",
        )
