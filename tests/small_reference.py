"""Cells of a few types, each with its own four genes high."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.section import Cells, Reference

GENES = 24


def small_reference(per_label: tuple[int, ...] = (60, 45, 30), seed: int = 0) -> Reference:
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(len(per_label)), per_label))
    means = np.full((len(per_label), GENES), 0.4)
    for label in range(len(per_label)):
        means[label, 4 * label : 4 * label + 4] = 5.0
    counts = rng.poisson(means[codes]).astype(np.float32)
    panel = GenePanel(tuple(f"G{i:02}" for i in range(GENES)))
    ids = np.array([f"c{i}" for i in range(len(codes))])
    names = tuple(f"type {i}" for i in range(len(per_label)))
    return Reference(Cells(sp.csr_matrix(counts), panel, ids), LabelSet(names), codes)
