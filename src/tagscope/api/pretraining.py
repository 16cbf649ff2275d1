"""From cells without labels to a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from tagscope.api.given import AnyPath, bundle_of
from tagscope.core.section import Cells, Section
from tagscope.errors import ArgumentError
from tagscope.io.cell_source import CellSource, h5ad_source, source_of
from tagscope.io.kinds import kind_of
from tagscope.io.readers import read_section
from tagscope.jobs import JobContext
from tagscope.models.bundle import Bundle
from tagscope.training.pretrain import Pretrained
from tagscope.training.pretrain import pretrain as _pretrain
from tagscope.training.pretrain_recipe import PretrainConfig

_OF_AN_H5AD = ("layer", "where", "sections", "um_per_unit")


def pretrain(
    data: Section | Cells | AnyPath | Sequence[Section | Cells | AnyPath],
    model: Pretrained = "omnicell",
    *,
    out: AnyPath,
    config: PretrainConfig | None = None,
    init: Bundle | AnyPath | None = None,
    resume: bool = False,
    overwrite: bool = False,
    context: JobContext | None = None,
    **choices: Any,
) -> Bundle:
    """Train a model on cells without labels, and keep the best weights as a bundle.

    Parameters
    ----------
    data
        Sections, or their paths: one or several. The values of an ``.h5ad`` are left on disk; one
        without coordinates holds dissociated cells, which are read alone.
    init
        A bundle whose weights are gone on from: OmniCell's over its genes, CellPatch's also over
        those that are new.
    resume
        Go on with a training that was interrupted, to the same numbers as without a break.
    choices
        As in :func:`open_section`; of an ``.h5ad`` ``layer``, ``where``, ``sections`` and
        ``um_per_unit``.
    """
    if model not in get_args(Pretrained):
        raise ArgumentError(
            f"Models of kind {model!r} cannot be pretrained.",
            f"Those of {' and '.join(get_args(Pretrained))} can.",
            "Choose another model.",
            {"model": "omnicell"},
        )
    given = data if isinstance(data, Sequence) and not isinstance(data, str) else [data]
    if not given:
        raise ArgumentError(
            "No data were given.", "Cells are needed.", "Give a section.", {"data": None}
        )
    return _pretrain(
        [_source(one, choices) for one in given],
        Path(out),
        config,
        model=model,
        init=None if init is None else bundle_of(init),
        resume=resume,
        overwrite=overwrite,
        context=context,
    )


def _source(given: Section | Cells | AnyPath, choices: dict[str, Any]) -> CellSource:
    if isinstance(given, (Section, Cells)):
        return source_of(given)
    path = Path(given)
    if kind_of(path) != "h5ad":
        return source_of(read_section(path, **choices), path.name)
    asked = {name: choice for name, choice in choices.items() if choice}
    foreign = sorted(set(asked) - {*_OF_AN_H5AD, "normalised"})
    if foreign:
        raise ArgumentError(
            f"{path} is an .h5ad, of which {', '.join(foreign)} cannot be chosen here.",
            f"Of an .h5ad these can be: {', '.join(_OF_AN_H5AD)}.",
            "Leave it out, or give a store.",
            dict.fromkeys(foreign),
        )
    return h5ad_source(path, **{name: asked[name] for name in _OF_AN_H5AD if name in asked})
