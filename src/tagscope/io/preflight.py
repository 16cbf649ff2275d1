"""What is wrong with a section for a model: all of it at once, each problem with its fix."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tagscope.core.panel import GenePanel
from tagscope.errors import InputError
from tagscope.io import masks, outlines
from tagscope.io.findings import Finding, Severity, by_severity, listed
from tagscope.io.genes import Genes, species_of
from tagscope.io.readers import Inspection, inspect
from tagscope.io.spatialdata_store import link_of

__all__ = ["Finding", "Preflight", "Severity", "check"]

# Tokens (genes a cell is read with) a second of CellMemory with attention on two cores, and the
# bytes the process needs before the first cell, per stored value (float32, int32 and one copy), and
# per token of a batch of 256 in the network (width 256, float32, some ten live arrays). Rough: a
# factor of three.
_TOKENS_PER_SECOND = 30_000.0
_BYTES_AT_REST = 600e6
_BYTES_PER_VALUE = 16.0
_BYTES_PER_TOKEN = 256 * 4 * 10
_BATCH = 256

_LITTLE_SHARED = 0.5
_MARKS = {"error": "✗", "warning": "!", "info": "·"}


@dataclass(frozen=True)
class Preflight:
    """What was found, errors first, and a summary for a card.

    ``summary`` keys: ``path``, ``cells``, ``genes``, ``technology``, ``coordinates`` (whether
    there are any), ``unit``, ``um_per_unit``, ``outlines``, ``counts`` (where they are),
    ``values`` (what they are), ``median_counts``, ``gene_names``, ``species``, ``table``,
    ``region``, ``coordinate_system``, ``shared_genes`` and ``bundle_genes`` (with a bundle),
    ``memory_bytes`` and ``seconds`` (estimates for annotating on two cores). Keys that could not
    be told are missing.
    """

    findings: tuple[Finding, ...]
    summary: dict[str, Any] = field(default_factory=dict)

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
            lines.extend(f"    {part}" for part in (finding.needed, finding.fix) if part)
        lines.append("Ready to annotate." if self.ok else "Not ready: mend the errors first.")
        return "\n".join(lines)


def check(path: Path | str, *, bundle_panel: GenePanel | None = None, **choices: Any) -> Preflight:
    """Read a section and say everything that is wrong with it, and for a model of that panel.

    ``choices`` are those of ``open_section``. A file that cannot be read at all is one finding.

    Raises
    ------
    ArgumentError
        If a choice names something that is not there, or one must be made.
    """
    try:
        found = inspect(Path(path), **choices)
    except InputError as error:
        unreadable = Finding("error", "unreadable", error.found, error.needed, error.fix)
        return Preflight((unreadable,), {"path": str(path)})
    findings = [*found.findings, *_shapes_without_rows(found)]
    summary = _summary(found)
    if bundle_panel is not None:
        shared = int((bundle_panel.columns_in(found.genes.panel) >= 0).sum())
        if found.genes.kind == "missing":
            shared = 0
        else:
            findings.extend(_overlap(found.genes, bundle_panel, shared))
        summary |= {"shared_genes": shared, "bundle_genes": len(bundle_panel)}
    genes = len(found.genes.panel)
    summary |= estimate(
        len(found.loaded.table),
        summary.get("stored_values", 0),
        summary.get("shared_genes", genes) / genes,
    )
    return Preflight(by_severity(findings), summary)


def estimate(cells: int, stored_values: int, shared: float = 1.0) -> dict[str, Any]:
    """Rough memory and time that CellMemory needs with attention, on two cores.

    Time grows with the values stored for genes the model knows (``shared`` of them): a cell is
    read with the genes it expresses. A model that reads all genes takes as much longer as the
    counts are sparse. Memory grows with the stored values and one batch of tokens.
    """
    tokens = stored_values * shared
    memory = _BYTES_AT_REST + _BYTES_PER_VALUE * stored_values
    memory += _BYTES_PER_TOKEN * tokens * min(1.0, _BATCH / max(cells, 1))
    return {"memory_bytes": int(memory), "seconds": round(tokens / _TOKENS_PER_SECOND, 1)}


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


def _overlap(genes: Genes, bundle: GenePanel, shared: int) -> list[Finding]:
    """How much of a model's panel was measured."""
    of = f"{shared} of the model's {len(bundle)} genes are in the section"
    theirs = species_of(bundle)
    if not shared:
        return [_no_overlap(genes, bundle, of, theirs)]
    if shared < _LITTLE_SHARED * len(bundle):
        return [
            Finding(
                "warning",
                "few-shared-genes",
                f"Only {of}.",
                "The others are read as not measured, which costs accuracy.",
                "Train on the shared genes: tagscope train … --panel SECTION.",
            )
        ]
    return [Finding("info", "shared-genes", f"{of}.")]


def _no_overlap(genes: Genes, bundle: GenePanel, of: str, theirs: str) -> Finding:
    fix = f"The section's look like {listed(genes.panel.symbols, 3)}, "
    fix += f"the model's like {listed(bundle.symbols, 3)}."
    if {genes.species, theirs} == {"human", "mouse"}:
        fix = f"The section is {genes.species}, the model {theirs}: use a model of its species."
    return Finding("error", "no-shared-genes", f"{of}.", "Shared genes are needed.", fix)


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
    memory = summary["memory_bytes"] / 1e9
    lines.append(f"  estimate     {_duration(summary['seconds'])}, {memory:.1f} GB on two cores")
    return lines


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
