"""Labels for the cells of a section."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagscope.api.given import AnyPath, bundle_of
from tagscope.api.sections import write_result
from tagscope.core.keys import Slots
from tagscope.core.results import AnnotationResult, refuse_existing
from tagscope.core.section import Section
from tagscope.errors import ArgumentError, OutputError, TagscopeError
from tagscope.inference.annotate import AnnotateConfig
from tagscope.inference.annotate import annotate as _annotate
from tagscope.io.beforehand import refuse_beforehand
from tagscope.io.h5ad import READ_ERRORS
from tagscope.io.readers import OpenedSection, open_section
from tagscope.io.rescue import keep_elsewhere
from tagscope.jobs import JobContext
from tagscope.models.bundle import Bundle
from tagscope.models.device import choose_device
from tagscope.models.registry import load_model

_LEAST_PACKED = 0.25  # what compression leaves of probabilities, at the very best


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

    What would forbid writing to ``out`` is told before anything is computed, as far as it can be
    known. If writing fails all the same, the result is kept in an ``.h5ad`` in the current folder,
    or that of temporary files, which the error names.
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
        names = ("layer", "where", "genes", "orthologues")
        chosen = {name: getattr(opened.source, name) for name in names}
        inputs |= {name: str(choice) for name, choice in chosen.items() if choice}
    if snapshot.cells.normalised:
        inputs["values"] = "log-normalised"
    if out is not None and opened is not None:
        _refuse_beforehand(opened, bundle, config.key, out, overwrite)
    model = load_model(bundle, choose_device(config.device))
    result = _annotate(snapshot.cells, model, config, first=first, inputs=inputs, context=context)
    if out is not None and opened is not None:
        _write_or_keep(opened, result, out, overwrite, context)
    return result


def _refuse_beforehand(
    opened: OpenedSection, bundle: Bundle, key: str, out: AnyPath, overwrite: bool
) -> None:
    label = Slots(key).label
    refuse_existing(label in opened.table.obs, "obs", label, overwrite)
    probabilities = np.dtype(np.float32).itemsize * len(opened.section) * len(bundle.labels)
    size = int(probabilities * _LEAST_PACKED)
    refuse_beforehand(opened, Path(out), size=size, overwrite=overwrite)


def _write_or_keep(
    opened: OpenedSection,
    result: AnnotationResult,
    out: AnyPath,
    overwrite: bool,
    context: JobContext | None,
) -> None:
    """Write a result; one that cannot be written is kept elsewhere before the error is raised."""
    try:
        write_result(opened, result, out, overwrite=overwrite, context=context)
    except (TagscopeError, MemoryError, *READ_ERRORS) as error:
        failure = _failure(error, out)
        kept = keep_elsewhere(
            opened,
            lambda table: result.write_to(table, overwrite=True),
            result.key,
            context=context,
        )
        if kept is None:
            raise type(failure)(
                failure.found,
                "The result is lost: the folders of work and of temporary files do not take it.",
                failure.fix,
                failure.choices,
            ) from error
        raise type(failure)(
            failure.found,
            f"The result is not lost: {kept} holds it, in a copy of the section's table.",
            f"Go on with that file as with any section: tagscope view {shlex.quote(str(kept))}.",
        ) from error


def _failure(error: Exception, out: AnyPath) -> TagscopeError:
    if isinstance(error, TagscopeError):
        return error
    return OutputError(
        f"{out} could not be written ({type(error).__name__}: {error}).",
        "The section must be readable, and its folder writable.",
        "Mend that, and annotate again.",
    )
