"""From a bundle to a model that runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tagscope.errors import BundleError, TagscopeError
from tagscope.models.base import Capability, CellModel
from tagscope.models.bundle import Bundle
from tagscope.models.ensemble import parted_state

if TYPE_CHECKING:
    from tagscope.models.cellpatch.model import CellPatch
    from tagscope.models.omnicell.model import OmniCell

_MISFITS = (TagscopeError, RuntimeError, ValueError, LookupError)  # of weights and configuration


def load_model(bundle: Bundle, device: torch.device) -> CellModel:
    """Build the bundle's model with its weights on ``device``, ready to annotate.

    Raises
    ------
    BundleError
        If the model knows no labels or the weights do not fit its configuration.
    """
    if bundle.model not in _BUILDERS or Capability.ANNOTATE not in bundle.capabilities:
        raise BundleError(
            f"{bundle.path} is a model of kind {bundle.model!r}, which cannot annotate.",
            "Annotating takes a model that was trained with labels.",
            "Train one from a reference, or choose another bundle.",
            {"bundle": None},
        )
    return _BUILDERS[bundle.model](bundle).to(device)


def _cellmemory(bundle: Bundle) -> CellModel:
    from tagscope.models.cellmemory.config import CellMemoryConfig
    from tagscope.models.cellmemory.model import CellMemory
    from tagscope.models.cellmemory.network import CellMemoryNetwork
    from tagscope.models.preprocessing import Preprocessing

    try:
        config = CellMemoryConfig.from_dict(bundle.config)
        networks = []
        states, usual = parted_state(bundle.state(), config.networks)
        for state in states:
            network = CellMemoryNetwork(config, len(bundle.panel), len(bundle.labels))
            network.load_state_dict(state)
            networks.append(network.eval())
    except _MISFITS as error:
        raise _unfit(bundle, error) from error
    preprocessing = Preprocessing.from_dict(bundle.preprocessing)
    first, *others = networks
    temperature = float(bundle.calibration.get("temperature", 1.0))
    return CellMemory(
        first, bundle.panel, bundle.labels, preprocessing,
        others=tuple(others), temperature=temperature, usual=usual, tree=bundle.tree,
    )  # fmt: skip


def load_omnicell(bundle: Bundle, device: torch.device) -> OmniCell:
    """Build an OmniCell with its weights on ``device``.

    Raises
    ------
    BundleError
        If the weights do not fit its configuration.
    """
    from tagscope.models.omnicell.annotator import backbone_state

    return _backbone(bundle, backbone_state(bundle.state())).to(device)


def _omnicell(bundle: Bundle) -> CellModel:
    from tagscope.models.omnicell.annotator import (
        OmniCellAnnotator,
        backbone_state,
        parted_heads,
    )
    from tagscope.models.omnicell.config import HeadConfig
    from tagscope.models.omnicell.head import LabelHead

    state = bundle.state()
    omnicell = _backbone(bundle, backbone_state(state))
    try:
        config, heads = HeadConfig.from_dict(bundle.config["head"]), []
        states, usual = parted_heads(state, config.networks)
        for weights in states:
            head = LabelHead(config, omnicell.config.width, len(bundle.labels))
            head.load_state_dict(weights)
            heads.append(head.eval())
    except _MISFITS as error:
        raise _unfit(bundle, error) from error
    temperature = float(bundle.calibration.get("temperature", 1.0))
    return OmniCellAnnotator(
        omnicell, tuple(heads), bundle.labels, temperature, usual, bundle.tree
    )  # fmt: skip


def load_cellpatch(bundle: Bundle, device: torch.device) -> CellPatch:
    """Build a CellPatch with its weights on ``device``, with or without labels.

    Raises
    ------
    BundleError
        If the weights do not fit its configuration.
    """
    from tagscope.models.cellpatch.config import CellPatchConfig
    from tagscope.models.cellpatch.model import CellPatch
    from tagscope.models.cellpatch.network import SPARE, CellPatchNetwork
    from tagscope.models.cellpatch.tokenise import CellPatchPreprocessing

    state = bundle.state()
    state.pop(SPARE, None)
    try:
        config, networks = CellPatchConfig.from_dict(bundle.config), []
        states, usual = parted_state(state, config.networks)
        for weights in states:
            network = CellPatchNetwork(config, len(bundle.panel), len(bundle.labels))
            network.load_state_dict(weights)
            networks.append(network.to(device).eval())
        preprocessing = CellPatchPreprocessing.from_dict(bundle.preprocessing)
    except _MISFITS as error:
        raise _unfit(bundle, error) from error
    return CellPatch(
        tuple(networks), bundle.panel, bundle.labels, preprocessing, bundle.capabilities,
        float(bundle.calibration.get("temperature", 1.0)), usual, bundle.tree,
    )  # fmt: skip


def _cellpatch(bundle: Bundle) -> CellModel:
    return load_cellpatch(bundle, torch.device("cpu"))


def _backbone(bundle: Bundle, state: dict[str, Tensor]) -> OmniCell:
    from tagscope.models.omnicell.config import OmniCellConfig
    from tagscope.models.omnicell.model import OmniCell, neighbours_of, pooling_of
    from tagscope.models.omnicell.network import OmniCellNetwork

    settings = {name: value for name, value in bundle.config.items() if name != "head"}
    try:
        config = OmniCellConfig.from_dict(settings)
        network = OmniCellNetwork(config, len(state["genes.weight"]))
        network.load_state_dict(state)
    except _MISFITS as error:
        raise _unfit(bundle, error) from error
    unit = float(bundle.preprocessing["um_per_unit"])
    pooling = pooling_of(bundle.preprocessing)
    neighbours = neighbours_of(bundle.preprocessing)
    return OmniCell(network.eval(), bundle.panel, unit, pooling, neighbours)


def _unfit(bundle: Bundle, error: Exception) -> BundleError:
    return BundleError(
        f"The weights of {bundle.path} do not fit its configuration ({error}).",
        "Both must come from one training.",
        "Train or copy the model again.",
    )


_BUILDERS: dict[str, Callable[[Bundle], CellModel]] = {
    "cellmemory": _cellmemory, "cellpatch": _cellpatch, "omnicell": _omnicell,
}  # fmt: skip
