"""From a labelled reference, or another tool's checkpoint, to a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from tagscope.api.given import AnyPath, bundle_of
from tagscope.core.panel import GenePanel
from tagscope.core.section import Reference, Section
from tagscope.errors import ArgumentError
from tagscope.io.readers import read_reference, read_section
from tagscope.jobs import JobContext
from tagscope.models.base import Capability
from tagscope.models.bundle import Bundle
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.project import ConvertConfig, convert_project
from tagscope.models.omnicell.checkpoint import (
    OmniCellConvertConfig,
    convert_checkpoint,
    is_omnicell,
)
from tagscope.models.omnicell.config import HeadConfig
from tagscope.training.cellmemory import default_model
from tagscope.training.fit import train as _train
from tagscope.training.head import default_head
from tagscope.training.recipe import TrainConfig, Trained, recipe_of


def train(
    reference: Reference | AnyPath,
    label: str | Sequence[str] | None = None,
    model: Trained = "cellmemory",
    *,
    out: AnyPath,
    config: TrainConfig | None = None,
    model_config: CellMemoryConfig | HeadConfig | None = None,
    init: Bundle | AnyPath | None = None,
    panel: GenePanel | Section | AnyPath | None = None,
    resume: bool = False,
    overwrite: bool = False,
    context: JobContext | None = None,
    **choices: Any,
) -> Bundle:
    """Train a model on a labelled reference and keep the best weights as a bundle.

    Parameters
    ----------
    reference, label
        A :class:`Reference`, or a path and the ``obs`` column that holds the labels; several
        columns, coarse to fine, are learned together and never contradict each other.
    model, init
        ``cellmemory`` learns from the reference alone; ``omnicell`` learns to tell labels from the
        embeddings that ``init`` gives its cells, a bundle of OmniCell that was pretrained or
        converted.
    model_config
        Settings of the network, :class:`CellMemoryConfig` or :class:`HeadConfig`
        (:func:`network_for`).
    panel
        Genes to train on, or the section to annotate later, or its path: the genes shared with it
        are kept, and cells are trained on at its depth and with the background that it shows.
    choices
        As in :func:`read_reference` (``table``, ``layer``, ``where``, ``normalised``,
        ``split_by``).
    """
    backbone = _backbone_of(model, init)
    if not isinstance(reference, Reference):
        columns = _columns(label)
        reference = read_reference(Path(reference), columns, context=context, **choices)
    section = None
    if panel is not None and not isinstance(panel, GenePanel):
        section = panel if isinstance(panel, Section) else read_section(Path(panel))
        panel = section.panel
    return _train(
        reference,
        Path(out),
        config or TrainConfig(),
        model_config=model_config,
        init=backbone,
        panel=panel,
        section=section.cells if section is not None else None,
        resume=resume,
        overwrite=overwrite,
        context=context,
    )


def convert(
    checkpoint: AnyPath,
    model: Literal["cellmemory", "omnicell"] | None = None,
    *,
    out: AnyPath,
    config: ConvertConfig | OmniCellConvertConfig | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Make a bundle of an original tool's checkpoint; it gives that tool's numbers.

    ``checkpoint`` is the folder that the original leaves: CellMemory's project folder, or that with
    OmniCell's ``LMConfig.json``; ``model`` is told by it. What it does not hold is in ``config``.
    """
    path = Path(checkpoint)
    if model is None:
        model = "omnicell" if is_omnicell(path) else "cellmemory"
    if model not in ("cellmemory", "omnicell"):
        raise ArgumentError(
            f"Checkpoints of {model!r} cannot be converted.",
            "Those of cellmemory and omnicell can.",
            "Choose another model.",
            {"model": None},
        )
    wanted = ConvertConfig if model == "cellmemory" else OmniCellConvertConfig
    if config is not None and not isinstance(config, wanted):
        raise ArgumentError(
            f"The settings are not those of converting {model}.",
            f"A {wanted.__name__} is needed.",
            "Give that, or leave it out.",
            {"model": None},
        )
    if model == "omnicell":
        asked = config if isinstance(config, OmniCellConvertConfig) else None
        return convert_checkpoint(path, Path(out), asked, overwrite=overwrite)
    own = config if isinstance(config, ConvertConfig) else None
    return convert_project(path, Path(out), own, overwrite=overwrite)


def network_for(
    config: TrainConfig, model: Trained = "cellmemory", **changes: Any
) -> CellMemoryConfig | HeadConfig:
    """The network that a training recipe uses, with ``changes`` to its fields.

    Raises
    ------
    ArgumentError
        If one of them is a field of another model's.
    """
    recipe = recipe_of(config, model)
    usual = default_head(recipe) if model == "omnicell" else default_model(recipe)
    foreign = sorted(set(changes) - {field.name for field in fields(usual)})
    if foreign:
        raise ArgumentError(
            f"A training of {model} has no {', '.join(foreign)}.",
            "Only settings of the model that is trained can be given.",
            "Leave it out, or train another model.",
            dict.fromkeys(foreign, False),
        )
    return replace(usual, **changes)


def _columns(label: str | Sequence[str] | None) -> str | Sequence[str]:
    if label is None:
        raise ArgumentError(
            "No label column was given.",
            "A reference file is read with the column that holds its labels.",
            "Name the column.",
            {"label": None},
        )
    return label


def _backbone_of(model: Trained, init: Bundle | AnyPath | None) -> Bundle | None:
    """The OmniCell that a training starts from, None where it needs none."""
    if model not in get_args(Trained):
        raise ArgumentError(
            f"Models of kind {model!r} cannot be trained.",
            f"Those of {' and '.join(get_args(Trained))} can.",
            "Choose another model.",
            {"model": None},
        )
    if model == "cellmemory":
        if init is None:
            return None
        raise ArgumentError(
            "A CellMemory was to start from a bundle.",
            "It learns from the reference alone; an OmniCell's labels start from one.",
            "Leave the bundle out, or train an OmniCell.",
            {"init": False, "model": "omnicell"},
        )
    if init is None:
        raise ArgumentError(
            "An OmniCell was to learn labels from nothing.",
            "A bundle of OmniCell that was pretrained or converted is needed.",
            "Name it; pretraining on the section itself makes one.",
            {"init": None},
        )
    bundle = bundle_of(init)
    if bundle.model != model or Capability.ANNOTATE in bundle.capabilities:
        raise ArgumentError(
            f"{bundle.path} is a model of kind {bundle.model!r} that knows labels already.",
            "A bundle of OmniCell that was pretrained or converted is needed.",
            "Choose one; the record of a bundle with labels names that it was made of.",
            {"init": None},
        )
    return bundle
