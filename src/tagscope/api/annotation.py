"""Labels for the cells of a section."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagscope.api.given import AnyPath, bundle_of
from tagscope.api.sections import write_result
from tagscope.core.results import AnnotationResult
from tagscope.core.section import Section
from tagscope.errors import ArgumentError
from tagscope.inference.annotate import AnnotateConfig
from tagscope.inference.annotate import annotate as _annotate
from tagscope.io.readers import OpenedSection, open_section
from tagscope.jobs import JobContext
from tagscope.models.bundle import Bundle
from tagscope.models.device import choose_device
from tagscope.models.registry import load_model


def annotate(
    section: Section | OpenedSection | AnyPath,
    bundle: Bundle | AnyPath,
    config: AnnotateConfig | None = None,
    *,
    out: AnyPath | None = None,
    first: npt.NDArray[np.int64] | None = None,
    overwrite: bool = False,
    context: JobContext | None = None,
    **choices: Any,
) -> AnnotationResult:
    """Label every cell of a section; with ``out``, also write the annotated store or ``.h5ad``.

    ``first`` (n,) are rows to annotate before the rest (the cells in view). Partial results arrive
    through ``context`` as :class:`PartialAnnotation`.
    """
    if not isinstance(section, (Section, OpenedSection)):
        section = open_section(Path(section), **choices)
    opened = section if isinstance(section, OpenedSection) else None
    snapshot = opened.section if opened is not None else section
    assert isinstance(snapshot, Section)
    if out is not None and opened is None:
        raise ArgumentError(
            "A section without a file behind it cannot be written as a store.",
            "A path or an opened section is needed with out=.",
            "Pass what open_section returned.",
        )
    config = config or AnnotateConfig()
    bundle = bundle_of(bundle)
    inputs = {"bundle": str(bundle.path), "bundle_digest": bundle.digest}
    if opened is not None:
        opened.refuse_errors()
        inputs["section"] = str(opened.source.path)
        chosen = {"layer": opened.source.layer, "where": opened.source.where}
        inputs |= {name: choice for name, choice in chosen.items() if choice}
    if snapshot.cells.normalised:
        inputs["values"] = "log-normalised"
    model = load_model(bundle, choose_device(config.device))
    result = _annotate(snapshot.cells, model, config, first=first, inputs=inputs, context=context)
    if out is not None and opened is not None:
        write_result(opened, result, out, overwrite=overwrite, context=context)
    return result
