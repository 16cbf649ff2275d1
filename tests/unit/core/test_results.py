from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

from tagscope.core.labels import UNASSIGNED, LabelSet
from tagscope.core.panel import GenePanel
from tagscope.core.provenance import Provenance
from tagscope.core.results import (
    Annotation,
    AnnotationResult,
    DomainMap,
    GeneScores,
    SlotScores,
    read_provenance,
)
from tagscope.errors import ArgumentError, InputError

IDS = np.array(["c1", "c2", "c3"])


def _result() -> AnnotationResult:
    probabilities = np.array([[0.9, 0.1], [0.45, 0.55], [0.2, 0.8]], dtype=np.float32)
    annotation = Annotation(
        IDS, LabelSet(("A", "B")), probabilities, np.eye(3, 4, dtype=np.float32), 0.6
    )
    panel = GenePanel(("g2", "G1", "elsewhere"))
    scores = sp.csc_matrix(np.array([[0.2, 0.8, 0], [0, 0.5, 0.5], [1, 0, 0]], np.float32))
    return AnnotationResult(
        "cm",
        annotation,
        GeneScores(IDS, panel, scores),
        SlotScores(IDS, panel, (scores, scores * 0.5)),
        Provenance("annotate", {"attention": True}, seed=3),
    )


def _table() -> AnnData:
    table = AnnData(sp.csr_matrix(np.ones((3, 2), np.float32)))
    table.obs_names = ["c3", "c1", "c2"]
    table.var_names = ["g1", "g2"]
    return table


def test_results_are_written_by_cell_and_gene_name():
    table = _table()
    _result().write_to(table)
    assert table.obs["cm"].tolist() == ["B", "A", UNASSIGNED]
    assert table.obs["cm"].cat.categories.tolist() == ["A", "B", UNASSIGNED]
    assert len(table.uns["cm_colors"]) == 3
    np.testing.assert_allclose(table.obs["cm_confidence"], [0.8, 0.9, 0.55], rtol=1e-6)
    np.testing.assert_allclose(
        table.layers["cm_attention"].toarray(), [[0, 1], [0.8, 0.2], [0.5, 0]], rtol=1e-6
    )
    np.testing.assert_allclose(table.layers["cm_slot1"].toarray()[0], [0, 0.5])
    np.testing.assert_array_equal(table.obsm["X_cm"][1], [1, 0, 0, 0])
    np.testing.assert_array_equal(table.X.toarray(), np.ones((3, 2)))


def test_provenance_is_one_json_string():
    table = _table()
    _result().write_to(table)
    text = table.uns["tagscope"]["cm"]
    assert json.loads(text)["seed"] == 3
    record = read_provenance(table, "cm")
    assert record is not None
    assert record.parameters == {"attention": True}
    assert read_provenance(table, "other") is None


def test_a_table_of_other_cells_is_refused():
    table = _table()[:2].copy()
    with pytest.raises(InputError, match="same cells"):
        _result().write_to(table)


def test_nothing_is_replaced_unasked():
    table = _table()
    _result().write_to(table)
    with pytest.raises(ArgumentError, match="ask for it to be replaced"):
        _result().write_to(table)
    _result().write_to(table, overwrite=True)


def test_scores_of_an_earlier_run_do_not_stay_under_its_key():
    table = _table()
    table.layers["other_attention"] = table.X.copy()
    _result().write_to(table)
    replace(_result(), gene_scores=None, slot_scores=None).write_to(table, overwrite=True)
    assert list(table.layers) == ["other_attention"]


def test_genes_are_found_in_whichever_column_names_them():
    table = _table()
    table.var["gene_name"] = table.var_names.to_numpy()
    table.var["length"] = [900, 1200]
    table.var_names = ["ENSG01", "ENSG02"]
    _result().write_to(table)
    np.testing.assert_allclose(table.layers["cm_attention"].toarray()[1], [0.8, 0.2], rtol=1e-6)


def test_a_gene_without_scores_is_an_error_and_case_does_not_matter():
    scores = _result().gene_scores
    assert scores is not None
    np.testing.assert_allclose(scores.column("g1"), [0.8, 0.5, 0], rtol=1e-6)
    with pytest.raises(ArgumentError, match="'Sox2' is not among"):
        scores.column("Sox2")


def test_alternatives_and_counts():
    annotation = _result().annotation
    assert annotation.alternatives(0) == [
        ("A", pytest.approx(0.9)),
        ("B", pytest.approx(0.1)),
    ]
    assert dict(annotation.counts()) == {"A": 1, "B": 1, UNASSIGNED: 1}


def test_domains_are_written_by_cell_with_a_record_of_their_own():
    found = DomainMap(
        "cm",
        IDS,
        LabelSet(("Domain 1", "Domain 2")),
        np.array([1, 0, 0]),
        Provenance("domains", {}),
    )
    assert found.counts() == [("Domain 1", 2), ("Domain 2", 1)]
    table = _table()
    _result().write_to(table)
    found.write_to(table)
    assert table.obs["cm_domain"].tolist() == ["Domain 1", "Domain 2", "Domain 1"]
    assert table.uns["cm_domain_colors"].tolist() == list(found.domains.colors)
    assert read_provenance(table, "cm").verb == "annotate"
    assert read_provenance(table, "cm_domain").verb == "domains"
    with pytest.raises(ArgumentError, match="cm_domain"):
        found.write_to(table)
    again = DomainMap.of_table(table, "cm")
    assert again.names().tolist() == table.obs["cm_domain"].tolist()
    assert again.domains == found.domains
    some = DomainMap.of_table(table[1:2].copy(), "cm")
    assert some.domains == LabelSet(("Domain 2",), found.domains.colors[1:])
    with pytest.raises(ArgumentError, match="no domains of the key 'other'"):
        DomainMap.of_table(table, "other")
    found.write_to(table, overwrite=True)
    with pytest.raises(InputError, match="same cells"):
        found.write_to(table[:2].copy())
