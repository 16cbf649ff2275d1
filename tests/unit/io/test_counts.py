"""Counts are proved, and pointed to where they are."""

import numpy as np
import pytest
import scipy.sparse as sp

from tagscope.errors import ArgumentError
from tagscope.io import counts
from tagscope.io.counts import as_csr, find_values, judge


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix, sp.csr_array])
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([[0, 3], [1, 0]], "counts (largest 3)"),
        ([[0, 3.5], [1, 0]], "not whole numbers (log-normalised? largest 3.5)"),
        ([[0, 350.5], [1, 0]], "not whole numbers (normalised? largest 350)"),
        ([[0, -1.25], [1, 0]], "negative values (smallest -1.25; z-scored?)"),
        ([[0, np.nan], [1, 0]], "NaN or infinite"),
    ],
)
def test_a_matrix_is_judged_by_every_value(form, values, said):
    judgement = judge(form(np.array(values, dtype=np.float32)))
    assert said in str(judgement)
    assert judgement.are_counts == said.startswith("counts")


def test_a_single_odd_value_in_the_last_block_is_found(monkeypatch):
    monkeypatch.setattr(counts, "_BLOCK", 7)
    values = np.ones((10, 10))
    assert judge(values).are_counts
    values[9, 9] = 1.5
    assert not judge(values).are_counts


def test_counts_in_x_are_taken_and_shared(tiny):
    table = tiny.table()
    found = find_values(table)
    assert found.place == "X"
    assert found.findings == ()
    assert (found.matrix != table.X).nnz == 0
    assert found.matrix.dtype == np.float32


def test_zeros_that_are_stored_and_columns_out_of_order_are_tidied():
    untidy = sp.csr_matrix((np.array([2.0, 0.0, 1.0]), np.array([1, 2, 0]), np.array([0, 3])))
    tidy = as_csr(untidy)
    assert tidy.indices.tolist() == [0, 1]
    assert tidy.data.tolist() == [1.0, 2.0]
    assert untidy.nnz == 3


def test_the_layer_that_holds_counts_is_offered(tiny):
    table = tiny.table()
    table.layers["counts"] = table.X.copy()
    table.X = np.log1p(table.X)
    found = find_values(table)
    (finding,) = found.findings
    assert (finding.severity, finding.code) == ("error", "not-counts")
    assert finding.offer == {"layer": "counts"}
    assert finding.fix == "Counts are in the layer 'counts': take them from there."
    assert finding.to_error().choices == finding.offer
    assert found.matrix is None
    assert find_values(table, **finding.offer).findings == ()


def test_raw_counts_are_offered_and_bring_their_own_genes(tiny):
    table = tiny.table()
    table.raw = table
    table = table[:, :3].copy()
    table.X = np.log1p(table.X)
    (finding,) = find_values(table).findings
    assert finding.offer == {"layer": "raw"}
    assert len(find_values(table, "raw").var) == 5


def test_log_normalised_values_without_counts(tiny):
    table = tiny.table()
    table.X = np.log1p(table.X)
    (finding,) = find_values(table).findings
    assert finding.offer == {"normalised": True}
    assert "log-normalised?" in finding.found
    accepted = find_values(table, normalised=True)
    assert accepted.findings == ()
    assert accepted.matrix.max() == table.X.max()


def test_scaled_values_are_refused_even_as_normalised(tiny):
    table = tiny.table()
    table.X = table.X.toarray() - 1.5
    (finding,) = find_values(table, normalised=True).findings
    assert (finding.severity, finding.code) == ("error", "not-log-normalised")


def test_counts_said_to_be_normalised_are_doubted(tiny):
    (finding,) = find_values(tiny.table(), normalised=True).findings
    assert (finding.severity, finding.offer) == ("warning", {"normalised": False})


def test_an_unknown_layer_lists_those_there_are(tiny):
    with pytest.raises(ArgumentError, match="no layer 'spliced'; it has 'X'"):
        find_values(tiny.table(), "spliced")


def test_empty_cells_are_told_and_an_empty_table_refused(tiny):
    table = tiny.table()
    values = table.X.tolil()
    values[3] = 0
    table.X = values.tocsr()
    (finding,) = find_values(table).findings
    assert (finding.severity, finding.code) == ("info", "empty-cells")
    table.X = sp.csr_matrix(table.shape, dtype=np.float32)
    (finding,) = find_values(table).findings
    assert (finding.severity, finding.code) == ("error", "no-counts")
