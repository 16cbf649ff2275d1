"""What is known of a cell and of a selection, against the same numbers counted plainly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from tagscope import api
from tagscope.core.labels import LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.provenance import Provenance
from tagscope.core.results import Annotation, AnnotationResult, GeneScores, SlotScores
from tagscope.core.section import Cells, Section
from tagscope.errors import ArgumentError

CELLS, GENES, TYPES = 40, 12, ("A", "B", "C")
NAMES = tuple(f"G{i}" for i in range(GENES))


@pytest.fixture
def section():
    random = np.random.default_rng(1)
    counts = random.poisson(1.5, (CELLS, GENES)).astype(np.float32)
    ids = np.array([f"c{i}" for i in range(CELLS)])
    cells = Cells(sp.csr_matrix(counts), GenePanel(NAMES), ids)
    return Section(cells, random.uniform(0, 100, (CELLS, 2)))


@pytest.fixture
def result(section):
    """Scores over the model's own panel: other order, one gene missing, one not measured."""
    random = np.random.default_rng(2)
    probabilities = random.dirichlet(np.ones(3), CELLS).astype(np.float32)
    annotation = Annotation(
        section.ids,
        LabelSet(TYPES),
        probabilities,
        random.normal(size=(CELLS, 5)).astype(np.float32),
        min_confidence=0.45,
        novelty=random.uniform(size=CELLS).astype(np.float32),
    )
    panel = GenePanel(("Elsewhere", *NAMES[:0:-1]))
    scores = sp.random(CELLS, len(panel), 0.6, "csc", np.float32, random)
    slots = tuple(scores.multiply(share).tocsc() for share in (0.5, 0.3, 0.2))
    return AnnotationResult(
        "cellmemory",
        annotation,
        GeneScores(section.ids, panel, scores),
        SlotScores(section.ids, panel, slots),
        Provenance("annotate", {}),
    )


def test_genes_of_a_cell_are_its_most_attended_with_plain_means(section, result):
    counts = section.cells.values.toarray()
    codes = result.annotation.codes
    profiles = api.CellProfiles(section, result)
    for row in range(CELLS):
        found = profiles.of_cell(row, top=4)
        attention = {n: result.gene_scores.column(n)[row] for n in NAMES[1:]}
        best = sorted(attention.values(), reverse=True)[:4]
        assert [g.attention for g in found.genes] == pytest.approx([a for a in best if a > 0])
        away = np.linalg.norm(section.xy - section.xy[row], axis=1)
        near = np.argsort(away)[1:11]
        for gene in found.genes:
            column = NAMES.index(gene.gene)
            assert gene.attention == pytest.approx(attention[gene.gene])
            assert gene.here == counts[row, column]
            same = counts[codes == codes[row], column]
            assert gene.of_type == pytest.approx(same.mean(), rel=1e-6)
            assert gene.near == pytest.approx(counts[near, column].mean(), rel=1e-6)
        assert sum(one.cells for one in found.neighbours) == 10


def test_label_runner_up_and_novelty(section, result):
    annotation = result.annotation
    profiles = api.CellProfiles(section, result)
    sure = int(np.argmax(annotation.confidence))
    found = profiles.of_cell(sure)
    order = np.argsort(-annotation.probabilities[sure])
    assert (found.id, found.label) == (f"c{sure}", TYPES[order[0]])
    assert found.color == annotation.labels.colors[order[0]]
    assert found.runner_up.name == TYPES[order[1]]
    assert found.runner_up.probability == annotation.probabilities[sure, order[1]]
    assert found.novelty == pytest.approx(annotation.novelty[sure])
    unsure = int(np.argmin(annotation.confidence))
    lost = profiles.of_cell(unsure)
    assert lost.label == "Unassigned"
    assert lost.runner_up.name == TYPES[int(annotation.probabilities[unsure].argmax())]


def test_slots_share_out_what_the_cell_was_read_with(section, result):
    found = api.CellProfiles(section, result).of_cell(3)
    assert [one.share for one in found.slots] == pytest.approx([0.5, 0.3, 0.2], abs=1e-6)
    panel, scores = result.slot_scores.panel, result.slot_scores.scores
    own = scores[1].toarray()[3]
    assert found.slots[1].genes == tuple(panel.symbols[i] for i in np.argsort(-own)[:3])


def test_a_section_without_an_annotation_tells_its_counts(section):
    profiles = api.CellProfiles(section)
    found = profiles.of_cell(5, top=3)
    counts = section.cells.values.toarray()
    assert [g.here for g in found.genes] == sorted(counts[5], reverse=True)[:3]
    assert found.genes[0].of_type == pytest.approx(
        counts[:, NAMES.index(found.genes[0].gene)].mean(), rel=1e-6
    )
    assert found.label == ""
    assert found.runner_up is None
    assert found.slots == found.neighbours == ()
    with pytest.raises(ArgumentError, match="no embedding"):
        profiles.like(0)


def test_a_selection_has_its_types_and_the_tags_of_tag_table(section, result):
    rows = np.arange(0, CELLS, 3)
    found = api.CellProfiles(section, result).of_cells(rows, top=5)
    assert found.cells == len(rows)
    counted = {one.name: one.cells for one in found.types}
    names, counts = np.unique(result.annotation.names()[rows], return_counts=True)
    assert counted == dict(zip(names, counts, strict=True))
    assert [one.cells for one in found.types] == sorted(counts, reverse=True)
    groups, codes = api.selection_groups(section.ids, rows)
    tags = api.tag_table(result.gene_scores, section.cells, groups, codes, top=5).of("selected")
    assert [g.gene for g in found.genes] == list(tags["gene"])
    assert [g.attention for g in found.genes] == pytest.approx(list(tags["attention"]))
    assert [g.auc for g in found.genes] == pytest.approx(list(tags["auc"]))
    values = section.cells.values.toarray()
    column = NAMES.index(found.genes[0].gene)
    assert found.genes[0].here == pytest.approx(values[rows, column].mean())
    assert found.genes[0].elsewhere == pytest.approx(np.delete(values, rows, 0)[:, column].mean())
    assert found.confidence == pytest.approx(result.annotation.confidence[rows].mean())


def test_all_cells_have_nobody_to_compare_with(section, result):
    found = api.CellProfiles(section, result).of_cells(np.arange(CELLS))
    assert np.isnan([g.elsewhere for g in found.genes]).all()
    plain = api.CellProfiles(section, replace(result, gene_scores=None)).of_cells(np.arange(3))
    here = [g.here for g in plain.genes]
    assert here == sorted(here, reverse=True)
    assert np.isnan(plain.genes[0].attention)


def test_cells_like_one_are_the_nearest_in_the_embedding(section, result, monkeypatch):
    monkeypatch.setattr("tagscope.interpret.profiles.CHUNK", 7)
    found = api.CellProfiles(section, result).like(4, 6)
    space = result.annotation.embedding
    away = np.linalg.norm(space - space[4], axis=1)
    np.testing.assert_array_equal(found, np.argsort(away)[1:7])
    assert len(api.CellProfiles(section, result).like(4, 1000)) == CELLS - 1


def test_unsorted_scores_are_read_all_the_same(section, result):
    scores = result.gene_scores.scores.copy()
    for column in range(scores.shape[1]):
        part = slice(scores.indptr[column], scores.indptr[column + 1])
        scores.indices[part] = scores.indices[part][::-1]
        scores.data[part] = scores.data[part][::-1]
    scores.has_sorted_indices = False
    mixed = replace(result, gene_scores=replace(result.gene_scores, scores=scores))
    plain = api.CellProfiles(section, result)
    other = api.CellProfiles(section, mixed)
    assert [other.of_cell(i).genes for i in range(CELLS)] == [
        plain.of_cell(i).genes for i in range(CELLS)
    ]


def test_a_result_of_other_cells_is_refused(section, result):
    other = replace(result, annotation=replace(result.annotation, ids=section.ids[::-1]))
    with pytest.raises(ArgumentError, match="section"):
        api.CellProfiles(section, other)
