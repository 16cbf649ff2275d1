"""From a labelled reference, or another tool's checkpoint, to a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from tagscope.api.given import AnyPath
from tagscope.core.panel import GenePanel
from tagscope.core.section import Reference, Section
from tagscope.errors import ArgumentError
from tagscope.io.readers import read_reference, read_section
from tagscope.jobs import JobContext
from tagscope.models.bundle import Bundle
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.project import ConvertConfig, convert_project
from tagscope.models.omnicell.checkpoint import (
    OmniCellConvertConfig,
    convert_checkpoint,
    is_omnicell,
)
from tagscope.training.cellmemory import default_model
from tagscope.training.fit import train as _train
from tagscope.training.recipe import TrainConfig, recipe_of


def train(
    reference: Reference | AnyPath,
    label: str | Sequence[str] | None = None,
    *,
    out: AnyPath,
    config: TrainConfig | None = None,
    model_config: CellMemoryConfig | None = None,
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
    panel
        Genes to train on, or the section to annotate later, or its path: the genes shared with it
        are kept, and cells are trained on at its depth and with the background that it shows.
    choices
        As in :func:`read_reference` (``table``, ``layer``, ``where``, ``normalised``,
        ``split_by``).
    """
    if not isinstance(reference, Reference):
        if label is None:
            raise ArgumentError(
                "No label column was given.",
                "A reference file is read with the column that holds its labels.",
                "Name the column.",
                {"label": None},
            )
        reference = read_reference(Path(reference), label, context=context, **choices)
    section = None
    if panel is not None and not isinstance(panel, GenePanel):
        section = panel if isinstance(panel, Section) else read_section(Path(panel))
        panel = section.panel
    return _train(
        reference,
        Path(out),
        config or TrainConfig(),
        model_config=model_config,
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


def network_for(config: TrainConfig, **changes: Any) -> CellMemoryConfig:
    """The network that a training recipe uses, with ``changes`` to its fields."""
    return replace(default_model(recipe_of(config)), **changes)
