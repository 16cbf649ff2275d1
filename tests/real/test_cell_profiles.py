"""Cells of real sections, told of with the types a person gave them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tagscope import api
from tagscope.core.labels import LabelSet
from tagscope.core.provenance import Provenance
from tagscope.core.results import Annotation, AnnotationResult, GeneScores

FILES = [
    ("annotation/starmap_mpfc_bz5_bz14", "section", "cell_type"),
    ("annotation/merfish_hypothalamus_3samples", "sample", "cell_type"),
]


def of_people(opened: api.OpenedSection, column: str) -> AnnotationResult:
    """People's types as a result, with each gene's share of the counts in place of attention."""
    section = opened.section
    types = opened.table.obs[column].astype(str).to_numpy()
    labels = LabelSet.from_values(types)
    probabilities = np.eye(len(labels), dtype=np.float32)[[labels.code(name) for name in types]]
    shares = section.cells.values.multiply(1 / np.maximum(section.cells.totals, 1)[:, None])
    embedding = np.zeros((len(section), 0), np.float32)
    return AnnotationResult(
        "people",
        Annotation(section.ids, labels, probabilities, embedding),
        GeneScores(section.ids, section.panel, shares.tocsc().astype(np.float32)),
        None,
        Provenance("annotate", {}),
    )


@pytest.mark.parametrize(("name", "sections", "column"), FILES)
def test_cells_and_their_neighbours_are_those_of_the_table(shared, name, sections, column):
    opened = api.open_section(shared / "data" / f"{name}.h5ad", sections=sections)
    section = opened.section
    result = of_people(opened, column)
    profiles = api.CellProfiles(section, result)
    counts = pd.DataFrame(section.cells.values.toarray(), columns=section.panel.symbols)
    means = counts.groupby(opened.table.obs[column].astype(str).to_numpy()).mean()
    codes = section.pieces.codes
    for row in np.random.default_rng(0).permutation(len(section))[:50]:
        cell = profiles.of_cell(int(row))
        near = profiles.neighbours.nearest(int(row), 10)
        assert (codes[near] == codes[row]).all()
        assert cell.label == opened.table.obs[column].astype(str).iloc[row]
        for gene in cell.genes:
            assert gene.here == counts.at[row, gene.gene]
            assert gene.of_type == pytest.approx(means.at[cell.label, gene.gene], rel=1e-5)
            expected = counts.loc[near, gene.gene].mean()
            assert gene.near == pytest.approx(expected, rel=1e-5, abs=1e-6)
        assert sum(one.cells for one in cell.neighbours) == 10
