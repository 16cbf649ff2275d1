"""Labels for the cells of a section."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagscope.api.given import AnyPath, bundle_of, opened_of, said_of
from tagscope.api.keeping import write_or_keep
from tagscope.core.keys import Slots
from tagscope.core.results import AnnotationResult, refuse_existing
from tagscope.core.section import Section
from tagscope.inference.annotate import AnnotateConfig
from tagscope.inference.annotate import annotate as _annotate
from tagscope.io.beforehand import refuse_beforehand
from tagscope.io.readers import OpenedSection
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
    snapshot, opened = opened_of(section, out, choices)
    config = config or AnnotateConfig()
    bundle = bundle_of(bundle)
    inputs = {"bundle": str(bundle.path), "bundle_digest": bundle.digest}
    inputs |= said_of(snapshot, opened)
    if out is not None and opened is not None:
        _refuse_beforehand(opened, bundle, config.key or bundle.model, out, overwrite)
    model = load_model(bundle, choose_device(config.device))
    result = _annotate(snapshot.cells, model, config, first=first, inputs=inputs, context=context)
    if out is not None and opened is not None:
        write_or_keep(opened, result, out, overwrite, context)
    return result


def _refuse_beforehand(
    opened: OpenedSection, bundle: Bundle, key: str, out: AnyPath, overwrite: bool
) -> None:
    label = Slots(key).label
    refuse_existing(label in opened.table.obs, "obs", label, overwrite)
    probabilities = np.dtype(np.float32).itemsize * len(opened.section) * len(bundle.labels)
    size = int(probabilities * _LEAST_PACKED)
    refuse_beforehand(opened, Path(out), size=size, overwrite=overwrite)
