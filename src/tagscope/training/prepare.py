"""From a reference to what a network is trained and validated on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Reference
from tagscope.errors import InputError
from tagscope.io.counts import as_csr, judge
from tagscope.training.measurement import Measurement, measurement
from tagscope.training.recipe import Recipe

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Prepared:
    """A reference over the genes to train on, every cell with counts, every label with cells."""

    reference: Reference
    target_sum: float
    notes: tuple[str, ...]
    measured: Measurement | None = None
    """How the section to be annotated measures; None if unknown or much as the reference does."""

    @property
    def groups(self) -> Ints | None:
        """Cells that must stay together, (N,) dense codes from 0, or None."""
        groups = self.reference.groups
        return None if groups is None else np.unique(groups, return_inverse=True)[1]

    @property
    def label_counts(self) -> dict[str, int]:
        """Cells per label."""
        names = self.reference.labels.names
        counts = np.bincount(self.reference.codes, minlength=len(names))
        return {name: int(count) for name, count in zip(names, counts, strict=True)}

    def digest(self) -> str:
        """sha256 of everything a training sees of the data."""
        cells = self.reference.cells
        seen = hashlib.sha256(cells.panel.digest.encode())
        for array in (cells.values.data, cells.values.indices, cells.values.indptr,
                      self.reference.codes):  # fmt: skip
            seen.update(np.ascontiguousarray(array).tobytes())
        if self.reference.groups is not None:
            seen.update(np.ascontiguousarray(self.reference.groups).tobytes())
        if self.reference.tree is not None:
            seen.update(json.dumps(self.reference.tree.to_dict()).encode())
        seen.update("\0".join(self.reference.labels.names).encode())
        return seen.hexdigest()


def prepare(
    reference: Reference, panel: GenePanel | None, recipe: Recipe, section: Cells | None = None
) -> Prepared:
    """Keep the genes shared with ``panel``, the cells with counts and the labels with cells.

    ``section`` are the cells to be annotated later, for their depth and their background.

    Raises
    ------
    InputError
        If no gene or no cell is left, or values are negative or missing.
    """
    notes: list[str] = []
    genes = _genes(reference.cells.panel, panel)
    if len(genes) < len(reference.cells.panel):
        notes.append(f"{len(genes)} of the reference's {len(reference.cells.panel)} genes used")
    stored = replace(reference.cells, values=as_csr(reference.cells.values))
    cells = stored.restrict(genes)
    _refuse_odd_values(cells, "reference")
    read = np.flatnonzero((cells.totals > 0) & (reference.codes >= 0))
    if not len(read):
        raise InputError(
            f"None of the reference's {len(reference)} cells has both a label and counts in the "
            f"{len(genes)} genes used.",
            "Training needs labelled cells with counts.",
            "Check the label column, the layer with counts and the panel.",
        )
    if len(read) < len(reference):
        notes.append(f"{len(reference) - len(read)} cells without counts left out")
    groups = None if reference.groups is None else reference.groups[read]
    part = replace(reference, cells=cells.take(read), codes=reference.codes[read], groups=groups)
    kept = _with_labels_in_use(part)
    dropped = len(reference.labels) - len(kept.labels)
    if dropped:
        notes.append(f"{dropped} labels without cells left out")
    measured = None
    if section is not None and recipe.thinning < 1:
        asked = section.restrict(kept.cells.panel)
        _refuse_odd_values(asked, "section")
        measured = measurement(kept.cells, asked)
    if measured is not None:
        notes.append(measured.note)
    target_sum = recipe.target_sum or _median_total(kept.cells)
    return Prepared(kept, target_sum, tuple(notes), measured)


def _refuse_odd_values(cells: Cells, what: str) -> None:
    judgement = judge(cells.values)
    if not judgement.finite or judgement.smallest < 0:
        raise InputError(
            f"The {what} holds {judgement}.",
            "Counts are needed, or log-normalised values, which are never negative.",
            "Give the values before scaling, and remove cells or genes with missing ones.",
        )


def _genes(measured: GenePanel, panel: GenePanel | None) -> GenePanel:
    """The reference's genes that ``panel`` has too, each once."""
    kept = measured.shared_with(measured if panel is None else panel)
    if not len(kept):
        raise InputError(
            f"The reference's {len(measured)} genes share none with the panel of "
            f"{len(panel) if panel else 0}.",
            "Reference and section must have genes in common, by symbol or Ensembl id.",
            "Check species and kind of gene ids.",
        )
    return measured.take(kept)


def _with_labels_in_use(reference: Reference) -> Reference:
    labels = reference.labels
    used, dense = np.unique(reference.codes, return_inverse=True)
    names = tuple(labels.names[code] for code in used)
    colors = tuple(labels.colors[code] for code in used)
    tree = None if reference.tree is None else reference.tree.take(used)
    return replace(
        reference, labels=LabelSet(names, colors), codes=dense.astype(np.int64), tree=tree
    )


def _median_total(cells: Cells) -> float:
    """Median total per cell, in counts also where the values are log-normalised."""
    if not cells.normalised:
        return float(np.median(cells.totals))
    values = cells.values.copy()
    values.data = np.expm1(values.data)
    return float(np.median(replace(cells, values=values).totals))
