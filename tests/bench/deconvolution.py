"""What spots are made of, told by other cells than the spots' own: mappings and least squares.

    python tests/bench/deconvolution.py run --out rows.jsonl --bundles DIR --task bz5_14 ...
    python tests/bench/deconvolution.py table rows.jsonl

Cells of known types are added up to square spots; the reference is another section, animal, half or
technology, so that no cell is on both sides. "OmniCell" is ``tagscope deconvolve --bundle``, with a
model that learned from the cells of both sides without labels; "mapping" the same with ``--method
mapping``, which is what the paper's "Tangram-like" says; "PCA" TAGscope's method with principal
components of mixtures, over the model's genes, in the model's place; "NNLS" ``--method nnls`` over
all genes of both sides; "mean" gives every spot the mean composition of the reference. Truth is the
share of cells.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

import tagscope as ts
from annotation_accuracy import shown
from annotation_tasks import cell_class
from omnicell_uses import (
    DATASETS,
    bundle_of,
    classes_of_two_technologies,
    command_line,
    components_of,
)
from tagscope.core.labels import LabelSet
from tagscope.core.section import Reference, Section
from tagscope.deconvolution.mixtures import mixtures_of
from tagscope.deconvolution.result import errors_of
from tagscope.deconvolution.signatures import Signatures
from tagscope.deconvolution.spots import Spots, spots_of
from tagscope.jobs import JobContext

SIZES = (7, 25)  # cells of a spot, about
MEASURES = {
    "rmse": "RMSE",
    "divergence": "JS divergence",
    "pearson": "Pearson",
    "dominant": "dominant type",
}


@dataclass(frozen=True)
class Row:
    """About ``size`` cells a spot were asked for, ``cells`` are in one on the average; in the share
    ``dominant`` of the spots the largest type is right."""

    task: str
    size: int
    method: str
    seed: int
    rmse: float
    divergence: float
    pearson: float
    dominant: float
    spots: int
    cells: float
    types: int
    seconds: float


Method = Callable[[Section, Reference, ts.Bundle, int], np.ndarray]


@dataclass(frozen=True)
class Task:
    """``codes`` (N,) of the section's cells into the reference's types, −1 where it has none."""

    model: str
    reference: Reference
    section: Section
    codes: np.ndarray


def task(model: str, reference: Reference, section: Section, types: np.ndarray) -> Task:
    used = np.unique(reference.codes)
    labels = LabelSet(tuple(reference.labels.names[code] for code in used))
    known = Reference(reference.cells, labels, np.searchsorted(used, reference.codes))
    return Task(model, known, section, pd.Index(labels.names).get_indexer(types))


def opened(data: str, where: str | None = None) -> tuple[Section, np.ndarray]:
    """A section and its cells' types."""
    dataset = DATASETS[data]
    found = ts.open_section(dataset.path, where=where, sections=dataset.batch or None)
    return found.section, found.table.obs[dataset.types].astype(str).to_numpy()


def parts(data: str, known: str, asked: str) -> Task:
    """Rows of a file that are the reference, and rows that become spots."""
    reference = ts.read_reference(DATASETS[data].path, DATASETS[data].types, where=known)
    return task(data, reference, *opened(data, asked))


def halves() -> Task:
    section, types = opened("osmfish")
    left = section.xy[:, 0] < np.median(section.xy[:, 0])
    reference = ts.read_reference(DATASETS["osmfish"].path, DATASETS["osmfish"].types)
    assert len(reference) == len(section), "no cell without a type in this file"
    known = Reference(
        reference.cells.take(np.flatnonzero(left)), reference.labels, reference.codes[left]
    )
    right = np.flatnonzero(~left)
    other = Section(section.cells.take(right), section.xy[right], section.name, section.unit)
    return task("osmfish", known, other, types[right])


def two_technologies() -> Task:
    reference, frontal = classes_of_two_technologies()
    section, types = opened("mpfc")
    cells = section.cells.restrict(frontal.cells.panel)
    section = Section(cells, section.xy, section.name, section.unit, pieces=section.pieces)
    classes = np.array([cell_class(name) or "" for name in types])
    return task("mop_mpfc", reference, section, classes)


BZ5, BZ14 = 'section == "BZ5"', 'section == "BZ14"'
TASKS: dict[str, Callable[[], Task]] = {
    "bz5_14": lambda: parts("mpfc", BZ5, BZ14),
    "bz14_5": lambda: parts("mpfc", BZ14, BZ5),
    "osmfish": halves,
    "hypo71": lambda: parts("hypothalamus", 'animal == "7"', 'animal == "1"'),
    "mop_mpfc": two_technologies,
}
NAMES = {
    "bz5_14": "mPFC BZ5 → BZ14", "bz14_5": "mPFC BZ14 → BZ5", "osmfish": "osmFISH, left → right",
    "hypo71": "hypothalamus animal 7 → 1", "mop_mpfc": "scRNA MOp → mPFC, class",
}  # fmt: skip


def scored(name: str, seed: int, options: argparse.Namespace) -> Iterator[Row]:
    given = TASKS[name]()
    bundle = bundle_of(given.model, seed, options)
    for size in SIZES:
        spots = spots_with(given, size)
        for method, tell in METHODS.items():
            began = time.monotonic()
            found = tell(spots.section, given.reference, bundle, seed)
            seconds = round(time.monotonic() - began, 1)
            truth = spots.proportions
            right = float((found.argmax(axis=1) == truth.argmax(axis=1)).mean())
            cells = float(spots.sizes.mean())
            yield Row(
                name, size, method, seed, **errors_of(found, truth), dominant=right,
                spots=len(truth), cells=cells, types=truth.shape[1], seconds=seconds,
            )  # fmt: skip


def spots_with(given: Task, size: int) -> Spots:
    """Squares of about ``size`` cells, of half as many at least."""
    section, known = given.section, given.codes >= 0
    pieces = np.zeros(len(known)) if section.pieces is None else section.pieces.codes
    extents = [np.ptp(section.xy[known & (pieces == one)], axis=0) for one in np.unique(pieces)]
    width = np.sqrt(size * sum(map(np.prod, extents)) / known.sum())
    types = len(given.reference.labels)
    return spots_of(section, given.codes, types, float(width), least=size // 2)


def mean(spots: Section, reference: Reference, bundle: ts.Bundle, seed: int) -> np.ndarray:
    shares = np.bincount(reference.codes, minlength=len(reference.labels)) / len(reference)
    return np.tile(shares, (len(spots), 1))


def least_squares(spots: Section, reference: Reference, bundle: ts.Bundle, seed: int) -> np.ndarray:
    return ts.deconvolve(spots, reference, config=ts.DeconvolveConfig(method="nnls")).values


def components(spots: Section, reference: Reference, bundle: ts.Bundle, seed: int) -> np.ndarray:
    """What the method embedding does, with principal components, of spots as deep as they are."""
    panel = spots.panel.take(spots.panel.shared_with(reference.cells.panel))
    panel = panel.take(panel.shared_with(bundle.panel))
    known = replace(reference, cells=reference.cells.restrict(panel))
    asked = spots.cells.restrict(panel)
    mixtures = mixtures_of(known, asked.totals, ts.DeconvolveConfig().mixtures, seed)
    of_mixtures, of_spots = components_of(mixtures.cells, [mixtures.cells, asked])
    return Signatures.of(of_mixtures, mixtures.shares).shares_in(of_spots, JobContext())


def by(method: str) -> Method:
    def tell(spots: Section, reference: Reference, bundle: ts.Bundle, seed: int) -> np.ndarray:
        config = ts.DeconvolveConfig(method=method, seed=seed, device="cpu", precision="fp32")
        return ts.deconvolve(spots, reference, bundle=bundle, config=config).values

    return tell


METHODS: dict[str, Method] = {
    "mean": mean,
    "NNLS": least_squares,
    "PCA": components,
    "OmniCell": by("embedding"),
    "OmniCell, mapping": by("mapping"),
}


def table(rows: list[dict[str, Any]]) -> None:
    of: dict[tuple[str, int, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        of[row["task"], row["size"], row["method"]].append(row)
    print("| task | spots | cells a spot | method | " + " | ".join(MEASURES.values()) + " | s |")
    print("|---|---|---|---|" + "---|" * len(MEASURES) + "---|")
    for (name, _, method), group in of.items():
        first = group[0]
        said = [shown(group, measure) for measure in MEASURES]
        seconds = f"{np.mean([row['seconds'] for row in group]):.1f}"
        line = [NAMES[name], str(first["spots"]), f"{first['cells']:.1f}", method, *said, seconds]
        print("| " + " | ".join(line) + " |")


if __name__ == "__main__":
    command_line(__doc__, TASKS, scored, table)
