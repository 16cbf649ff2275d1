"""From a labelled reference to a bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from tagscope.api.given import AnyPath, bundle_of
from tagscope.core.panel import GenePanel
from tagscope.core.section import Reference, Section
from tagscope.errors import ArgumentError
from tagscope.io.readers import read_reference, read_section
from tagscope.jobs import JobContext
from tagscope.models.bundle import Bundle
from tagscope.training.cellmemory import default_model
from tagscope.training.cellpatch import default_patches
from tagscope.training.fit import ModelConfig, refuse_start
from tagscope.training.fit import train as _train
from tagscope.training.head import default_head
from tagscope.training.recipe import Recipe, TrainConfig, Trained, recipe_of


def train(
    reference: Reference | AnyPath,
    label: str | Sequence[str] | None = None,
    model: Trained = "cellmemory",
    *,
    out: AnyPath,
    config: TrainConfig | None = None,
    model_config: ModelConfig | None = None,
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
        ``cellmemory`` learns from the reference alone, and so does ``cellpatch``, or it goes on
        from ``init``, a bundle of CellPatch; ``omnicell`` learns to tell labels from the embeddings
        that ``init`` gives its cells, a bundle of OmniCell that was pretrained or converted.
    model_config
        Settings of the network, :class:`CellMemoryConfig`, :class:`CellPatchConfig` or
        :class:`HeadConfig` (:func:`network_for`).
    panel
        Genes to train on, or the section to annotate later, or its path: the genes shared with it
        are kept, and cells are trained on at its depth and with the background that it shows.
    choices
        As in :func:`read_reference` (``table``, ``layer``, ``where``, ``normalised``,
        ``split_by``).
    """
    started = None if init is None else bundle_of(init)
    refuse_start(model, started)
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
        model=model,
        model_config=model_config,
        init=started,
        panel=panel,
        section=section.cells if section is not None else None,
        resume=resume,
        overwrite=overwrite,
        context=context,
    )


def network_for(config: TrainConfig, model: Trained = "cellmemory", **changes: Any) -> ModelConfig:
    """The network that a training recipe uses, with ``changes`` to its fields.

    Raises
    ------
    ArgumentError
        If one of them is a field of another model's.
    """
    recipe = recipe_of(config, model)
    usual = _USUAL[model](recipe)
    foreign = sorted(set(changes) - {field.name for field in fields(usual)})
    if foreign:
        raise ArgumentError(
            f"A training of {model} has no {', '.join(foreign)}.",
            "Only settings of the model that is trained can be given.",
            "Leave it out, or train another model.",
            dict.fromkeys(foreign, False),
        )
    return replace(usual, **changes)


_USUAL: dict[Trained, Callable[[Recipe], ModelConfig]] = {
    "cellmemory": default_model, "cellpatch": default_patches, "omnicell": default_head,
}  # fmt: skip


def _columns(label: str | Sequence[str] | None) -> str | Sequence[str]:
    if label is None:
        raise ArgumentError(
            "No label column was given.",
            "A reference file is read with the column that holds its labels.",
            "Name the column.",
            {"label": None},
        )
    return label
