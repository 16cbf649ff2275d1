"""The annotation tasks of the shared data: which cells a model learns from, and which it labels.

Tasks, label maps and traps are those of the README beside the data (``TAGSCOPE_SHARED``). Cells of
types that the reference lacks are *unseen*: left out of accuracy and macro-F1, and used to see
whether a score tells them from the others.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from tagscope.core.labels import LabelSet
from tagscope.core.section import Cells, Reference
from tagscope.io.readers import read_reference

SHARED = Path(os.environ.get("TAGSCOPE_SHARED", Path(__file__).resolve().parents[3] / "shared"))

Naming = Callable[[str], str | None]


@dataclass(frozen=True)
class Task:
    """``truth`` (N,) holds the query cells' type names."""

    name: str
    reference: Reference
    query: Cells
    truth: np.ndarray

    @property
    def unseen(self) -> np.ndarray:
        """Query cells of a type that the reference lacks, (N,) bool."""
        return ~np.isin(self.truth, self.reference.labels.names)


@cache
def labelled(file: str, column: str = "cell_type", where: str | None = None) -> Reference:
    return read_reference(SHARED / "data" / "annotation" / f"{file}.h5ad", column, where=where)


def names_of(cells: Reference) -> np.ndarray:
    return np.array(cells.labels.names)[cells.codes]


def renamed(cells: Reference, naming: Naming) -> Reference:
    """The same cells under other type names; cells without one are left out."""
    table = {name: naming(name) for name in cells.labels.names}
    names = np.array([table[name] or "" for name in names_of(cells)])
    rows = np.flatnonzero(names != "")
    labels = LabelSet.from_values(names[rows])
    codes = pd.Index(labels.names).get_indexer(names[rows])
    return Reference(cells.cells.take(rows), labels, codes.astype(np.int64))


def task(name: str, reference: Reference, query: Reference) -> Task:
    used = np.unique(reference.codes)
    labels = LabelSet(tuple(reference.labels.names[code] for code in used))
    codes = np.searchsorted(used, reference.codes)
    return Task(name, Reference(reference.cells, labels, codes), query.cells, names_of(query))


def halves(name: str, file: str, axis: int) -> Task:
    """Cells below the median coordinate teach, the others are labelled."""
    import anndata

    whole = labelled(file)
    place = anndata.read_h5ad(SHARED / "data" / "annotation" / f"{file}.h5ad").obsm["spatial"]
    assert len(place) == len(whole), "no cell without a label in these files"
    below = place[:, axis] < np.median(place[:, axis])

    def part(rows: np.ndarray) -> Reference:
        return Reference(whole.cells.take(rows), whole.labels, whole.codes[rows])

    return task(name, part(np.flatnonzero(below)), part(np.flatnonzero(~below)))


# --- label maps of the README ---------------------------------------------------------------------

_MOP_MID = {"L2/3 IT": "eL2/3", "L5 IT": "eL5", "L5 ET": "eL5", "NP": "eL5", "L6 IT": "eL6",
            "L6 CT": "eL6", "Pvalb": "PVALB", "Sst": "SST", "Vip": "VIP",
            "Macrophage": "Micro"}  # fmt: skip


def mid_level(name: str) -> str:
    """Map (a): STARmap types and MOp subclasses at the level they share."""
    if name in _MOP_MID:
        return _MOP_MID[name]
    for group in ("eL5", "L5-1", "eL6", "Astro"):
        if name.startswith(group):
            return "eL5" if group == "L5-1" else group
    return name


_CLASSES: dict[str, tuple[str, ...]] = {
    "Excitatory": ("eL", "L2/3", "L4", "L5", "L6", "NP", "HPC", "Excitatory"),
    "Inhibitory": ("PVALB", "Pvalb", "SST", "Sst", "VIP", "Vip", "Lamp5", "Sncg", "Reln", "NPY",
                   "Lhx6", "Meis2", "Interneuron", "Inhibitory"),
    "Astrocyte": ("Astro",),
    "Oligodendrocyte": ("Oligo", "OPC", "OD "),
    "Vascular": ("Endo", "Smc", "SMC", "VLMC", "Peri", "Mural", "Vascular"),
    "Immune": ("Micro", "Macrophage", "PVM", "Immune"),
    "Ventricle": ("Ventricle",),
}  # fmt: skip


def cell_class(name: str) -> str | None:
    """Map (b): six classes; progenitors and what fits nowhere have none."""
    for group, beginnings in _CLASSES.items():
        if name.startswith(beginnings):
            return group
    return None


# --- tasks ----------------------------------------------------------------------------------------


def hypothalamus(known: str, asked: str) -> Task:
    file = "merfish_hypothalamus_3samples"
    ends = (labelled(file, where=f'animal == "{animal}"') for animal in (known, asked))
    return task(f"hypothalamus animal {known} → {asked}", *ends)


def prefrontal(known: str, asked: str) -> Task:
    file = "starmap_mpfc_bz5_bz14"
    ends = (labelled(file, where=f'section == "{section}"') for section in (known, asked))
    return task(f"mPFC {known} → {asked}", *ends)


def blood(asked: str, name: str) -> Task:
    known = labelled("pbmc_3tech", where=f'batch != "{asked}"')
    return task(
        f"PBMC, others → {name}", known, labelled("pbmc_3tech", where=f'batch == "{asked}"')
    )


def lung() -> Task:
    file = "cosmx_lung_nsclc"
    return task("CosMx lung fov1 → fov6", labelled(file, where='fov == "fov1"'),
                labelled(file, where='fov == "fov6"'))  # fmt: skip


def motor_libraries() -> Task:
    import anndata

    path = SHARED / "data" / "annotation" / "scrna_mop.h5ad"
    libraries = sorted(map(str, anndata.read_h5ad(path, backed="r").obs["library"].unique()))
    first = [name for name in libraries if int("".join(filter(str.isdigit, name)) or 0) <= 10]
    known = labelled("scrna_mop", where=f"library in {first}")
    asked = labelled("scrna_mop", where=f"library not in {first}")
    return task("MOp libraries 1–10 → 11–16", known, asked)


def motor_to(file: str, name: str, naming: Naming, column: str = "cell_type") -> Task:
    known = renamed(labelled("scrna_mop", "subclass"), naming)
    return task(f"scRNA MOp → {name}", known, renamed(labelled(file, column), naming))


def mixed_prefrontal(file: str, name: str) -> Task:
    known = renamed(labelled(file), mid_level)
    return task(f"{name} → mPFC", known, renamed(labelled("starmap_mpfc_bz5_bz14"), mid_level))


TASKS: dict[str, Callable[[], Task]] = {
    "hypo71": lambda: hypothalamus("7", "1"),
    "hypo17": lambda: hypothalamus("1", "7"),
    "bz5_14": lambda: prefrontal("BZ5", "BZ14"),
    "bz14_5": lambda: prefrontal("BZ14", "BZ5"),
    "cosmx": lung,
    "pbmc_v1": lambda: blood("3pv1", "3'v1"),
    "pbmc_v2": lambda: blood("3pv2", "3'v2"),
    "pbmc_5": lambda: blood("5p", "5'"),
    "mop": motor_libraries,
    "mop_by3": lambda: motor_to("starmap_by3_v1", "BY3, mid-level", mid_level),
    "mop_seqfish": lambda: motor_to("seqfishplus_cortex", "seqFISH+, class", cell_class),
    "mop_osmfish": lambda: motor_to("osmfish", "osmFISH, class", cell_class, "cell_class"),
    "embryo": lambda: halves("embryo, x below median → above", "seqfish_mouse_embryo2", 0),
    "by3": lambda: halves("BY3, y below median → above", "starmap_by3_v1", 1),
    "osmfish": lambda: halves("osmFISH, x below median → above", "osmfish", 0),
    "by3_mpfc": lambda: mixed_prefrontal("starmap_by3_v1", "BY3"),
}


def standardised(known: Cells, asked: Cells) -> tuple[np.ndarray, np.ndarray]:
    """What the README's baseline sees: log values, z-scored by the known cells, clipped at ±10."""
    target = np.median(known.totals)
    known_values, asked_values = (
        np.log1p((sp.diags(target / np.maximum(cells.totals, 1)) @ cells.values).toarray())
        for cells in (known, asked)
    )
    mean, sd = known_values.mean(0), known_values.std(0)
    sd[sd == 0] = 1
    return np.clip((known_values - mean) / sd, -10, 10), np.clip(
        (asked_values - mean) / sd, -10, 10
    )
