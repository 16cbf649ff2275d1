"""Weights under their published names, and back. Strict: nothing missing, nothing left over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from tagscope.errors import InputError
from tagscope.models.cellpatch.config import CellPatchConfig

GENES = "gene2vector.weight"
_UNUSED = ("count2vector_norm.weight", "count2vector_norm.bias")  # by the published code itself
_HEAD = {"lp_fc1": "head.first", "lp_fc2": "head.second", "lp_fc3": "head.last"}
_BOTTLENECK = {"lp_linear_probe_0": "head.back", "lp_norm": "head.norm"}


def from_published(
    weights: Mapping[str, Tensor], config: CellPatchConfig, rows: Sequence[int], *, labels: int = 0
) -> dict[str, Tensor]:
    """State of a :class:`CellPatchNetwork` from published weights.

    ``rows`` of the published table of genes are kept, in this order, and its row of padding.

    Raises
    ------
    InputError
        If a weight is missing, unknown, or of another shape than ``config`` says.
    """
    shapes = dict(_shapes(config, labels))
    names = dict(_names(config, labels))
    spare = set(_spare(labels))
    missing = sorted(set(names) - set(weights))
    unknown = sorted(set(weights) - set(names) - spare)
    if missing or unknown:
        raise InputError(
            f"Of the weights {len(missing)} are missing ({_some(missing)}) and {len(unknown)} are "
            f"not CellPatch's ({_some(unknown)}).",
            "Weights and configuration must be of one training.",
            "Convert the checkpoint with the configuration that it was trained with.",
        )
    state = {names[name]: weights[name] for name in names}
    for theirs, ours in names.items():
        found, wanted = tuple(state[ours].shape), shapes[ours]
        if found != wanted and not (theirs == GENES and found[1:] == wanted[1:]):
            raise InputError(
                f"The weight {theirs} has shape {found}.",
                f"By the configuration it should be {wanted}.",
                "Convert the checkpoint with the configuration that it was trained with.",
            )
    state["patches"] = state["patches"][0]
    kept = torch.tensor([*rows, 0])
    if int(kept.max()) >= len(state["genes.weight"]):
        raise InputError(
            f"The vocabulary names row {int(kept.max())}, the weights have "
            f"{len(state['genes.weight'])}.",
            "Both must be of one training.",
            "Find the vocabulary that goes with the checkpoint.",
            {"vocabulary": None},
        )
    state["genes.weight"] = state["genes.weight"][kept]
    return state


def to_published(
    state: Mapping[str, Tensor], config: CellPatchConfig, rows: Sequence[int], table: Tensor,
    *, labels: int = 0,
) -> dict[str, Tensor]:  # fmt: skip
    """Inverse of :func:`from_published`, into the rows of ``table`` (V', d)."""
    found = {theirs: state[ours] for theirs, ours in _names(config, labels)}
    found["pathway_token"] = state["patches"].unsqueeze(0)
    whole = table.clone()
    whole[torch.tensor([*rows, 0])] = state["genes.weight"]
    found[GENES] = whole
    return found


def encoder_names(config: CellPatchConfig) -> Iterator[tuple[str, str]]:
    """Published names of the weights that make patches, and ours."""
    yield "pathway_token", "patches"
    yield GENES, "genes.weight"
    yield from _both("count2vector", "value")
    yield from _layer("cross_extract_blocks", "", "gather")
    for index in range(config.layers):
        yield from _layer("self_extract_blocks", f".{index}", f"layers.{index}")


def _names(config: CellPatchConfig, labels: int) -> Iterator[tuple[str, str]]:
    """Published names of all weights that are read, and ours."""
    yield from encoder_names(config)
    if config.projection and (not labels or config.bottleneck):
        yield from _both("encoder_projection", "projection")
    if labels:
        for theirs, ours in (_HEAD | (_BOTTLENECK if config.bottleneck else {})).items():
            yield from _both(theirs, ours)
        return
    if config.projection:
        yield from _both("decoder_reverse_projection", "decoder.back")
    yield from _layer("decoder_extract_blocks", "", "decoder.across")
    for index in range(config.decoder_layers):
        yield from _layer("decoder_selfattn_blocks", f".{index}", f"decoder.layers.{index}")
    yield from _both("decoder_projection", "decoder.value")


def _spare(labels: int) -> Iterator[str]:
    """Published names of weights that may be there and are read by nothing."""
    yield from _UNUSED
    if labels:
        for theirs in ("encoder_projection", "decoder_reverse_projection", *_BOTTLENECK):
            yield from (name for name, _ in _both(theirs, ""))


def _both(theirs: str, ours: str) -> Iterator[tuple[str, str]]:
    for part in ("weight", "bias"):
        yield f"{theirs}.{part}", f"{ours}.{part}"


def _layer(theirs: str, index: str, ours: str) -> Iterator[tuple[str, str]]:
    for part in ("weight", "bias"):
        yield f"{theirs}_attn{index}.in_proj_{part}", f"{ours}.query_key_value.{part}"
    yield from _both(f"{theirs}_attn{index}.out_proj", f"{ours}.out")
    yield from _both(f"{theirs}_attn_norm{index}", f"{ours}.attention_norm")
    yield from _both(f"{theirs}_mlp{index}.0", f"{ours}.up")
    yield from _both(f"{theirs}_mlp{index}.2", f"{ours}.down")
    yield from _both(f"{theirs}_mlp_norm{index}", f"{ours}.feed_norm")


def _shapes(config: CellPatchConfig, labels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Our names and the shapes of what is stored, the number of genes aside."""
    from tagscope.models.cellpatch.network import CellPatchNetwork

    with torch.device("meta"):
        network = CellPatchNetwork(config, 0, labels)
    for name, value in network.state_dict().items():
        yield name, (1, *value.shape) if name == "patches" else tuple(value.shape)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "") or "none"
