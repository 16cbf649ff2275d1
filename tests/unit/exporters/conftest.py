"""An annotated section of 60 cells, some with outlines."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.provenance import Provenance
from tagscope.core.results import Annotation, AnnotationResult, GeneScores
from tagscope.core.section import CellOutlines, Cells, Section

LABELS = LabelSet(("Astrocyte", "Neuron", "Microglia"))


@pytest.fixture
def section():
    """60 cells on a grid of 10 µm; the first 40 have square outlines of 6 µm."""
    counts = np.random.default_rng(0).poisson(2.0, (60, 4)).astype(np.float32)
    panel = GenePanel(("Gfap", "Snap25", "Aif1", "Mbp"))
    cells = Cells(sp.csr_matrix(counts), panel, np.array([f"cell{i}" for i in range(60)]))
    xy = np.stack([np.arange(60) % 10, np.arange(60) // 10], axis=1) * 10.0 + 500
    corners = np.array([[-3, -3], [3, -3], [3, 3], [-3, 3]])
    vertices = (xy[:40, None] + corners).reshape(-1, 2).astype(np.float32)
    offsets = np.minimum(np.arange(61), 40) * 4
    return Section(cells, xy, outlines=CellOutlines(vertices, offsets.astype(np.int64)))


@pytest.fixture
def result(section):
    random = np.random.default_rng(1)
    probabilities = random.dirichlet([0.6, 0.6, 0.6], 60).astype(np.float32)
    embedding = random.normal(size=(60, 3)).astype(np.float32)
    attention = sp.csc_matrix(random.random((60, 4)).astype(np.float32))
    return AnnotationResult(
        "cellmemory",
        Annotation(section.ids, LABELS, probabilities, embedding, min_confidence=0.5),
        GeneScores(section.ids, section.panel, attention),
        None,
        Provenance("annotate", {"seed": 3}, seed=3, extra={"labels": list(LABELS.names)}),
    )


@pytest.fixture
def table(section, result):
    table = ad.AnnData(
        section.cells.values.copy(),
        pd.DataFrame({"layer": ["L1"] * 30 + ["L2"] * 29 + [None]}, index=section.ids),
        pd.DataFrame(index=list(section.panel.symbols)),
        obsm={"spatial": section.xy},
        uns={"spatial_unit": "µm"},
    )
    result.write_to(table)
    return table


@pytest.fixture
def store(table, tmp_path):
    """The annotated section as an ``.h5ad``."""
    path = tmp_path / "annotated.h5ad"
    table.write_h5ad(path)
    return path
