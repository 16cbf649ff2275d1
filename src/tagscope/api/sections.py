"""Files: what is in them, what is wrong with them, and handing them over."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tagscope.api.given import AnyPath, bundle_of
from tagscope.core.keys import Slots
from tagscope.core.results import DomainMap, Result
from tagscope.domains.outlines import domain_outlines
from tagscope.exporters import ExportConfig
from tagscope.exporters import export as _export
from tagscope.exporters.handover import Format as ExportFormat
from tagscope.inference.annotate import AnnotateConfig
from tagscope.inference.estimate import Estimate, estimate
from tagscope.io.findings import Finding, by_severity
from tagscope.io.preflight import Preflight, check_opened
from tagscope.io.preflight import check as _check
from tagscope.io.readers import OpenedSection, open_section
from tagscope.io.shapes import has_one_place, placed
from tagscope.io.store import read_table, write_results
from tagscope.jobs import JobContext
from tagscope.models.base import Capability
from tagscope.models.bundle import Bundle, load_bundle
from tagscope.models.device import choose_device
from tagscope.models.registry import load_model
from tagscope.simulation import Layout, SimulateConfig


def check(
    section: OpenedSection | AnyPath,
    bundle: Bundle | AnyPath | None = None,
    *,
    context: JobContext | None = None,
    **choices: Any,
) -> Preflight:
    """Everything that is wrong with a section for a model, all of it at once, with the fixes.

    ``choices`` are those of :func:`open_section` (``table``, ``region``, ``layer``, ``where``,
    ``coordinate_system``, ``normalised``, ``sections``, ``genes``, ``orthologues``,
    ``um_per_unit``); one that is open already has them. Where nothing prevents annotating, some
    cells are timed, for about a second, to say what all will take; what was found by then is the
    first partial result that ``context`` hears.
    """
    bundle = None if bundle is None else bundle_of(bundle)
    panel = None if bundle is None else bundle.panel
    knows_labels = bundle is not None and Capability.ANNOTATE in bundle.capabilities
    reads_any = bundle is not None and not knows_labels  # an OmniCell, of whatever genes there are
    if isinstance(section, OpenedSection):
        found = check_opened(section, panel, reads_any=reads_any)
    else:
        found = _check(Path(section), bundle_panel=panel, reads_any=reads_any, **choices)
    if bundle is None or not knows_labels:
        return found
    return _timed(found, bundle, context)


def _timed(found: Preflight, bundle: Bundle, context: JobContext | None) -> Preflight:
    """With what annotating takes, and a warning where there is too little memory for it."""
    if found.cells is None:
        return found
    context = context or JobContext()
    context.step("timing some cells", 0, len(found.cells), found)
    config = AnnotateConfig(attention=Capability.GENE_SCORES in bundle.capabilities)
    model = load_model(bundle, choose_device(config.device))
    needs = estimate(found.cells, model, config, context=context)
    findings = found.findings
    if needs.memory_bytes > needs.free_bytes:
        findings = by_severity((*findings, _little_memory(needs)))
    return replace(found, findings=findings, summary={**found.summary, **asdict(needs)})


def _little_memory(needs: Estimate) -> Finding:
    return Finding(
        "warning",
        "little-memory",
        f"Annotating takes about {needs.memory_bytes / 1e9:.1f} GB of memory, "
        f"{needs.free_bytes / 1e9:.1f} GB are free.",
        "What does not fit is swapped to disk, or ends the program.",
        "Close other programs and sections, or annotate a part of the cells.",
    )


def info(path: AnyPath) -> dict[str, Any]:
    """What a bundle, a store or an ``.h5ad`` holds, JSON-ready."""
    path = Path(path)
    if (path / "bundle.json").is_file():
        return load_bundle(path).describe()
    annotated = read_table(path)
    results = {
        key: json.loads(record) for key, record in dict(annotated.uns.get("tagscope", {})).items()
    }
    return {
        "kind": "table",
        "path": str(path),
        "cells": annotated.n_obs,
        "genes": annotated.n_vars,
        "obs": list(annotated.obs.columns),
        "obsm": list(annotated.obsm),
        "layers": list(annotated.layers),
        "results": results,
    }


def export(
    store: OpenedSection | AnyPath,
    to: ExportFormat,
    out: AnyPath,
    config: ExportConfig | None = None,
    *,
    overwrite: bool = False,
    **choices: Any,
) -> Path:
    """Hand an annotated store over to other tools, with a manifest of how it came to be.

    ``choices`` are those of :func:`open_section`.
    """
    opened = store if isinstance(store, OpenedSection) else open_section(Path(store), **choices)
    return _export(opened, to, Path(out), config or ExportConfig(), overwrite=overwrite)


def write_result(
    opened: OpenedSection,
    result: Result,
    out: AnyPath,
    *,
    overwrite: bool = False,
    context: JobContext | None = None,
) -> Path:
    """Write a result into the section's own store, or into a copy of it at ``out``.

    An interrupted or cancelled write leaves what was there before, whole. One that fails leaves
    ``result`` as it was, which may then be written elsewhere. With domains a store gets their
    outlines as shapes ``<key>_domains``, unless its sections lie in several coordinate systems.
    """

    def draw() -> dict[str, Any]:
        if not isinstance(result, DomainMap) or not has_one_place(opened):
            return {}
        outlines = domain_outlines(opened.section, result, context=context)
        return {Slots(result.key).domains: placed(outlines, opened)}

    return write_results(
        opened.source,
        lambda table: result.write_to(table, overwrite=overwrite),
        Path(out),
        draw=draw,
        overwrite=overwrite,
        context=context,
    )


def simulate(
    out: AnyPath,
    config: SimulateConfig | None = None,
    *,
    layout: Layout = "spatialdata",
    overwrite: bool = False,
    context: JobContext | None = None,
) -> Path:
    """Make a tissue with known truth: ``section.zarr``, ``reference.h5ad``, ``truth.json``.

    In a vendor's ``layout`` the section is the folder ``section``, as its machine would leave it.
    """
    from tagscope.simulation import simulate_tissue, write_tissue

    tissue = simulate_tissue(config or SimulateConfig(), context=context)
    write_tissue(tissue, Path(out), layout=layout, overwrite=overwrite, context=context)
    return Path(out)


@dataclass(frozen=True)
class Sample:
    """Where the simulated sample lies."""

    section: Path
    reference: Path
    truth: Path


def sample(context: JobContext | None = None) -> Sample:
    """The simulated sample: the checkout's own, else one made once in the user's cache."""
    folder = Path(__file__).parents[3] / "sample_data"
    if not (folder / "section.zarr").is_dir():
        cache = Path(os.environ.get("TAGSCOPE_CACHE", Path.home() / ".cache" / "tagscope"))
        folder = cache / "sample"
    if not (folder / "section.zarr").is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        simulate(folder, SimulateConfig(cells=3000, seed=7), context=context)
    return Sample(folder / "section.zarr", folder / "reference.h5ad", folder / "truth.json")
