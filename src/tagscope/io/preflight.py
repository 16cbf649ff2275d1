"""What is wrong with a section for a model: all of it at once, each problem with its fix."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells
from tagscope.errors import ChoiceError, InputError, options_text
from tagscope.io import masks, outlines
from tagscope.io.findings import Finding, Severity, by_severity, listed
from tagscope.io.genes import Genes, kind_of_names, name_columns, read_genes, species_of
from tagscope.io.readers import Inspection, OpenedSection, cells_of, inspect
from tagscope.io.spatialdata_store import link_of

__all__ = ["Finding", "Preflight", "Severity", "check"]

_LITTLE_SHARED = 0.5
_MARKS = {"error": "✗", "warning": "!", "info": "·"}


@dataclass(frozen=True)
class Preflight:
    """What was found, errors first, and a summary for a card.

    ``summary`` keys: ``path``, ``cells``, ``genes``, ``technology``, ``coordinates`` (whether
    there are any), ``unit``, ``um_per_unit``, ``outlines``, ``counts`` (where they are),
    ``values`` (what they are), ``median_counts``, ``gene_names``, ``species``, ``table``,
    ``region``, ``coordinate_system``, ``shared_genes`` and ``bundle_genes`` (with a bundle),
    ``seconds``, ``memory_bytes`` and ``free_bytes`` (for annotating on this machine, where that was
    timed). Keys that could not be told are missing. ``cells`` are those that could be annotated,
    None where something prevents it.
    """

    findings: tuple[Finding, ...]
    summary: dict[str, Any] = field(default_factory=dict)
    cells: Cells | None = field(default=None, compare=False, repr=False)

    @property
    def ok(self) -> bool:
        """Whether nothing prevents annotating."""
        return not any(finding.severity == "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "ok": self.ok,
            "findings": [finding.to_dict() for finding in self.findings],
            "summary": self.summary,
        }

    def to_text(self) -> str:
        """What a person reads on a terminal."""
        lines = _summary_lines(self.summary)
        for finding in self.findings:
            lines.append(f"{_MARKS[finding.severity]} {finding.severity}: {finding.found}")
            options = f"Option: {options_text(finding.choices)}" if finding.choices else ""
            lines.extend(f"    {part}" for part in (finding.needed, finding.fix, options) if part)
        lines.append("Ready." if self.ok else "Not ready: mend the errors first.")
        return "\n".join(lines)


def check(
    path: Path | str,
    *,
    bundle_panel: GenePanel | None = None,
    reads_any: bool = False,
    **choices: Any,
) -> Preflight:
    """Read a section and say everything that is wrong with it, and for a model of that panel.

    A model that ``reads_any`` genes of its panel misses none of the others. ``choices`` are those
    of ``open_section``. A file that cannot be read at all is one finding, and so is a choice that
    must be made first.

    Raises
    ------
    ArgumentError
        If a choice names something that is not there.
    """
    try:
        found = inspect(Path(path), **choices)
    except InputError as error:
        unreadable = Finding("error", "unreadable", error.found, error.needed, error.fix)
        return Preflight((unreadable,), {"path": str(path)})
    except ChoiceError as error:
        return Preflight((_to_choose(error),), {"path": str(path)})
    findings = [*found.findings, *_shapes_without_rows(found)]
    summary = _summary(found)
    if bundle_panel is not None:
        overlap, shared = _overlap(found.genes, found.values.var, bundle_panel, reads_any)
        findings.extend(overlap)
        summary |= shared
    if any(finding.severity == "error" for finding in findings):
        return Preflight(by_severity(findings), summary)
    cells = cells_of(found, normalised=bool(choices.get("normalised")))
    return Preflight(by_severity(findings), summary, cells)


def check_opened(
    opened: OpenedSection, bundle_panel: GenePanel | None = None, *, reads_any: bool = False
) -> Preflight:
    """As :func:`check`, of a section that is open already: nothing is read again."""
    section, source, notes = opened.section, opened.source, opened.notes
    summary: dict[str, Any] = {
        "path": str(source.path),
        "cells": len(section),
        "genes": len(section.panel),
        "technology": source.technology,
    }
    findings = list(notes)
    if bundle_panel is not None:
        raw = source.layer in ("raw", "raw.X") and opened.table.raw is not None
        var = opened.table.raw.var if raw else opened.table.var
        missing = any(finding.code == "gene-names-missing" for finding in notes)
        kind = "missing" if missing else kind_of_names(section.panel.symbols)
        genes = Genes(section.panel, kind, species_of(section.panel))
        overlap, shared = _overlap(genes, var, bundle_panel, reads_any)
        findings.extend(overlap)
        summary |= shared
    wrong = any(finding.severity == "error" for finding in findings)
    return Preflight(by_severity(findings), summary, None if wrong else section.cells)


def _to_choose(error: ChoiceError) -> Finding:
    """The finding that offers what must be chosen, the first of it foremost."""
    offer = {error.choice: error.among[0]} if error.among else {}
    return Finding(
        "error",
        f"choose-{error.choice.replace('_', '-')}",
        error.found,
        error.needed,
        error.fix,
        offer,
        among=error.among,
    )


def _summary(found: Inspection) -> dict[str, Any]:
    table, source, placement = found.loaded.table, found.source, found.placement
    summary: dict[str, Any] = {
        "path": str(source.path),
        "cells": table.n_obs,
        "genes": len(found.genes.panel),
        "technology": source.technology,
        "coordinates": placement.xy is not None,
        "unit": placement.unit,
        "um_per_unit": placement.um_per_unit,
        "outlines": placement.outlines is not None,
        "values": str(found.values.judgement),
        "gene_names": found.genes.kind,
        "species": found.genes.species,
        "table": source.table,
        "region": source.region,
        "coordinate_system": source.coordinate_system,
    }
    if found.values.judgement.are_counts:
        summary["counts"] = found.values.place
    matrix = found.values.matrix
    if matrix is not None:
        summary["median_counts"] = float(np.median(np.asarray(matrix.sum(axis=1))))
        summary["stored_values"] = int(matrix.nnz)
    return summary


def _overlap(
    genes: Genes, var: pd.DataFrame, bundle: GenePanel, reads_any: bool
) -> tuple[list[Finding], dict[str, int]]:
    """How much of a model's panel was measured, and what the summary says of that."""
    missing = genes.kind == "missing"
    shared = 0 if missing else _shared(bundle, genes.panel)
    told = {"shared_genes": shared, "bundle_genes": len(bundle)}
    if missing:
        return [], told
    finding = _of_shared(genes, bundle, shared, reads_any)
    better = () if finding.severity == "info" else _better_columns(var, genes, bundle, shared)
    if better:
        fix = f"More are named in {listed(better, 4)} of var: choose that column."
        finding = replace(finding, fix=fix, offer={"genes": better[0]}, among=better)
    return [finding], told


def _of_shared(genes: Genes, bundle: GenePanel, shared: int, reads_any: bool) -> Finding:
    wanted = len(genes.panel) if reads_any else len(bundle)
    of = f"{shared} of the model's {wanted} genes are in the section"
    fix = "A model trained for this section reads the shared genes alone."
    needed = "The others are read as not measured, which costs accuracy."
    if reads_any:
        of = f"{shared} of the section's {wanted} genes are known to the model"
        needed, fix = "The others are left out.", "Check how the section names its genes."
    own, theirs = genes.species, species_of(bundle)
    abroad = genes.panel.aliases is None and {own, theirs} == {"human", "mouse"}
    ask = "orthologues" if abroad else ""
    if not shared:
        fix = f"The section's look like {listed(genes.panel.symbols, 3)}, "
        fix += f"the model's like {listed(bundle.symbols, 3)}."
        if abroad:
            fix = f"The section is {own}, the model {theirs}: use a model of its species, "
            fix += "or a table of orthologues."
        return Finding(
            "error", "no-shared-genes", f"{of}.", "Shared genes are needed.", fix, ask=ask
        )
    if shared < _LITTLE_SHARED * wanted:
        if abroad:
            fix = f"The section is {own}, the model {theirs}: give a table of orthologues. {fix}"
        return Finding("warning", "few-shared-genes", f"Only {of}.", needed, fix, ask=ask)
    if abroad:
        return Finding(
            "warning",
            "other-species",
            f"The section is {own}, the model {theirs}: {of}, by spelling alone.",
            "A gene may be called otherwise in the other species.",
            "Give a table of orthologues.",
            ask=ask,
        )
    return Finding("info", "shared-genes", f"{of}.")


def _shared(bundle: GenePanel, panel: GenePanel) -> int:
    return int((bundle.columns_in(panel) >= 0).sum())


def _better_columns(
    var: pd.DataFrame, genes: Genes, bundle: GenePanel, shared: int
) -> tuple[str, ...]:
    """Columns of ``var`` by which more of the model's genes were measured, the best first."""
    found = {}
    for column in name_columns(var):
        if column != genes.column:
            found[column] = _shared(bundle, read_genes(var, column=column).panel)
    best = sorted(found, key=lambda column: -found[column])
    return tuple(column for column in best if found[column] > shared)


def _shapes_without_rows(found: Inspection) -> list[Finding]:
    """Cells of the element, outlines or labels, of which the table knows nothing."""
    loaded, link = found.loaded, link_of(found.loaded.table)
    if loaded.store is None or link is None or found.source.where is not None:
        return []
    instances = loaded.table.obs[link.instance_key]
    region, extra = loaded.region, 0
    if region in loaded.store.shapes:
        index = loaded.store.shapes[region].index
        extra = len(index) - len(np.unique(_known(outlines.rows_in(index, instances))))
    elif region in loaded.store.labels and np.issubdtype(instances.dtype, np.integer):
        extra = masks.labels_without_rows(loaded.store.labels[region], instances.to_numpy())
    if not extra:
        return []
    return [
        Finding(
            "info",
            "shapes-without-rows",
            f"{extra} cells of {region!r} have no row in the table.",
            "They are not annotated.",
        )
    ]


def _known(rows: Any) -> Any:
    return rows[rows >= 0]


def _summary_lines(summary: dict[str, Any]) -> list[str]:
    """The summary as aligned lines; only the path where the file could not be read."""
    if "cells" not in summary:
        return [summary["path"]]
    outline = "polygons" if summary["outlines"] else "centroids"
    where = f"{outline}, {summary['unit']}" if summary["coordinates"] else "no coordinates"
    lines = [
        summary["path"],
        f"  cells        {summary['cells']:,} ({where})",
        f"  genes        {summary['genes']:,} ({summary['gene_names']}, {summary['species']})",
        f"  technology   {summary['technology']}",
        f"  values       {summary['values']} in {summary.get('counts', 'X')}",
    ]
    if "median_counts" in summary:
        lines.append(f"  median       {summary['median_counts']:g} per cell")
    if "shared_genes" in summary:
        lines.append(f"  shared       {summary['shared_genes']} of {summary['bundle_genes']} genes")
    if "seconds" in summary:
        lines.append(f"  estimate     {estimate_text(summary)}")
    return lines


def estimate_text(summary: dict[str, Any]) -> str:
    """Time and memory of annotating: ``about 12 s, 0.4 GB of 5.1 GB free``."""
    seconds, needed, free = (summary[name] for name in ("seconds", "memory_bytes", "free_bytes"))
    return f"{_duration(seconds)}, {needed / 1e9:.1f} GB of {free / 1e9:.1f} GB free"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
