"""What the spots of a section are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tagscope.api.embedding import require_omnicell
from tagscope.api.given import AnyPath, bundle_of, opened_of, said_of
from tagscope.api.keeping import write_or_keep
from tagscope.core.keys import Slots
from tagscope.core.results import refuse_existing
from tagscope.core.section import Reference, Section
from tagscope.deconvolution.deconvolve import DeconvolveConfig
from tagscope.deconvolution.deconvolve import deconvolve as _deconvolve
from tagscope.deconvolution.result import Proportions
from tagscope.io.beforehand import refuse_beforehand
from tagscope.io.readers import OpenedSection, read_reference
from tagscope.jobs import JobContext
from tagscope.models.bundle import Bundle
from tagscope.models.device import choose_device
from tagscope.models.registry import load_omnicell


def deconvolve(
    section: Section | OpenedSection | AnyPath,
    reference: Reference | AnyPath,
    label: str | None = None,
    bundle: Bundle | AnyPath | None = None,
    config: DeconvolveConfig | None = None,
    *,
    out: AnyPath | None = None,
    overwrite: bool = False,
    context: JobContext | None = None,
    **choices: Any,
) -> Proportions:
    """The share of every type of a reference in every spot of a section; with ``out``, also write
    the store or ``.h5ad``.

    ``reference`` is one, or a path whose ``obs`` column ``label`` holds the types. ``choices`` are
    those of :func:`open_section`.
    """
    snapshot, opened = opened_of(section, out, choices)
    config = config or DeconvolveConfig()
    if not isinstance(reference, Reference):
        reference = read_reference(Path(reference), label or "cell_type", context=context)
    inputs, model = said_of(snapshot, opened) | reference.origin, None
    if bundle is not None:
        bundle = bundle_of(bundle)
        require_omnicell(bundle)
        inputs |= {"bundle": str(bundle.path), "bundle_digest": bundle.digest}
        model = load_omnicell(bundle, choose_device(config.device))
    if out is not None and opened is not None:
        slot = Slots(config.key).proportions
        refuse_existing(slot in opened.table.obsm, "obsm", slot, overwrite)
        size = len(snapshot) * len(reference.labels) * np.dtype(np.float32).itemsize // 4
        refuse_beforehand(opened, Path(out), size=size, overwrite=overwrite)
    result = _deconvolve(snapshot, reference, model, config, inputs=inputs, context=context)
    if out is not None and opened is not None:
        write_or_keep(opened, result, out, overwrite, context)
    return result
